// ML-DSA-44 (FIPS 204, pure), with an empty context wherever this system signs:
//
//     seed          32 bytes, xi of algorithm 6; a private key is kept as nothing else
//     public key    1,312 bytes: rho (32) || t1 (4 polynomials of 320)
//     signature     2,420 bytes: hash of the commitment (32) || z (4 polynomials of 576) || hint (84)
//
// The letters are those of FIPS 204. The ring is in MlDsaPolynomial.cs, bytes and sampling are in MlDsaCoding.cs, what is done and what is not
// claimed against side channels stands in spec/decisions/ml-dsa.md.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace TransparencyLog.Signing;

/// <summary>Sizes and parameters of ML-DSA-44 (FIPS 204 section 4).</summary>
public static class MlDsa44
{
    /// <summary>Bytes of a public key.</summary>
    public const int PublicKeySize = 1312;

    /// <summary>Bytes of the seed a private key is made from.</summary>
    public const int SeedSize = 32;

    /// <summary>Bytes of a signature.</summary>
    public const int SignatureSize = 2420;

    internal const int K = 4;
    internal const int L = 4;

    /// <summary>Bytes of rho, of K, of the random of a signature, and of the hash of the commitment.</summary>
    internal const int ShortSize = 32;

    /// <summary>Bytes of tr, of mu and of the seeds of secret polynomials.</summary>
    internal const int LongSize = 64;

    /// <summary>Longest context in bytes: its length is one byte of the message.</summary>
    internal const int MaxContextSize = 255;

    /// <summary>How far c times a secret can move a coefficient: tau * eta.</summary>
    internal const int Beta = MlDsaCoding.Tau * 2;

    /// <summary>Verifies once; false for any key, message or signature that is not right. To verify often, keep an <see cref="MlDsa44PublicKey"/>.</summary>
    public static bool Verify(ReadOnlySpan<byte> publicKey, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        return MlDsa44PublicKey.TryCreate(publicKey, out MlDsa44PublicKey? key) && key.Verify(message, signature);
    }

    /// <summary>Algorithms 2 and 3, and line 6 of 7: mu = H(tr || 0 || length of the context || context || message).</summary>
    internal static void Represent(ReadOnlySpan<byte> tr, ReadOnlySpan<byte> context, ReadOnlySpan<byte> message, Span<byte> mu)
    {
        Shake shake = Shake.Shake256();
        shake.Absorb(tr);
        shake.Absorb([0, (byte)context.Length]);
        shake.Absorb(context);
        shake.Absorb(message);
        shake.Squeeze(mu);
        shake.Clear();
    }
}

/// <summary>An ML-DSA-44 public key with what can be computed ahead, 21 kB. Immutable and safe for concurrent use.</summary>
public sealed class MlDsa44PublicKey
{
    private const int N = MlDsaPolynomial.N;

    private readonly byte[] bytes;
    private readonly byte[] tr = new byte[MlDsa44.LongSize];
    private readonly int[] matrix = new int[MlDsa44.K * MlDsa44.L * N];
    // NTT(t1 * 2^d).
    private readonly int[] t1 = new int[MlDsa44.K * N];

    internal MlDsa44PublicKey(byte[] bytes)
    {
        this.bytes = bytes;
        MlDsaCoding.ExpandMatrix(bytes.AsSpan(0, MlDsa44.ShortSize), matrix);
        Shake.Hash256(bytes, [], [], tr);
        for (int i = 0; i < MlDsa44.K; i++)
        {
            Span<int> one = t1.AsSpan(i * N, N);
            MlDsaCoding.Unpack(bytes.AsSpan(MlDsa44.ShortSize + (i * MlDsaCoding.PackedT1), MlDsaCoding.PackedT1), 10, one);
            for (int j = 0; j < N; j++) one[j] <<= MlDsaPolynomial.D;
            MlDsaPolynomial.Ntt(one);
        }
    }

    /// <summary>The 1,312 bytes of the key.</summary>
    public ReadOnlyMemory<byte> Bytes => bytes;

    internal ReadOnlySpan<byte> Tr => tr;

    /// <summary>A-hat, row by row.</summary>
    internal ReadOnlySpan<int> Matrix => matrix;

    /// <summary>
    /// Loads a key; false when it has not 1,312 bytes. FIPS 204 knows no other test: all such bytes are keys, and signatures for some of
    /// them (t1 of zeros) can be made by anybody, as with a private key that was given away.
    /// </summary>
    public static bool TryCreate(ReadOnlySpan<byte> key, [NotNullWhen(true)] out MlDsa44PublicKey? publicKey)
    {
        publicKey = key.Length == MlDsa44.PublicKeySize ? new MlDsa44PublicKey(key.ToArray()) : null;
        return publicKey is not null;
    }

    /// <summary>Whether this key signed the message, with an empty context. False for a signature of any other length than 2,420.</summary>
    public bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature) => Verify(message, [], signature);

    /// <summary>Algorithm 3. A context of more than 255 bytes verifies nothing.</summary>
    internal bool Verify(ReadOnlySpan<byte> message, ReadOnlySpan<byte> context, ReadOnlySpan<byte> signature)
    {
        if (context.Length > MlDsa44.MaxContextSize) return false;
        Span<byte> mu = stackalloc byte[MlDsa44.LongSize];
        MlDsa44.Represent(tr, context, message, mu);
        return VerifyRepresentative(mu, signature);
    }

    /// <summary>Algorithm 8 from line 8 on: mu is what was signed.</summary>
    private bool VerifyRepresentative(ReadOnlySpan<byte> mu, ReadOnlySpan<byte> signature)
    {
        if (signature.Length != MlDsa44.SignatureSize) return false;
        ReadOnlySpan<byte> commitment = signature[..MlDsa44.ShortSize];
        ReadOnlySpan<byte> hintBytes = signature[^(MlDsaCoding.MaxHints + MlDsa44.K)..];
        Span<byte> hint = stackalloc byte[MlDsa44.K * N];
        if (!MlDsaCoding.TryUnpackHint(hintBytes, hint)) return false;

        // 4 kB each for z, 1 kB for the others: on the stack, as nothing here calls deeper.
        Span<int> z = stackalloc int[MlDsa44.L * N];
        for (int i = 0; i < MlDsa44.L; i++)
        {
            Span<int> one = z.Slice(i * N, N);
            MlDsaCoding.UnpackZ(signature.Slice(MlDsa44.ShortSize + (i * MlDsaCoding.PackedZ), MlDsaCoding.PackedZ), one);
            if (MlDsaPolynomial.Exceeds(one, MlDsaCoding.Gamma1 - MlDsa44.Beta) != 0) return false;
            MlDsaPolynomial.Ntt(one);
        }

        Span<int> c = stackalloc int[N];
        MlDsaCoding.SampleInBall(commitment, c);
        MlDsaPolynomial.Ntt(c);

        Span<int> w = stackalloc int[N];
        Span<int> ct1 = stackalloc int[N];
        Span<byte> w1 = stackalloc byte[MlDsa44.K * MlDsaCoding.PackedW1];
        for (int i = 0; i < MlDsa44.K; i++)
        {
            // w'Approx = NTT^-1(A NTT(z) - NTT(c) NTT(t1 2^d)).
            MlDsaPolynomial.RowTimesVector(matrix.AsSpan(i * MlDsa44.L * N, MlDsa44.L * N), z, w);
            MlDsaPolynomial.Multiply(c, t1.AsSpan(i * N, N), ct1);
            for (int j = 0; j < N; j++) w[j] -= ct1[j];
            MlDsaPolynomial.Reduce(w);
            MlDsaPolynomial.InverseNtt(w);
            MlDsaPolynomial.ToStandard(w);
            for (int j = 0; j < N; j++) w[j] = MlDsaPolynomial.UseHint(hint[(i * N) + j] != 0, w[j]);
            MlDsaCoding.Pack(w, 6, w1.Slice(i * MlDsaCoding.PackedW1, MlDsaCoding.PackedW1));
        }

        Span<byte> again = stackalloc byte[MlDsa44.ShortSize];
        Shake.Hash256(mu, w1, [], again);
        return again.SequenceEqual(commitment);
    }
}

/// <summary>An ML-DSA-44 private key with what can be computed ahead, 33 kB. Safe for concurrent use until it is disposed.</summary>
public sealed class MlDsa44PrivateKey : IDisposable
{
    private const int N = MlDsaPolynomial.N;

    // Pinned, so that no copy stays behind when the heap is compacted; zeroed when the key is disposed.
    private readonly byte[] seed = GC.AllocateArray<byte>(MlDsa44.SeedSize, pinned: true);
    private readonly byte[] key = GC.AllocateArray<byte>(MlDsa44.ShortSize, pinned: true);
    // NTT(s1), NTT(s2) and NTT(t0).
    private readonly int[] s1 = GC.AllocateArray<int>(MlDsa44.L * N, pinned: true);
    private readonly int[] s2 = GC.AllocateArray<int>(MlDsa44.K * N, pinned: true);
    private readonly int[] t0 = GC.AllocateArray<int>(MlDsa44.K * N, pinned: true);
    private readonly MlDsa44PublicKey publicKey;
    private volatile bool disposed;

    /// <summary>Algorithm 6, KeyGen_internal.</summary>
    private MlDsa44PrivateKey(ReadOnlySpan<byte> xi)
    {
        xi.CopyTo(seed);
        Span<byte> expanded = stackalloc byte[MlDsa44.ShortSize + MlDsa44.LongSize + MlDsa44.ShortSize];
        Shake.Hash256(xi, [MlDsa44.K, MlDsa44.L], [], expanded);
        ReadOnlySpan<byte> rho = expanded[..MlDsa44.ShortSize];
        ReadOnlySpan<byte> rhoPrime = expanded.Slice(MlDsa44.ShortSize, MlDsa44.LongSize);
        expanded[^MlDsa44.ShortSize..].CopyTo(key);
        for (int i = 0; i < MlDsa44.L; i++)
        {
            MlDsaCoding.SampleSecret(rhoPrime, i, s1.AsSpan(i * N, N));
            MlDsaPolynomial.Ntt(s1.AsSpan(i * N, N));
        }

        byte[] packed = new byte[MlDsa44.PublicKeySize];
        int[] matrix = new int[MlDsa44.K * MlDsa44.L * N];
        Span<int> t = stackalloc int[N];
        rho.CopyTo(packed);
        MlDsaCoding.ExpandMatrix(rho, matrix);
        for (int i = 0; i < MlDsa44.K; i++)
        {
            Span<int> secret = s2.AsSpan(i * N, N);
            Span<int> low = t0.AsSpan(i * N, N);
            MlDsaCoding.SampleSecret(rhoPrime, MlDsa44.L + i, secret);

            // t = NTT^-1(A NTT(s1)) + s2, of which the high bits are public.
            MlDsaPolynomial.RowTimesVector(matrix.AsSpan(i * MlDsa44.L * N, MlDsa44.L * N), s1, t);
            MlDsaPolynomial.InverseNtt(t);
            for (int j = 0; j < N; j++) t[j] += secret[j];
            MlDsaPolynomial.ToStandard(t);
            for (int j = 0; j < N; j++) (t[j], low[j]) = MlDsaPolynomial.Power2Round(t[j]);
            MlDsaCoding.Pack(t, 10, packed.AsSpan(MlDsa44.ShortSize + (i * MlDsaCoding.PackedT1), MlDsaCoding.PackedT1));
            MlDsaPolynomial.Ntt(secret);
            MlDsaPolynomial.Ntt(low);
        }

        CryptographicOperations.ZeroMemory(expanded);
        publicKey = new MlDsa44PublicKey(packed);
    }

    /// <summary>The 1,312 bytes of the public key.</summary>
    public ReadOnlyMemory<byte> PublicKey => publicKey.Bytes;

    /// <summary>Makes the key of a seed of 32 bytes (FIPS 204 algorithm 6). The caller zeroes the seed.</summary>
    /// <exception cref="ArgumentException">The seed has another length.</exception>
    public static MlDsa44PrivateKey FromSeed(ReadOnlySpan<byte> seed)
    {
        if (seed.Length != MlDsa44.SeedSize) throw new ArgumentException("an ML-DSA-44 seed has 32 bytes", nameof(seed));
        return new MlDsa44PrivateKey(seed);
    }

    /// <summary>Makes a new key from the random source of the system.</summary>
    public static MlDsa44PrivateKey Generate()
    {
        Span<byte> xi = stackalloc byte[MlDsa44.SeedSize];
        try
        {
            RandomNumberGenerator.Fill(xi);
            return new MlDsa44PrivateKey(xi);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(xi);
        }
    }

    /// <summary>
    /// Signs with an empty context, hedged: 2,420 bytes, others each time. A random source that repeats itself, or a fault in one signature of
    /// two of the same message, then gives less away than with <see cref="SignDeterministic"/>.
    /// </summary>
    public byte[] Sign(ReadOnlySpan<byte> message)
    {
        Span<byte> random = stackalloc byte[MlDsa44.ShortSize];
        try
        {
            RandomNumberGenerator.Fill(random);
            return Sign(message, [], random);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(random);
        }
    }

    /// <summary>Signs with an empty context, deterministic: 2,420 bytes, the same for the same message.</summary>
    public byte[] SignDeterministic(ReadOnlySpan<byte> message) => Sign(message, [], new byte[MlDsa44.ShortSize]);

    /// <summary>Zeroes the key.</summary>
    public void Dispose()
    {
        disposed = true;
        CryptographicOperations.ZeroMemory(seed);
        CryptographicOperations.ZeroMemory(key);
        Zero(s1);
        Zero(s2);
        Zero(t0);
    }

    /// <summary>Writes the 32 bytes of seed, for a key file; the caller zeroes them.</summary>
    internal void ExportSeed(Span<byte> destination)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        seed.CopyTo(destination);
    }

    /// <summary>
    /// Whether 2,560 bytes are this key as algorithm 24, skEncode, writes it: rho (32) || K (32) || tr (64) || s1 and s2 (96 a polynomial, 3 bits of
    /// 2 - coefficient) || t0 (416, 13 bits of 2^12 - coefficient).
    /// </summary>
    internal bool IsExpandedTo(ReadOnlySpan<byte> expanded)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        bool same = publicKey.Bytes.Span[..MlDsa44.ShortSize].SequenceEqual(Take(ref expanded, MlDsa44.ShortSize));
        same &= CryptographicOperations.FixedTimeEquals(key, Take(ref expanded, MlDsa44.ShortSize));
        same &= publicKey.Tr.SequenceEqual(Take(ref expanded, MlDsa44.LongSize));
        Span<int> one = stackalloc int[N];
        foreach ((int[] secrets, int bits, int zero) in new[] { (s1, 3, 2), (s2, 3, 2), (t0, 13, 1 << (MlDsaPolynomial.D - 1)) })
        {
            for (int i = 0; i < secrets.Length; i += N)
            {
                MlDsaCoding.Unpack(Take(ref expanded, 32 * bits), bits, one);
                for (int j = 0; j < N; j++) one[j] = zero - one[j];
                MlDsaPolynomial.Ntt(one);
                same &= CryptographicOperations.FixedTimeEquals(Bytes(one), Bytes(secrets.AsSpan(i, N)));
            }
        }

        Zero(one);
        return same;

        static ReadOnlySpan<byte> Take(ref ReadOnlySpan<byte> from, int size)
        {
            ReadOnlySpan<byte> taken = from[..size];
            from = from[size..];
            return taken;
        }
    }

    /// <summary>Algorithm 2, with 32 bytes of random: zeros for the deterministic variant.</summary>
    /// <exception cref="ArgumentException">The context has more than 255 bytes.</exception>
    internal byte[] Sign(ReadOnlySpan<byte> message, ReadOnlySpan<byte> context, ReadOnlySpan<byte> random)
    {
        if (context.Length > MlDsa44.MaxContextSize) throw new ArgumentException("a context has at most 255 bytes", nameof(context));
        Span<byte> mu = stackalloc byte[MlDsa44.LongSize];
        MlDsa44.Represent(publicKey.Tr, context, message, mu);
        return SignRepresentative(mu, random);
    }

    /// <summary>Algorithm 7 from line 7 on: signs mu.</summary>
    internal byte[] SignRepresentative(ReadOnlySpan<byte> mu, ReadOnlySpan<byte> random)
    {
        ObjectDisposedException.ThrowIf(disposed, this);
        Span<byte> rhoSecond = stackalloc byte[MlDsa44.LongSize];
        // 17 kB on the stack: a signature in the making is nowhere else, and is zeroed before the method ends.
        Span<int> work = stackalloc int[(MlDsa44.L + MlDsa44.L + MlDsa44.K + 2) * N];
        try
        {
            // With 32 bytes of zeros for random rho'' is a function of key and message, with others it is hedged.
            Shake.Hash256(key, random, mu, rhoSecond);
            byte[] signature = new byte[MlDsa44.SignatureSize];
            int kappa = 0;
            // About three attempts of four are rejected; 331 in a row with a probability of 2^-128.
            while (!TrySign(mu, rhoSecond, kappa, work, signature)) kappa += MlDsa44.L;
            return signature;
        }
        finally
        {
            CryptographicOperations.ZeroMemory(rhoSecond);
            Zero(work);
        }
    }

    /// <summary>
    /// One turn of the loop of algorithm 7. That a turn is rejected, and at which of the tests, depends on the mask of that turn, which is used for
    /// nothing else: the branches on the tests tell nothing of the key. Within a test all coefficients are looked at.
    /// </summary>
    private bool TrySign(ReadOnlySpan<byte> mu, ReadOnlySpan<byte> rhoSecond, int kappa, Span<int> work, Span<byte> signature)
    {
        Span<int> y = work[..(MlDsa44.L * N)];
        Span<int> z = work.Slice(y.Length, MlDsa44.L * N);
        Span<int> w = work.Slice(y.Length + z.Length, MlDsa44.K * N);
        Span<int> c = work[^(2 * N)..^N];
        Span<int> t = work[^N..];

        // y, and w = NTT^-1(A NTT(y)).
        for (int i = 0; i < MlDsa44.L; i++)
        {
            MlDsaCoding.SampleMask(rhoSecond, kappa + i, y.Slice(i * N, N));
            y.Slice(i * N, N).CopyTo(z.Slice(i * N, N));
            MlDsaPolynomial.Ntt(z.Slice(i * N, N));
        }

        Span<byte> w1 = stackalloc byte[MlDsa44.K * MlDsaCoding.PackedW1];
        for (int i = 0; i < MlDsa44.K; i++)
        {
            Span<int> one = w.Slice(i * N, N);
            MlDsaPolynomial.RowTimesVector(publicKey.Matrix.Slice(i * MlDsa44.L * N, MlDsa44.L * N), z, one);
            MlDsaPolynomial.InverseNtt(one);
            MlDsaPolynomial.ToStandard(one);
            for (int j = 0; j < N; j++) t[j] = MlDsaPolynomial.Decompose(one[j]).High;
            MlDsaCoding.Pack(t, 6, w1.Slice(i * MlDsaCoding.PackedW1, MlDsaCoding.PackedW1));
        }

        // The hash of the commitment, and the challenge out of it.
        Span<byte> commitment = signature[..MlDsa44.ShortSize];
        Shake.Hash256(mu, w1, [], commitment);
        MlDsaCoding.SampleInBall(commitment, c);
        MlDsaPolynomial.Ntt(c);

        // z = y + c s1.
        int exceeds = 0;
        for (int i = 0; i < MlDsa44.L; i++)
        {
            Span<int> one = z.Slice(i * N, N);
            Product(c, s1.AsSpan(i * N, N), one);
            for (int j = 0; j < N; j++) one[j] += y[(i * N) + j];
            MlDsaPolynomial.Reduce(one);
            exceeds |= MlDsaPolynomial.Exceeds(one, MlDsaCoding.Gamma1 - MlDsa44.Beta);
        }

        if (exceeds != 0) return false;

        // w - c s2, and r0 = its low bits.
        for (int i = 0; i < MlDsa44.K; i++)
        {
            Span<int> one = w.Slice(i * N, N);
            Product(c, s2.AsSpan(i * N, N), t);
            for (int j = 0; j < N; j++) one[j] -= t[j];
            MlDsaPolynomial.ToStandard(one);
            for (int j = 0; j < N; j++) t[j] = MlDsaPolynomial.Decompose(one[j]).Low;
            exceeds |= MlDsaPolynomial.Exceeds(t, MlDsaPolynomial.Gamma2 - MlDsa44.Beta);
        }

        if (exceeds != 0) return false;

        // The hint: where w - c s2 + c t0 has other high bits than w - c s2.
        Span<byte> hint = stackalloc byte[MlDsa44.K * N];
        int hints = 0;
        for (int i = 0; i < MlDsa44.K; i++)
        {
            Span<int> one = w.Slice(i * N, N);
            Product(c, t0.AsSpan(i * N, N), t);
            MlDsaPolynomial.Reduce(t);
            exceeds |= MlDsaPolynomial.Exceeds(t, MlDsaPolynomial.Gamma2);
            for (int j = 0; j < N; j++) t[j] += one[j];
            MlDsaPolynomial.ToStandard(t);
            for (int j = 0; j < N; j++)
            {
                int differs = MlDsaPolynomial.MakeHint(t[j], one[j]);
                hint[(i * N) + j] = (byte)differs;
                hints += differs;
            }
        }

        if (exceeds != 0 || hints > MlDsaCoding.MaxHints) return false;

        // From here on all is public.
        for (int i = 0; i < MlDsa44.L; i++)
        {
            MlDsaCoding.PackZ(z.Slice(i * N, N), signature.Slice(MlDsa44.ShortSize + (i * MlDsaCoding.PackedZ), MlDsaCoding.PackedZ));
        }

        MlDsaCoding.PackHint(hint, signature[^(MlDsaCoding.MaxHints + MlDsa44.K)..]);
        return true;
    }

    private static void Product(ReadOnlySpan<int> c, ReadOnlySpan<int> secret, Span<int> product)
    {
        MlDsaPolynomial.Multiply(c, secret, product);
        MlDsaPolynomial.InverseNtt(product);
    }

    private static Span<byte> Bytes(Span<int> secrets) => MemoryMarshal.AsBytes(secrets);

    private static void Zero(Span<int> secrets) => CryptographicOperations.ZeroMemory(Bytes(secrets));
}
