// The content of the store: the newest note of each origin. Each change is one entry of the journal. An entry is the note and nothing else: its first line is
// the origin, the next two are size and root, and its signature lines are the verified lines of the log and ours.
//
// The chain is a hash over every entry since the beginning: chain' = SHA-256(chain || entry), starting with 32 zero bytes. Two copies of a directory that have
// diverged may have the same index, but they never have the same chain.

using System.Security.Cryptography;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The newest note of each origin, and how many entries have led to them. Not thread-safe; one owner.</summary>
internal sealed class StoredNotes(long index, Hash chain)
{
    private readonly SortedDictionary<string, byte[]> _newest = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _sizes = new(StringComparer.Ordinal);

    /// <summary>How many entries the journal has had.</summary>
    public long Index { get; private set; } = index;

    /// <summary>The hash over all entries.</summary>
    public Hash Chain { get; private set; } = chain;

    /// <summary>Total size of the newest notes, in bytes.</summary>
    public long Bytes { get; private set; }

    /// <summary>The newest notes, by origin.</summary>
    public IReadOnlyDictionary<string, byte[]> Newest => _newest;

    /// <summary>Adds a note of a snapshot. It does not count as an entry.</summary>
    /// <exception cref="DamageException">It is not the note of a checkpoint, or its origin already has a note.</exception>
    public void Restore(byte[] note, string place)
    {
        Checkpoint checkpoint = Parse(note, place);
        if (!_newest.TryAdd(checkpoint.Origin, note)) throw Damaged(place, "one note for each origin", $"two of {checkpoint.Origin}");
        _sizes.Add(checkpoint.Origin, checkpoint.Size);
        Bytes += note.Length;
    }

    /// <summary>Applies the next entry of the journal.</summary>
    /// <exception cref="DamageException">It is not the note of a checkpoint, or its size is smaller than the last one of its origin.</exception>
    public void Apply(byte[] note, string place)
    {
        Checkpoint checkpoint = Parse(note, place);
        if (_sizes.TryGetValue(checkpoint.Origin, out long size) && checkpoint.Size < size)
        {
            throw Damaged(place, $"size {size} or more of {checkpoint.Origin}", $"size {checkpoint.Size}");
        }

        Bytes += note.Length - (_newest.TryGetValue(checkpoint.Origin, out byte[]? before) ? before.Length : 0);
        _newest[checkpoint.Origin] = note;
        _sizes[checkpoint.Origin] = checkpoint.Size;
        byte[] preimage = new byte[Hash.Size + note.Length];
        Chain.CopyTo(preimage);
        note.CopyTo(preimage, Hash.Size);
        Chain = new Hash(SHA256.HashData(preimage));
        Index++;
    }

    private static Checkpoint Parse(byte[] bytes, string place) =>
        Note.TryParse(bytes, out Note? note) && Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)
            ? checkpoint
            : throw Damaged(place, "a signed checkpoint", "something else");

    private static DamageException Damaged(string place, string expected, string found) => new(new Damage("witness-store", place, null, null, expected, found));
}
