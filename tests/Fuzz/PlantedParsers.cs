// Parsers with a mistake each, of the kinds that the fuzzer is there for: if it does not find these, it finds nothing.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Planted mistakes, instrumented like the code under test.</summary>
internal static class PlantedParsers
{
    private static long _inversions;

    /// <summary>Reads outside of the input, behind a magic that is compared byte by byte and a length that is believed.</summary>
    public static byte ReadOutside(byte[] input)
    {
        if (input.Length < 6) return 0;
        if (input[0] != (byte)'P') return 1;
        if (input[1] != (byte)'L') return 2;
        if (input[2] != (byte)'N') return 3;
        if (input[3] != (byte)'T') return 4;
        return input[4] == 0 ? (byte)5 : input[5 + input[4]];
    }

    /// <summary>The same behind a magic that is compared at once: only its constant leads there.</summary>
    public static byte ReadOutsideBehindWord(byte[] input) =>
        input.AsSpan().StartsWith("tlog-planted v1 "u8) && input.Length > 16 ? input[input[16]] : (byte)0;

    /// <summary>Allocates what the input claims to hold.</summary>
    public static int AllocateClaimed(byte[] input)
    {
        if (input.Length < 4) return 0;
        int claimed = System.Buffers.Binary.BinaryPrimitives.ReadInt32BigEndian(input);
        return claimed is > 0 and < 64 * 1024 * 1024 ? new byte[claimed].Length : 0;
    }

    /// <summary>Compares every byte with every other.</summary>
    public static void Quadratic(byte[] input)
    {
        for (int i = 0; i < input.Length; i++)
        {
            for (int j = i + 1; j < input.Length; j++)
            {
                if (input[i] > input[j]) _inversions++;
            }
        }
    }

    /// <summary>Accepts a number with leading zeros.</summary>
    public static void NumberNotCanonical(byte[] input)
    {
        if (!input.AsSpan().StartsWith("size "u8) || !long.TryParse(input.AsSpan(5), NumberStyles.None, CultureInfo.InvariantCulture, out long size)) return;
        Target.RequireSame(input, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"size {size}")), "a size");
    }

    /// <summary>Believes a length behind a checksum over all bytes: out of reach of changes that do not mend it.</summary>
    public static byte BehindChecksum(byte[] input)
    {
        if (input.Length < 8 || Storage.Crc32C.Of(input.AsSpan(4)) != System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(input)) return 0;
        return input[4] == (byte)'P' ? input[4 + input[5]] : (byte)0;
    }
}
