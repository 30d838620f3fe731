// The seal of a segment: the payload of its record in the segments log.
//
//   first index i64 | level-0 tile 8,192 bytes | Merkle root 32 | SHA-256 of the payload of the seal before it 32 (zeros for the first)
//   | number of bundle records u16 | for each: address i64, length u32 (payload bytes)
//
// All numbers are big-endian. The record's envelope has the number of the segment and a CRC-32C (RecordLog.cs). Because of the chain of seal hashes, a replaced
// segment is detected from every later one.

using System.Buffers.Binary;
using System.Diagnostics.CodeAnalysis;
using System.Security.Cryptography;

namespace TransparencyLog.Storage;

internal sealed record Seal(long FirstIndex, ReadOnlyMemory<byte> Tile, Hash Root, Hash Previous, IReadOnlyList<(long Address, int Length)> Parts)
{
    public const int TileSize = 256 * Hash.Size;
    private const int FixedSize = 8 + TileSize + (2 * Hash.Size) + 2;
    private const int PartSize = 12;

    /// <summary>The payload bytes of a seal: with one part, and with the parts of the largest bundle (256 entries of 65,535 bytes, 17 parts).</summary>
    public const int LeastSize = FixedSize + PartSize, MostSize = FixedSize + (((256 * (EntryBundle.MaxEntrySize + 2) / RecordLog.MaxPayload) + 1) * PartSize);

    public byte[] ToPayload()
    {
        byte[] bytes = new byte[FixedSize + (Parts.Count * PartSize)];
        BinaryPrimitives.WriteInt64BigEndian(bytes, FirstIndex);
        Tile.Span.CopyTo(bytes.AsSpan(8));
        Root.CopyTo(bytes.AsSpan(8 + TileSize));
        Previous.CopyTo(bytes.AsSpan(8 + TileSize + Hash.Size));
        BinaryPrimitives.WriteUInt16BigEndian(bytes.AsSpan(FixedSize - 2), (ushort)Parts.Count);
        for (int i = 0; i < Parts.Count; i++)
        {
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(FixedSize + (i * PartSize)), Parts[i].Address);
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(FixedSize + (i * PartSize) + 8), Parts[i].Length);
        }

        return bytes;
    }

    public static bool TryParse(ReadOnlyMemory<byte> payload, [NotNullWhen(true)] out Seal? seal)
    {
        seal = null;
        ReadOnlySpan<byte> bytes = payload.Span;
        if (bytes.Length < FixedSize) return false;
        int count = BinaryPrimitives.ReadUInt16BigEndian(bytes[(FixedSize - 2)..]);
        if (count == 0 || bytes.Length != FixedSize + (count * PartSize)) return false;
        (long, int)[] parts = new (long, int)[count];
        for (int i = 0; i < count; i++)
        {
            parts[i] = (BinaryPrimitives.ReadInt64BigEndian(bytes[(FixedSize + (i * PartSize))..]), BinaryPrimitives.ReadInt32BigEndian(bytes[(FixedSize + (i * PartSize) + 8)..]));
            if (parts[i].Item2 is <= 0 or > RecordLog.MaxPayload) return false;
        }

        seal = new Seal(
            BinaryPrimitives.ReadInt64BigEndian(bytes),
            payload.Slice(8, TileSize),
            new Hash(bytes.Slice(8 + TileSize, Hash.Size)),
            new Hash(bytes.Slice(8 + TileSize + Hash.Size, Hash.Size)),
            parts);
        return true;
    }

    /// <summary>The hash that the next seal holds as <see cref="Previous"/>.</summary>
    public static Hash HashOf(ReadOnlySpan<byte> payload) => new(SHA256.HashData(payload));
}
