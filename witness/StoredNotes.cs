// What the store holds: for each origin the newest note, as one entry of the journal each time it changes. An entry is the note and
// nothing else: the origin is its first line, size and root are the next two, and its signature lines are the log's, verified, and ours.
//
// The chain is a hash over every entry there ever was: chain' = SHA-256(chain || entry), from 32 zero bytes. Two copies of one
// directory that went different ways may have the same index; they never have the same chain.

using System.Security.Cryptography;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The newest note of each origin, and how many entries made it so. Not thread-safe; one owner.</summary>
internal sealed class StoredNotes(long index, Hash chain)
{
    private readonly SortedDictionary<string, byte[]> _newest = new(StringComparer.Ordinal);
    private readonly Dictionary<string, long> _sizes = new(StringComparer.Ordinal);

    /// <summary>How many entries the journal has had.</summary>
    public long Index { get; private set; } = index;

    /// <summary>The hash over all of them.</summary>
    public Hash Chain { get; private set; } = chain;

    /// <summary>How many bytes the newest notes have together.</summary>
    public long Bytes { get; private set; }

    /// <summary>Notes by origin.</summary>
    public IReadOnlyDictionary<string, byte[]> Newest => _newest;

    /// <summary>Takes a note of a snapshot: it counts as no entry.</summary>
    /// <exception cref="DamageException">It is no note of a checkpoint, or the second of its origin.</exception>
    public void Restore(byte[] note, string place)
    {
        Checkpoint checkpoint = Parse(note, place);
        if (!_newest.TryAdd(checkpoint.Origin, note)) throw Damaged(place, "one note for each origin", $"two of {checkpoint.Origin}");
        _sizes.Add(checkpoint.Origin, checkpoint.Size);
        Bytes += note.Length;
    }

    /// <summary>Takes the next entry of the journal.</summary>
    /// <exception cref="DamageException">It is no note of a checkpoint, or it takes its origin back to a smaller size.</exception>
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
