// Changes a data directory by hand, from the description of its format: finds records and parts, and computes CRCs again, as someone
// who can write the files would.
using System.Buffers.Binary;

namespace TransparencyLog.Tests.Cli;

/// <summary>A place in a file.</summary>
internal readonly record struct Span(string Path, long Offset, int Length);

/// <summary>Edits records of a log directory; with <c>crc</c> true the change is one that only hashes can find.</summary>
internal sealed class Forger(string root)
{
    public const int TileAt = 8, RootAt = 8 + 8192, PreviousAt = RootAt + 32;

    public string this[string name] => Path.Combine(root, name);

    /// <summary>Envelope, payload and CRC of a record; without FASTER's header.</summary>
    public Span Record(string log, long number) => At(log, BinaryPrimitives.ReadInt64BigEndian(Read(this[log + "/addresses"], number * 8, 8)));

    public Span Part(long number, int place)
    {
        byte[] payload = Payload(Record("segments", number));
        return At("segments", BinaryPrimitives.ReadInt64BigEndian(payload.AsSpan(PreviousAt + 32 + 2 + (place * 12))));
    }

    /// <summary>Where an entry's bytes begin in the payload of its part (of the first part).</summary>
    public static int EntryOffset(long index)
    {
        int offset = 0;
        for (long i = index / 256 * 256; i < index; i++) offset += 2 + LogBuilder.EntryAt(i).Length;
        return offset + 2;
    }

    public static byte[] Payload(Span record) => Read(record.Path, record.Offset + 20, record.Length - 24);

    /// <summary>Flips one bit of the payload.</summary>
    public void Flip(Span record, int offset, bool crc) => Edit(record, bytes => bytes[20 + offset] ^= 1, crc);

    /// <summary>Puts bytes into the payload.</summary>
    public void Put(Span record, int offset, byte[] value, bool crc) => Edit(record, bytes => value.CopyTo(bytes, 20 + offset), crc);

    /// <summary>Changes envelope and payload.</summary>
    public void Edit(Span record, Action<byte[]> edit, bool crc)
    {
        byte[] bytes = Read(record.Path, record.Offset, record.Length);
        edit(bytes);
        if (crc) BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - 4), Crc(bytes.AsSpan(0, bytes.Length - 4)));
        Write(record.Path, record.Offset, bytes);
    }

    /// <summary>Exchanges two records or parts of one length as they are, or with the numbers that belong to their new places.</summary>
    public void Swap(Span one, Span other, bool crc)
    {
        Assert.Equal(one.Length, other.Length);
        byte[] a = Read(one.Path, one.Offset, one.Length), b = Read(other.Path, other.Offset, other.Length);
        if (crc)
        {
            byte[] envelope = a[..20];
            b.AsSpan(0, 20).CopyTo(a);
            envelope.CopyTo(b, 0);
        }

        Edit(one, bytes => b.CopyTo(bytes, 0), crc);
        Edit(other, bytes => a.CopyTo(bytes, 0), crc);
    }

    /// <summary>
    /// Replaces an entry and everything of its segment that follows from it, CRCs too: part, leaf hash, root. Only what lies outside of the
    /// segment can tell.
    /// </summary>
    public void ForgeSegment(long index)
    {
        long number = index / 256;
        byte[] entry = LogBuilder.EntryAt(index);
        entry[0] ^= 0x20;
        Put(Part(number, 0), EntryOffset(index), entry, crc: true);
        Span seal = Record("segments", number);
        Put(seal, TileAt + ((int)(index % 256) * 32), MerkleHash.Leaf(entry).ToArray(), crc: true);
        Hash[] leaves = [.. Payload(seal)[TileAt..RootAt].Chunk(32).Select(hash => new Hash(hash))];
        Put(seal, RootAt, MerkleHash.Root(leaves).ToArray(), crc: true);
    }

    /// <summary>Where the bytes are in a file.</summary>
    public static int Find(string path, byte[] bytes)
    {
        using FileStream file = File.OpenRead(path);
        byte[] all = new byte[file.Length];
        file.ReadExactly(all);
        return all.AsSpan().IndexOf(bytes);
    }

    /// <summary>Changes a frame of the journal that holds an entry, and computes its CRC again.</summary>
    public void ForgeJournal(byte[] from, byte[] to)
    {
        string path = this["journal/000000000001"];
        byte[] all = File.ReadAllBytes(path);
        int at = all.AsSpan().IndexOf(from);
        int frame = at / 512 * 512;
        while (!all.AsSpan(frame, 8).SequenceEqual("TLJRNL01"u8)) frame -= 512;
        to.CopyTo(all, at);
        int end = frame + 64 + BinaryPrimitives.ReadInt32BigEndian(all.AsSpan(frame + 8)) + BinaryPrimitives.ReadInt32BigEndian(all.AsSpan(frame + 12));
        BinaryPrimitives.WriteUInt32BigEndian(all.AsSpan(end), Crc(all.AsSpan(frame, end - frame)));
        Write(path, frame, all[frame..(end + 4)]);
    }

    public static byte[] Read(string path, long offset, int length)
    {
        using FileStream file = File.OpenRead(path);
        file.Position = offset;
        byte[] bytes = new byte[length];
        file.ReadExactly(bytes);
        return bytes;
    }

    public static void Write(string path, long offset, byte[] bytes)
    {
        using FileStream file = File.OpenWrite(path);
        file.Position = offset;
        file.Write(bytes);
    }

    public static void FlipByte(string path, long offset) => Write(path, offset, [(byte)(Read(path, offset, 1)[0] ^ 0x04)]);

    public static void Truncate(string path, long length)
    {
        using FileStream file = File.OpenWrite(path);
        file.SetLength(length);
    }

    /// <summary>CRC-32C bit by bit.</summary>
    public static uint Crc(ReadOnlySpan<byte> bytes)
    {
        uint crc = ~0u;
        foreach (byte value in bytes)
        {
            crc ^= value;
            for (int i = 0; i < 8; i++) crc = (crc >> 1) ^ ((crc & 1) * 0x82F63B78);
        }

        return ~crc;
    }

    private Span At(string log, long address)
    {
        string path = this[$"{log}/data.{address >> 30}"];
        long offset = address & ((1 << 30) - 1);
        return new Span(path, offset + 4, BinaryPrimitives.ReadInt32LittleEndian(Read(path, offset, 4)));
    }
}
