// SHAKE128 and SHAKE256 (FIPS 202): Keccak-f[1600] as a sponge, for ML-DSA. The base library has them only where OpenSSL does, and every call
// of its own there costs as much as a permutation; ML-DSA makes many short ones.
//
//     lane (x, y) of the state is word x + 5y, little-endian; rate 168 bytes (SHAKE128) or 136 (SHAKE256)
//     input || 1111 || 10*1, that is the byte 1f behind the input and 80 added to the last byte of the block
//
// The steps are the same whatever the bytes are: nothing here branches on them or looks up by them.
using System.Buffers.Binary;
using System.Diagnostics;
using System.Numerics;
using System.Runtime.CompilerServices;
using System.Runtime.InteropServices;

namespace TransparencyLog.Signing;

/// <summary>
/// One run of SHAKE: absorb, then squeeze, in pieces of any size. It lives on the stack of its user, who calls <see cref="Clear"/> when secrets went in.
/// </summary>
internal ref struct Shake
{
    /// <summary>Bytes of a block of SHAKE128.</summary>
    public const int Rate128 = 168;

    /// <summary>Bytes of a block of SHAKE256.</summary>
    public const int Rate256 = 136;

    private readonly int rate;
    private State state;
    private int at;
    private bool squeezing;

    private Shake(int rate) => this.rate = rate;

    /// <summary>A fresh SHAKE128.</summary>
    public static Shake Shake128() => new(Rate128);

    /// <summary>A fresh SHAKE256.</summary>
    public static Shake Shake256() => new(Rate256);

    /// <summary>SHAKE256 of up to three parts, one behind the other; the state is zeroed.</summary>
    public static void Hash256(ReadOnlySpan<byte> first, ReadOnlySpan<byte> second, ReadOnlySpan<byte> third, Span<byte> output)
    {
        Shake shake = Shake256();
        shake.Absorb(first);
        shake.Absorb(second);
        shake.Absorb(third);
        shake.Squeeze(output);
        shake.Clear();
    }

    /// <summary>Takes in more of the input.</summary>
    public void Absorb(scoped ReadOnlySpan<byte> input)
    {
        if (squeezing) throw new UnreachableException("a sponge that is squeezed takes nothing in");
        while (!input.IsEmpty)
        {
            int taken;
            if (at % sizeof(ulong) == 0 && input.Length >= sizeof(ulong))
            {
                state[at / sizeof(ulong)] ^= BinaryPrimitives.ReadUInt64LittleEndian(input);
                taken = sizeof(ulong);
            }
            else
            {
                state[at / sizeof(ulong)] ^= (ulong)input[0] << (at % sizeof(ulong) * 8);
                taken = 1;
            }

            input = input[taken..];
            at += taken;
            if (at < rate) continue;
            Permute(ref state);
            at = 0;
        }
    }

    /// <summary>Gives the next bytes of the output; the input is over.</summary>
    public void Squeeze(scoped Span<byte> output)
    {
        if (!squeezing)
        {
            state[at / sizeof(ulong)] ^= 0x1ful << (at % sizeof(ulong) * 8);
            state[(rate - 1) / sizeof(ulong)] ^= 0x80ul << ((rate - 1) % sizeof(ulong) * 8);
            squeezing = true;
            at = rate;
        }

        while (!output.IsEmpty)
        {
            if (at == rate)
            {
                Permute(ref state);
                at = 0;
            }

            if (at % sizeof(ulong) == 0 && output.Length >= sizeof(ulong))
            {
                BinaryPrimitives.WriteUInt64LittleEndian(output, state[at / sizeof(ulong)]);
                output = output[sizeof(ulong)..];
                at += sizeof(ulong);
            }
            else
            {
                output[0] = (byte)(state[at / sizeof(ulong)] >> (at % sizeof(ulong) * 8));
                output = output[1..];
                at++;
            }
        }
    }

    /// <summary>Zeroes the state.</summary>
    public void Clear() => System.Security.Cryptography.CryptographicOperations.ZeroMemory(MemoryMarshal.AsBytes((Span<ulong>)state));

    /// <summary>FIPS 202 section 3.2.5, algorithm 5: rc(t) for the bits 2^j - 1 of the 24 rounds.</summary>
    private static ReadOnlySpan<ulong> RoundConstants =>
    [
        0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000, 0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
        0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a, 0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
        0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a, 0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008,
    ];

    /// <summary>Keccak-f[1600] (FIPS 202 sections 3.2 and 3.3). Written out, so that the state stays in locals: a loop over lanes takes several times as long.</summary>
    private static void Permute(ref State state)
    {
        ulong a0 = state[0], a1 = state[1], a2 = state[2], a3 = state[3], a4 = state[4];
        ulong a5 = state[5], a6 = state[6], a7 = state[7], a8 = state[8], a9 = state[9];
        ulong a10 = state[10], a11 = state[11], a12 = state[12], a13 = state[13], a14 = state[14];
        ulong a15 = state[15], a16 = state[16], a17 = state[17], a18 = state[18], a19 = state[19];
        ulong a20 = state[20], a21 = state[21], a22 = state[22], a23 = state[23], a24 = state[24];
        foreach (ulong constant in RoundConstants)
        {
            // Theta: the parity of two columns into every lane.
            ulong c0 = a0 ^ a5 ^ a10 ^ a15 ^ a20;
            ulong c1 = a1 ^ a6 ^ a11 ^ a16 ^ a21;
            ulong c2 = a2 ^ a7 ^ a12 ^ a17 ^ a22;
            ulong c3 = a3 ^ a8 ^ a13 ^ a18 ^ a23;
            ulong c4 = a4 ^ a9 ^ a14 ^ a19 ^ a24;
            ulong d0 = c4 ^ BitOperations.RotateLeft(c1, 1);
            ulong d1 = c0 ^ BitOperations.RotateLeft(c2, 1);
            ulong d2 = c1 ^ BitOperations.RotateLeft(c3, 1);
            ulong d3 = c2 ^ BitOperations.RotateLeft(c4, 1);
            ulong d4 = c3 ^ BitOperations.RotateLeft(c0, 1);

            // Rho and pi: each lane rotated and moved.
            ulong b0 = a0 ^ d0;
            ulong b1 = BitOperations.RotateLeft(a6 ^ d1, 44);
            ulong b2 = BitOperations.RotateLeft(a12 ^ d2, 43);
            ulong b3 = BitOperations.RotateLeft(a18 ^ d3, 21);
            ulong b4 = BitOperations.RotateLeft(a24 ^ d4, 14);
            ulong b5 = BitOperations.RotateLeft(a3 ^ d3, 28);
            ulong b6 = BitOperations.RotateLeft(a9 ^ d4, 20);
            ulong b7 = BitOperations.RotateLeft(a10 ^ d0, 3);
            ulong b8 = BitOperations.RotateLeft(a16 ^ d1, 45);
            ulong b9 = BitOperations.RotateLeft(a22 ^ d2, 61);
            ulong b10 = BitOperations.RotateLeft(a1 ^ d1, 1);
            ulong b11 = BitOperations.RotateLeft(a7 ^ d2, 6);
            ulong b12 = BitOperations.RotateLeft(a13 ^ d3, 25);
            ulong b13 = BitOperations.RotateLeft(a19 ^ d4, 8);
            ulong b14 = BitOperations.RotateLeft(a20 ^ d0, 18);
            ulong b15 = BitOperations.RotateLeft(a4 ^ d4, 27);
            ulong b16 = BitOperations.RotateLeft(a5 ^ d0, 36);
            ulong b17 = BitOperations.RotateLeft(a11 ^ d1, 10);
            ulong b18 = BitOperations.RotateLeft(a17 ^ d2, 15);
            ulong b19 = BitOperations.RotateLeft(a23 ^ d3, 56);
            ulong b20 = BitOperations.RotateLeft(a2 ^ d2, 62);
            ulong b21 = BitOperations.RotateLeft(a8 ^ d3, 55);
            ulong b22 = BitOperations.RotateLeft(a14 ^ d4, 39);
            ulong b23 = BitOperations.RotateLeft(a15 ^ d0, 41);
            ulong b24 = BitOperations.RotateLeft(a21 ^ d1, 2);

            // Chi, row by row, and iota.
            a0 = b0 ^ (~b1 & b2) ^ constant;
            a1 = b1 ^ (~b2 & b3);
            a2 = b2 ^ (~b3 & b4);
            a3 = b3 ^ (~b4 & b0);
            a4 = b4 ^ (~b0 & b1);
            a5 = b5 ^ (~b6 & b7);
            a6 = b6 ^ (~b7 & b8);
            a7 = b7 ^ (~b8 & b9);
            a8 = b8 ^ (~b9 & b5);
            a9 = b9 ^ (~b5 & b6);
            a10 = b10 ^ (~b11 & b12);
            a11 = b11 ^ (~b12 & b13);
            a12 = b12 ^ (~b13 & b14);
            a13 = b13 ^ (~b14 & b10);
            a14 = b14 ^ (~b10 & b11);
            a15 = b15 ^ (~b16 & b17);
            a16 = b16 ^ (~b17 & b18);
            a17 = b17 ^ (~b18 & b19);
            a18 = b18 ^ (~b19 & b15);
            a19 = b19 ^ (~b15 & b16);
            a20 = b20 ^ (~b21 & b22);
            a21 = b21 ^ (~b22 & b23);
            a22 = b22 ^ (~b23 & b24);
            a23 = b23 ^ (~b24 & b20);
            a24 = b24 ^ (~b20 & b21);
        }

        (state[0], state[1], state[2], state[3], state[4]) = (a0, a1, a2, a3, a4);
        (state[5], state[6], state[7], state[8], state[9]) = (a5, a6, a7, a8, a9);
        (state[10], state[11], state[12], state[13], state[14]) = (a10, a11, a12, a13, a14);
        (state[15], state[16], state[17], state[18], state[19]) = (a15, a16, a17, a18, a19);
        (state[20], state[21], state[22], state[23], state[24]) = (a20, a21, a22, a23, a24);
    }

    [InlineArray(25)]
    private struct State
    {
        private ulong lane;
    }
}
