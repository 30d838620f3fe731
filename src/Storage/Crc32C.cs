using System.Buffers.Binary;
using System.Numerics;

namespace TransparencyLog.Storage;

/// <summary>CRC-32C (Castagnoli) as in RFC 3720: initial value and final exclusive-or of all ones. It detects damage, not forgery.</summary>
public static class Crc32C
{
    /// <summary>Computes the CRC of the bytes.</summary>
    public static uint Of(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        while (bytes.Length >= 8)
        {
            crc = BitOperations.Crc32C(crc, BinaryPrimitives.ReadUInt64LittleEndian(bytes));
            bytes = bytes[8..];
        }

        foreach (byte value in bytes) crc = BitOperations.Crc32C(crc, value);
        return ~crc;
    }
}
