// The ring of ML-DSA (FIPS 204 sections 2.3, 2.5 and 7.4 to 7.6): polynomials of 256 coefficients modulo q = 2^23 - 2^13 + 1, and of these the
// number-theoretic transform, the products, and the roundings.
//
// A polynomial is a span of 256 ints. Coefficients are signed, and how far from 0 is said with each method: reductions are put off as long as
// the ints hold. Products go through Montgomery's reduction with R = 2^32, so no division is left; and nothing here branches on a
// coefficient or looks up by one, except UseHint, which sees only what is public.
namespace TransparencyLog.Signing;

/// <summary>Arithmetic on polynomials of ML-DSA-44; in place where nothing else is said.</summary>
internal static class MlDsaPolynomial
{
    /// <summary>Coefficients of a polynomial.</summary>
    public const int N = 256;

    /// <summary>The modulus.</summary>
    public const int Q = 8380417;

    /// <summary>Bits that are dropped from t.</summary>
    public const int D = 13;

    /// <summary>The range of low bits for rounding: (q-1)/88.</summary>
    public const int Gamma2 = (Q - 1) / 88;

    /// <summary>Values of high bits: (q-1)/(2 gamma2).</summary>
    private const int HighValues = 44;

    /// <summary>q^-1 modulo 2^32.</summary>
    private const int QInverse = 58728449;

    /// <summary>The 512th root of unity of section 2.5.</summary>
    private const int Zeta = 1753;

    // zeta^BitRev8(k) * 2^32, section 7.5 and appendix B.
    private static readonly int[] Zetas = MakeZetas();

    // 2^64 / 256: takes both factors 2^-32 away, that of a product and that of multiplying with this, and the 256 of the inverse transform.
    private static readonly int InverseScale = (int)(Power(2, 56) % Q);

    /// <summary>Algorithm 41, the NTT. From below q to below 9q: each of the 8 layers adds less than q.</summary>
    public static void Ntt(Span<int> w)
    {
        int m = 0;
        for (int len = 128; len >= 1; len /= 2)
        {
            for (int start = 0; start < N; start += 2 * len)
            {
                long z = Zetas[++m];
                Span<int> low = w.Slice(start, len);
                Span<int> high = w.Slice(start + len, len);
                for (int j = 0; j < low.Length && j < high.Length; j++)
                {
                    int t = Montgomery(z * high[j]);
                    high[j] = low[j] - t;
                    low[j] += t;
                }
            }
        }
    }

    /// <summary>
    /// Algorithm 42, the inverse NTT, of a product that <see cref="Montgomery"/> reduced. From below q to below q; between, sums double with
    /// each of the 8 layers, and 256q is still below 2^31.
    /// </summary>
    public static void InverseNtt(Span<int> w)
    {
        int m = N;
        for (int len = 1; len < N; len *= 2)
        {
            for (int start = 0; start < N; start += 2 * len)
            {
                long z = -Zetas[--m];
                Span<int> low = w.Slice(start, len);
                Span<int> high = w.Slice(start + len, len);
                for (int j = 0; j < low.Length && j < high.Length; j++)
                {
                    int t = low[j];
                    low[j] = t + high[j];
                    high[j] = Montgomery(z * (t - high[j]));
                }
            }
        }

        for (int j = 0; j < w.Length; j++) w[j] = Montgomery((long)InverseScale * w[j]);
    }

    /// <summary>
    /// The product of a row of the matrix and a vector, both of four transformed polynomials, for <see cref="InverseNtt"/>. Coefficients of
    /// the row are below q, those of the vector below 9q: the sum of the products is below 36q^2, and 256q^2 would be below 2^31 q still.
    /// </summary>
    public static void RowTimesVector(ReadOnlySpan<int> row, ReadOnlySpan<int> vector, Span<int> product)
    {
        ReadOnlySpan<int> a0 = row[..N], a1 = row[N..(2 * N)], a2 = row[(2 * N)..(3 * N)], a3 = row[(3 * N)..(4 * N)];
        ReadOnlySpan<int> v0 = vector[..N], v1 = vector[N..(2 * N)], v2 = vector[(2 * N)..(3 * N)], v3 = vector[(3 * N)..(4 * N)];
        product = product[..N];
        for (int j = 0; j < N; j++)
        {
            product[j] = Montgomery(((long)a0[j] * v0[j]) + ((long)a1[j] * v1[j]) + ((long)a2[j] * v2[j]) + ((long)a3[j] * v3[j]));
        }
    }

    /// <summary>The product of two transformed polynomials, each below 9q, for <see cref="InverseNtt"/>.</summary>
    public static void Multiply(ReadOnlySpan<int> a, ReadOnlySpan<int> b, Span<int> product)
    {
        for (int j = 0; j < N; j++) product[j] = Montgomery((long)a[j] * b[j]);
    }

    /// <summary>Brings every coefficient from below 2^31 - 2^22 to its residue of least size, or to one of at most 6,283,008: see <see cref="Exceeds"/>.</summary>
    public static void Reduce(Span<int> w)
    {
        for (int j = 0; j < w.Length; j++) w[j] = Reduce(w[j]);
    }

    /// <summary>Brings every coefficient from below 2^31 - 2^22 to 0 .. q-1.</summary>
    public static void ToStandard(Span<int> w)
    {
        for (int j = 0; j < w.Length; j++)
        {
            int reduced = Reduce(w[j]);
            w[j] = reduced + ((reduced >> 31) & Q);
        }
    }

    /// <summary>
    /// -1 if the infinity norm (section 2.3) is <paramref name="bound"/> or more, else 0; in the same time whatever the coefficients are. For
    /// coefficients out of <see cref="Reduce(Span{int})"/> and bounds of at most q/8: a residue below the bound then stands as itself, as the next one
    /// of its class is 7q/8 away, which is more than 6,283,008.
    /// </summary>
    public static int Exceeds(ReadOnlySpan<int> w, int bound)
    {
        int exceeds = 0;
        foreach (int coefficient in w)
        {
            int sign = coefficient >> 31;
            exceeds |= (bound - 1 - ((coefficient ^ sign) - sign)) >> 31;
        }

        return exceeds;
    }

    /// <summary>Algorithm 35, Power2Round, of 0 .. q-1: r = high * 2^13 + low, low above -2^12 and at most 2^12.</summary>
    public static (int High, int Low) Power2Round(int r)
    {
        int high = (r + (1 << (D - 1)) - 1) >> D;
        return (high, r - (high << D));
    }

    /// <summary>
    /// Algorithm 36, Decompose, of 0 .. q-1: r = high * 2 gamma2 + low modulo q, high 0 .. 43, low from -gamma2 to gamma2. The quotient by
    /// 2 gamma2 = 190,464 = 128 * 1,488 is a product with 11,275 / 2^24, which is right for every r; a test takes them all.
    /// </summary>
    public static (int High, int Low) Decompose(int r)
    {
        int high = ((((r + 127) >> 7) * 11275) + (1 << 23)) >> 24;
        // 44 stands for q-1 and the gamma2 before it: high is 0 there, and low one less.
        high &= ~((HighValues - 1 - high) >> 31);
        int low = r - (high * 2 * Gamma2);
        low -= (((Q - 1) / 2 - low) >> 31) & Q;
        return (high, low);
    }

    /// <summary>Algorithm 39, MakeHint, with both sums taken already: 1 if the high bits of two numbers of 0 .. q-1 differ, else 0.</summary>
    public static int MakeHint(int r, int other)
    {
        int difference = Decompose(r).High ^ Decompose(other).High;
        return (int)((uint)-difference >> 31);
    }

    /// <summary>Algorithm 40, UseHint, of 0 .. q-1. Only for verification, where all is public.</summary>
    public static int UseHint(bool hint, int r)
    {
        (int high, int low) = Decompose(r);
        if (!hint) return high;
        if (low > 0) return high == HighValues - 1 ? 0 : high + 1;
        return high == 0 ? HighValues - 1 : high - 1;
    }

    /// <summary>Algorithm 49: a / 2^32 modulo q, below q; for a below 2^31 q.</summary>
    private static int Montgomery(long a)
    {
        int t = (int)a * QInverse;
        return (int)((a - ((long)t * Q)) >> 32);
    }

    // 2^23 is close to q: dropping the multiple of q next to a / 2^23 leaves 6,283,008 at most.
    private static int Reduce(int a) => a - (((a + (1 << 22)) >> 23) * Q);

    private static int[] MakeZetas()
    {
        int[] zetas = new int[N];
        for (int k = 0; k < N; k++)
        {
            int reversed = 0;
            for (int bit = 0; bit < 8; bit++) reversed |= ((k >> bit) & 1) << (7 - bit);
            zetas[k] = (int)((Power(Zeta, reversed) * (1L << 32)) % Q);
        }

        return zetas;
    }

    private static long Power(long number, int exponent)
    {
        long power = 1;
        for (int i = 0; i < exponent; i++) power = power * number % Q;
        return power;
    }
}
