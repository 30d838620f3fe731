// Between bytes and polynomials of ML-DSA-44 (FIPS 204 sections 7.1 to 7.3): packed coefficients and hints, and the polynomials that are
// drawn out of SHAKE.
//
//     packed       coefficient j of b bits stands at the bits jb .. jb+b-1 of the bytes, least significant first
//     hint         80 bytes of positions, ascending within each of the 4 polynomials, zeros behind the last; then 4 bytes: where each one ends
//
// Rejection sampling throws a candidate away by its value and draws the next one: how many were drawn can be seen from outside, which of the
// accepted ones came out cannot.
using System.Diagnostics;
using System.Security.Cryptography;

namespace TransparencyLog.Signing;

/// <summary>Packing and sampling. K and L are 4.</summary>
internal static class MlDsaCoding
{
    /// <summary>Coefficients of z are from -gamma1 + 1 to gamma1.</summary>
    public const int Gamma1 = 1 << 17;

    /// <summary>Most ones in a hint: omega.</summary>
    public const int MaxHints = 80;

    /// <summary>Coefficients of c that are not 0: tau.</summary>
    public const int Tau = 39;

    /// <summary>Bytes of a packed polynomial of z: 18 bits a coefficient.</summary>
    public const int PackedZ = 576;

    /// <summary>Bytes of a packed polynomial of t1: 10 bits a coefficient.</summary>
    public const int PackedT1 = 320;

    /// <summary>Bytes of a packed polynomial of w1: 6 bits a coefficient.</summary>
    public const int PackedW1 = 192;

    private const int N = MlDsaPolynomial.N;
    private const int K = MlDsa44.K;

    /// <summary>Algorithm 16, SimpleBitPack: coefficients of 0 .. 2^bits - 1 into 32 * bits bytes.</summary>
    public static void Pack(ReadOnlySpan<int> w, int bits, Span<byte> bytes)
    {
        ulong buffer = 0;
        int filled = 0;
        int at = 0;
        foreach (int coefficient in w)
        {
            buffer |= (ulong)(uint)coefficient << filled;
            for (filled += bits; filled >= 8; filled -= 8)
            {
                bytes[at++] = (byte)buffer;
                buffer >>= 8;
            }
        }
    }

    /// <summary>Algorithm 18, SimpleBitUnpack.</summary>
    public static void Unpack(ReadOnlySpan<byte> bytes, int bits, Span<int> w)
    {
        ulong buffer = 0;
        int filled = 0;
        int at = 0;
        for (int j = 0; j < w.Length; j++)
        {
            for (; filled < bits; filled += 8) buffer |= (ulong)bytes[at++] << filled;
            w[j] = (int)(buffer & ((1u << bits) - 1));
            buffer >>= bits;
            filled -= bits;
        }
    }

    /// <summary>Algorithm 17, BitPack with gamma1 - 1 and gamma1: a polynomial of z into 576 bytes; it is changed.</summary>
    public static void PackZ(Span<int> z, Span<byte> bytes)
    {
        for (int j = 0; j < z.Length; j++) z[j] = Gamma1 - z[j];
        Pack(z, 18, bytes);
    }

    /// <summary>Algorithm 19, BitUnpack with gamma1 - 1 and gamma1: a polynomial of z out of 576 bytes, every one of which is some.</summary>
    public static void UnpackZ(ReadOnlySpan<byte> bytes, Span<int> z)
    {
        Unpack(bytes, 18, z);
        for (int j = 0; j < z.Length; j++) z[j] = Gamma1 - z[j];
    }

    /// <summary>Algorithm 20, HintBitPack: four times 256 bytes of 0 and 1, at most 80 of them 1, into 84 bytes of zeros.</summary>
    public static void PackHint(ReadOnlySpan<byte> hint, Span<byte> bytes)
    {
        int index = 0;
        for (int i = 0; i < K; i++)
        {
            for (int j = 0; j < N; j++)
            {
                if (hint[(i * N) + j] != 0) bytes[index++] = (byte)j;
            }

            bytes[MaxHints + i] = (byte)index;
        }
    }

    /// <summary>Algorithm 21, HintBitUnpack, into four times 256 bytes of zeros. False for any of the bytes that algorithm 20 does not make.</summary>
    public static bool TryUnpackHint(ReadOnlySpan<byte> bytes, Span<byte> hint)
    {
        int index = 0;
        for (int i = 0; i < K; i++)
        {
            int end = bytes[MaxHints + i];
            if (end < index || end > MaxHints) return false;
            for (int first = index; index < end; index++)
            {
                if (index > first && bytes[index - 1] >= bytes[index]) return false;
                hint[(i * N) + bytes[index]] = 1;
            }
        }

        return !bytes[index..MaxHints].ContainsAnyExcept((byte)0);
    }

    /// <summary>Algorithm 29, SampleInBall: 39 coefficients of 1 or -1 out of the commitment hash, the others 0.</summary>
    public static void SampleInBall(ReadOnlySpan<byte> seed, Span<int> c)
    {
        Shake shake = Shake.Shake256();
        shake.Absorb(seed);
        Span<byte> drawn = stackalloc byte[8];
        shake.Squeeze(drawn);
        ulong signs = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(drawn);
        c.Clear();
        for (int i = N - Tau; i < N; i++)
        {
            do
            {
                shake.Squeeze(drawn[..1]);
            }
            while (drawn[0] > i);

            int j = drawn[0];
            c[i] = c[j];
            c[j] = 1 - (2 * (int)(signs & 1));
            signs >>= 1;
        }

        shake.Clear();
    }

    /// <summary>Algorithm 32, ExpandA: 4 rows of 4 transformed polynomials out of the public seed of 32 bytes.</summary>
    public static void ExpandMatrix(ReadOnlySpan<byte> rho, Span<int> matrix)
    {
        Span<byte> block = stackalloc byte[Shake.Rate128];
        for (int r = 0; r < K; r++)
        {
            for (int s = 0; s < MlDsa44.L; s++)
            {
                // Algorithm 30, RejNTTPoly: 3 bytes make 23 bits, and those below q a coefficient.
                Shake shake = Shake.Shake128();
                shake.Absorb(rho);
                shake.Absorb([(byte)s, (byte)r]);
                Span<int> a = matrix.Slice(((r * MlDsa44.L) + s) * N, N);
                int j = 0;
                while (j < N)
                {
                    shake.Squeeze(block);
                    for (int at = 0; at < block.Length && j < N; at += 3)
                    {
                        int candidate = block[at] | (block[at + 1] << 8) | ((block[at + 2] & 0x7f) << 16);
                        if (candidate < MlDsaPolynomial.Q) a[j++] = candidate;
                    }
                }
            }
        }
    }

    /// <summary>Algorithm 31, RejBoundedPoly, with eta = 2: a polynomial of -2 .. 2, out of 64 bytes of seed and a number.</summary>
    public static void SampleSecret(ReadOnlySpan<byte> rhoPrime, int number, Span<int> s)
    {
        Shake shake = Shake.Shake256();
        Span<byte> block = stackalloc byte[Shake.Rate256];
        shake.Absorb(rhoPrime);
        shake.Absorb([(byte)number, (byte)(number >> 8)]);
        int j = 0;
        while (j < s.Length)
        {
            shake.Squeeze(block);
            foreach (byte two in block)
            {
                int low = two & 15;
                int high = two >> 4;
                if (low < 15 && j < s.Length) s[j++] = FromHalfByte(low);
                if (high < 15 && j < s.Length) s[j++] = FromHalfByte(high);
            }
        }

        shake.Clear();
        CryptographicOperations.ZeroMemory(block);

        // 2 - (b mod 5); 205 / 1024 is a fifth closely enough for 0 .. 14.
        static int FromHalfByte(int b) => 2 - (b - ((205 * b) >> 10) * 5);
    }

    /// <summary>One polynomial of algorithm 34, ExpandMask: coefficients from -gamma1 + 1 to gamma1, out of 64 bytes of seed and a number.</summary>
    public static void SampleMask(ReadOnlySpan<byte> rhoSecond, int number, Span<int> y)
    {
        if (number is < 0 or > ushort.MaxValue) throw new UnreachableException("a mask beyond the 65,536 of algorithm 34");
        Span<byte> packed = stackalloc byte[PackedZ];
        Shake.Hash256(rhoSecond, [(byte)number, (byte)(number >> 8)], [], packed);
        UnpackZ(packed, y);
        CryptographicOperations.ZeroMemory(packed);
    }
}
