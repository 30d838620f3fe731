// The snapshot has the newest note of every origin at one moment, so that the journal below that moment can be trimmed.
//
//   offset  size
//        0     8  magic "TLWSNAP1"
//        8     8  index: the snapshot covers the journal's entries below it
//       16    32  chain: hash over all entries below the index (StoredNotes.cs)
//       48     8  identity of the journal
//       56     4  number of notes
//       60     4  bytes of the notes
//       64        the notes in the order of their origins, each with a u16 length before it
//        +     4  CRC-32C of everything before it
//
// All numbers are big-endian. The file is replaced as a whole. `create` writes the first one, so a missing file is a loss.

using System.Buffers.Binary;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>Writes and reads the snapshot file.</summary>
internal static class Snapshot
{
    /// <summary>Largest snapshot in bytes: about 60,000 notes of 1 kB. The lists of a witness name at most 4,096 logs.</summary>
    private const int MaxSize = 64 * 1024 * 1024;

    private const int HeaderSize = 64;

    private static ReadOnlySpan<byte> Magic => "TLWSNAP1"u8;

    /// <summary>Replaces the snapshot. Durable on return.</summary>
    public static void Write(string path, StoredNotes notes, ulong identity)
    {
        byte[] bytes = ToBytes(notes, identity);
        if (bytes.Length > MaxSize) throw new StorageException($"{path} would have {bytes.Length} bytes; at most {MaxSize} are read again");
        DurableFile.Replace(path, bytes);
    }

    private static byte[] ToBytes(StoredNotes notes, ulong identity)
    {
        int noteBytes = notes.Newest.Sum(note => EntryBundle.EncodedSize(note.Value.Length));
        byte[] bytes = new byte[HeaderSize + noteBytes + sizeof(uint)];
        Magic.CopyTo(bytes);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(8), notes.Index);
        notes.Chain.CopyTo(bytes.AsSpan(16));
        BinaryPrimitives.WriteUInt64BigEndian(bytes.AsSpan(48), identity);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(56), notes.Newest.Count);
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(60), noteBytes);
        int at = HeaderSize;
        foreach (byte[] note in notes.Newest.Values) at += EntryBundle.Write(note, bytes.AsSpan(at));
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(at), Crc32C.Of(bytes.AsSpan(0, at)));
        return bytes;
    }

    /// <summary>Reads the snapshot.</summary>
    /// <exception cref="DamageException">The file is missing or damaged.</exception>
    public static StoredNotes Read(string path, ulong identity)
    {
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) throw Damaged(path, "the newest note of every origin", "no file: the memory of this witness is lost");
        if (bytes.Length < HeaderSize + sizeof(uint) || !bytes.AsSpan(0, 8).SequenceEqual(Magic)) throw Damaged(path, "a snapshot", "something else");
        if (BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(bytes.Length - sizeof(uint))) != Crc32C.Of(bytes.AsSpan(0, bytes.Length - sizeof(uint)))) throw Damaged(path, "a snapshot", "a CRC that does not match");
        if (BinaryPrimitives.ReadUInt64BigEndian(bytes.AsSpan(48)) != identity) throw Damaged(path, "a snapshot of this witness", "that of another one");
        ReadOnlySpan<byte> bundle = bytes.AsSpan(HeaderSize..^sizeof(uint));
        if (!EntryBundle.TryCount(bundle, out int count) || count != BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(56))) throw Damaged(path, "notes behind their lengths", "something else");
        long index = BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(8));
        if (index < 0) throw Damaged(path, "an index", $"{index}");
        StoredNotes notes = new(index, new Hash(bytes.AsSpan(16, Hash.Size)));
        foreach (ReadOnlySpan<byte> note in EntryBundle.Enumerate(bundle)) notes.Restore(note.ToArray(), path);
        return ToBytes(notes, identity).AsSpan().SequenceEqual(bytes) ? notes : throw Damaged(path, "notes in the order of their origins, and their length", "something else");
    }

    private static DamageException Damaged(string path, string expected, string found) => new(new Damage("snapshot", path, null, null, expected, found));
}
