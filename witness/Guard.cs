// The guard is kept in another place (--guard DIR). It holds what a restored data directory cannot know, and it is the fence between two live copies of the
// directory. As for the log (src/Storage/GuardFence.cs, spec/storage.md), it has a lock `<SHA-256 of the first vkey, hex>.lock` and a row of files
// `<the same>.<sequence, 20 digits>.witness`, each
//
//     tlog-witness-guard v1 <index> <chain, 64 hex> <CRC-32C of everything before it, 8 hex>\n
//
// A file is added after each frame of the journal and before any answer to that frame. So at a start the newest file agrees with the store, or is behind it by
// the last frame, after which the process stopped. Anything else means that the directory or the guard is another copy. The file `guarded` in the data
// directory records that there is a guard, so that a missing guard is noticed.

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>A second record of how far the store is. It has one owner, the writer of the store.</summary>
internal sealed class Guard : IDisposable
{
    private const string Header = "tlog-witness-guard v1 ";
    private const string Extension = ".witness";
    private const string ChangesName = "guard-changes";
    private const int MaxChanges = 1024 * 1024;

    private readonly string _dataDirectory;
    private readonly bool _agrees, _isKnown;
    private bool _isFenceKept;

    private Guard(string dataDirectory, GuardFence fence, bool agrees, bool isKnown) => (_dataDirectory, Fence, _agrees, _isKnown) = (dataDirectory, fence, agrees, isKnown);

    /// <summary>The fence: looks, advances, and knows whether the guard answers.</summary>
    public GuardFence Fence { get; }

    /// <summary>
    /// Acquires the guard's lock and compares the store with the guard. A crash may have left the guard one frame behind: <see cref="Begin"/> brings it up to
    /// date, once the content of the store is durable.
    /// </summary>
    /// <param name="dataDirectory">The data directory, locked.</param>
    /// <param name="guardDirectory">The directory of the guard; null for none.</param>
    /// <param name="witness">The witness that the guard belongs to.</param>
    /// <param name="notes">The content of the store.</param>
    /// <param name="chains">The chain at each index from the snapshot's on; the last is that of <paramref name="notes"/>.</param>
    /// <param name="lastFrame">The index at which the last frame of the journal begins.</param>
    /// <param name="time">The clock for reports of a guard that does not answer.</param>
    /// <exception cref="StorageException">Store and guard disagree, the guard of a guarded store is missing or not named, or another process has
    /// it.</exception>
    public static Guard? Open(string dataDirectory, string? guardDirectory, VerifierKey witness, StoredNotes notes, IReadOnlyList<Hash> chains, long lastFrame, TimeProvider time)
    {
        string? used = GuardedFile.Read(dataDirectory, "tlog-witness");
        if (guardDirectory is null)
        {
            return used is not null
                ? throw new StorageException($"this witness has a guard in {used}: start with --guard {used}, or give it up with tlog-witness guard drop --data {dataDirectory} --reason TEXT")
                : null;
        }

        GuardFence fence = GuardFence.Open(guardDirectory, NameOf(witness), Extension, dataDirectory, mustExist: used is not null, time);
        try
        {
            fence.Explain = Explain;
            bool agrees = false;
            if (fence.Newest is ReadOnlyMemory<byte> newest) agrees = Check(fence.NewestPath, newest.Span, dataDirectory, notes, chains, lastFrame);
            else if (used is not null) throw new StorageException($"the guard {fence.NewestPath} is missing: {fence.Directory} holds no file of it, and this witness has been used with it. {HowToReplace(dataDirectory)}");
            return new Guard(dataDirectory, fence, agrees, isKnown: used == fence.Directory);
        }
        catch
        {
            fence.Dispose();
            throw;
        }
    }

    /// <summary>
    /// Begins a new guard, or drops the guard, without asking the previous one: an operator says so. Records it in the file <c>guard-changes</c> of the data
    /// directory. Returns what was done, in words.
    /// </summary>
    public static string Change(WitnessDirectory directory, string? guardDirectory, string reason, TimeProvider time, int journalFileBytes = WitnessStore.JournalFileBytes)
    {
        string root = directory.Root, before = GuardedFile.Describe(root);
        if (guardDirectory is null)
        {
            Record(root, $"dropped ({before}): {reason}", time);
            GuardedFile.Remove(root);
            return $"the guard is given up ({before})";
        }

        StoredNotes notes = WitnessStore.ReadNotes(directory, journalFileBytes);
        string folder = Path.GetFullPath(guardDirectory);
        using GuardFence fence = GuardFence.Open(folder, NameOf(directory.Cosigners[0].Key), Extension, root, mustExist: false, time);
        string held = fence.Newest is ReadOnlyMemory<byte> found ? $"; {fence.NewestPath} held {Describe(found.Span)}" : "";
        Record(root, $"replaced ({before}) by {folder}{held}: {reason}", time);
        fence.Begin(Line(notes), agrees: false);
        GuardedFile.Write(root, folder);
        return $"the guard is in {folder} now ({before}){held}";
    }

    /// <summary>Brings the guard up to date with the store, at a start.</summary>
    public void Begin(StoredNotes notes)
    {
        // The guard is written before the file that says that there is one: a crash in between leaves a guard that agrees.
        Fence.Begin(Line(notes), _agrees);
        if (!_isKnown) GuardedFile.Write(_dataDirectory, Fence.Directory);
    }

    /// <summary>Records how far the store is. Durable on return. Blocks: the writer of the store has a separate thread.</summary>
    /// <exception cref="ConflictException">Another copy of this witness has gone on.</exception>
    /// <exception cref="GuardUnavailableException">It is not known whether it was recorded. The call may be repeated.</exception>
    public void Advance(StoredNotes notes) => Fence.AdvanceAsync(Line(notes)).GetAwaiter().GetResult();

    public void Dispose() => Fence.Dispose();

    private static string NameOf(VerifierKey witness) => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(witness.ToString())));

    private static byte[] Line(StoredNotes notes)
    {
        string line = string.Create(CultureInfo.InvariantCulture, $"{Header}{notes.Index} {notes.Chain.ToHex()} ");
        return Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{line}{Crc32C.Of(Encoding.ASCII.GetBytes(line)):x8}\n"));
    }

    private static (string Words, TlogEvidence? Evidence) Explain(byte[]? bytes) => (bytes is null ? "" : $"; it holds {Describe(bytes)}", null);

    private static string Describe(ReadOnlySpan<byte> bytes) => TryParse(bytes, out long index, out Hash? chain) ? string.Create(CultureInfo.InvariantCulture, $"{index} updates, chain {chain.Value.ToHex()}") : "damage";

    private static string HowToReplace(string dataDirectory) =>
        $"If no other copy of this witness is at work or may have cosigned more, begin a new guard with tlog-witness guard replace --data {dataDirectory} --guard DIR --reason TEXT";

    /// <summary>Records in the data directory that this copy was fenced off. When that fails, only the operator's log has it.</summary>
    public void KeepFence(ConflictException fenced)
    {
        if (Interlocked.Exchange(ref _isFenceKept, true)) return;
        try
        {
            Record(_dataDirectory, fenced.Message, TimeProvider.System);
        }
        catch (StorageException)
        {
            // The fence holds without the record.
        }
    }

    private static void Record(string root, string what, TimeProvider time)
    {
        string path = Path.Combine(root, ChangesName);
        DurableFile.TryRead(path, MaxChanges, out byte[] before);
        string line = $"{time.GetUtcNow().UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture)} guard {what.ReplaceLineEndings(" ")}\n";
        DurableFile.Replace(path, [.. before, .. Encoding.UTF8.GetBytes(line)]);
    }

    /// <summary>True when the guard is as far as the store, false when it is behind by the last frame. Throws otherwise.</summary>
    private static bool Check(string path, ReadOnlySpan<byte> bytes, string dataDirectory, StoredNotes notes, IReadOnlyList<Hash> chains, long lastFrame)
    {
        if (!TryParse(bytes, out long index, out Hash? chain)) throw new StorageException($"the guard {path} is damaged. {HowToReplace(dataDirectory)}");
        if (index > notes.Index)
        {
            throw new StorageException($"the guard {path} has seen {index} updates, but {dataDirectory} holds {notes.Index}: this directory is an older copy, and with it this witness would cosign what it has already superseded");
        }

        // chains[^1] is at notes.Index. Below the snapshot there is nothing left to compare with, and no crash leaves a guard there.
        long behind = notes.Index - index;
        if (behind < chains.Count && chains[^(int)(behind + 1)] != chain)
        {
            throw new StorageException($"the guard {path} and {dataDirectory} do not agree about update {index}: they have gone different ways");
        }

        if (behind >= chains.Count || (index != notes.Index && index != lastFrame))
        {
            throw new StorageException($"the guard {path} has seen {index} updates and {dataDirectory} holds {notes.Index}, the last frame from {lastFrame} on: too far apart for a crash, so the guard is an older copy. {HowToReplace(dataDirectory)}");
        }

        return index == notes.Index;
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
