// The guard: what a restored data directory cannot know, kept in another place (--guard DIR).
//
//     <SHA-256 of the vkey, hex>.witness     tlog-witness-guard v1 <index> <chain, 64 hex> <CRC-32C of what stands before it, 8 hex>\n
//
// It is replaced after each frame of the journal and before any answer to it. So at a start it is equal to the store, or behind it by the
// frame at whose end the process stopped; ahead of the store, or beside it, means that the directory is an older copy. The file
// `guarded` in the data directory remembers that there is a guard: it may not just go missing.

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The second memory of how far the store is. One owner: the store's writer.</summary>
internal sealed class Guard
{
    private const string Header = "tlog-witness-guard v1 ";
    private const int MaxSize = 256;
    private const int MaxPath = 4096;

    private readonly string _path;
    private readonly string? _used; // where to say that there is a guard; null when it is said

    private Guard(string path, string? used) => (_path, _used) = (path, used);

    /// <summary>
    /// Compares the store with its guard, and changes nothing: <see cref="Begin"/> brings a guard that a crash left behind up to date, once what
    /// the store holds is durable.
    /// </summary>
    /// <param name="dataDirectory">The data directory, locked.</param>
    /// <param name="guardDirectory">Where the guard is; null for none.</param>
    /// <param name="witness">Whose it is.</param>
    /// <param name="notes">What the store holds.</param>
    /// <param name="chains">The chain at each index from the snapshot's on; the last is that of <paramref name="notes"/>.</param>
    /// <exception cref="StorageException">They do not tell one story, or the guard of a guarded store is gone.</exception>
    public static Guard? Open(string dataDirectory, string? guardDirectory, VerifierKey witness, StoredNotes notes, IReadOnlyList<Hash> chains)
    {
        string used = Path.Combine(dataDirectory, "guarded");
        bool guarded = DurableFile.TryRead(used, MaxPath, out byte[] place);
        if (guardDirectory is null)
        {
            return guarded
                ? throw new StorageException($"this witness has a guard in {Encoding.UTF8.GetString(place).Trim()}: start with --guard, or remove {used} to give it up")
                : null;
        }

        string path = Path.Combine(Path.GetFullPath(guardDirectory), $"{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(witness.ToString())))}.witness");
        Guard guard = new(path, guarded ? null : used);
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes))
        {
            if (guarded) throw new StorageException($"the guard {path} is missing, and this witness has been used with it: an older copy of {dataDirectory} could not be noticed (remove {used} to begin a new guard)");
        }
        else
        {
            Check(path, bytes, dataDirectory, notes, chains);
        }

        return guard;
    }

    /// <summary>Brings the guard to where the store is, at a start.</summary>
    public void Begin(StoredNotes notes)
    {
        string directory = Path.GetDirectoryName(_path)!;
        DurableFile.CreateDirectory(directory);

        // The guard before the word that there is one: a crash between the two leaves a guard that agrees.
        Advance(notes);
        if (_used is not null) DurableFile.Replace(_used, Encoding.UTF8.GetBytes($"{directory}\n"));
    }

    /// <summary>Remembers where the store is; durable when it returns.</summary>
    public void Advance(StoredNotes notes)
    {
        string line = string.Create(CultureInfo.InvariantCulture, $"{Header}{notes.Index} {notes.Chain.ToHex()} ");
        DurableFile.Replace(_path, Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{line}{Crc32C.Of(Encoding.ASCII.GetBytes(line)):x8}\n")));
    }

    private static void Check(string path, byte[] bytes, string dataDirectory, StoredNotes notes, IReadOnlyList<Hash> chains)
    {
        if (!TryParse(bytes, out long index, out Hash? chain)) throw new StorageException($"the guard {path} is damaged");
        if (index > notes.Index)
        {
            throw new StorageException($"the guard {path} has seen {index} updates, but {dataDirectory} holds {notes.Index}: this directory is an older copy, and with it this witness would cosign what it has already superseded");
        }

        // chains[^1] is at notes.Index. Below the snapshot nothing is left to compare with; no crash brings a guard there.
        long behind = notes.Index - index;
        if (behind >= chains.Count)
        {
            throw new StorageException($"the guard {path} has seen {index} updates and {dataDirectory} holds {notes.Index}: too far apart for a crash, and nothing left to compare (remove the guard to begin a new one)");
        }

        if (chains[^(int)(behind + 1)] != chain)
        {
            throw new StorageException($"the guard {path} and {dataDirectory} do not agree about update {index}: they have gone different ways");
        }
    }

    internal static bool TryParse(ReadOnlySpan<byte> bytes, out long index, [NotNullWhen(true)] out Hash? chain)
    {
        index = 0;
        chain = null;
        const int Tail = 1 + (2 * Hash.Size) + 1 + 8 + 1;
        if (bytes.Length <= Header.Length + Tail || !bytes.StartsWith(Encoding.ASCII.GetBytes(Header)) || !Strict.TryReadSize(bytes[Header.Length..^Tail], out index)) return false;
        if (!Hash.TryParseHex(bytes[^(Tail - 1)..^10], out Hash read)) return false;
        chain = read;
        byte[] crc = Encoding.ASCII.GetBytes(Crc32C.Of(bytes[..^9]).ToString("x8", CultureInfo.InvariantCulture));
        return bytes[^9..^1].SequenceEqual(crc) && bytes[^1] == (byte)'\n' && bytes[^10] == (byte)' ' && bytes[^Tail] == (byte)' ';
    }
}
