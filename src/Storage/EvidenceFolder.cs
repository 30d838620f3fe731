// The evidence folder of a data directory (spec/evidence.md):
//
//     evidence/<origin hash>-<kind>-<16 hex digits>.tlog-evidence                  one file per claim (TlogEvidence.cs); never changed or deleted
//     evidence/<the same>.<16 hex digits>.sent                                     this file has reached the webhook whose URL has this hash
//
// Any client may submit what a log has signed, so the number of files per origin and kind is bounded. One file proves misbehaviour, and a few show its
// extent. The bound is per kind, so files that prove nothing never take the place of files that do.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Storage;

/// <summary>Stores evidence files durably, and which webhooks they have reached. Thread-safe. Storing a file again does not access the disk.</summary>
public sealed class EvidenceFolder
{
    /// <summary>The name of the folder.</summary>
    public const string Name = "evidence";

    /// <summary>The most files of one origin and kind.</summary>
    public const int MaxOfOrigin = 8;

    private const int KeyDigits = 16;
    private static readonly EvidenceKind[] Kinds = Enum.GetValues<EvidenceKind>();

    private readonly string _directory;
    private readonly Lock _lock = new();
    private readonly HashSet<string> _names;                                   // guarded by _lock
    private readonly Dictionary<(string Origin, EvidenceKind Kind), int> _counts = [];  // guarded by _lock

    /// <summary>Opens the evidence folder of a data directory. The folder is created with the first file.</summary>
    public EvidenceFolder(string dataDirectory)
    {
        _directory = Path.Combine(dataDirectory, Name);
        _names = Paths.DirectoryExists(_directory)
            ? [.. Posix.List(_directory).Where(name => TryReadName(name, out _, out _))]
            : [];
        foreach (string name in _names) Count(name);
    }

    /// <summary>The names of the files, in ordinal order.</summary>
    public IReadOnlyList<string> Names
    {
        get
        {
            lock (_lock) return [.. _names.Order(StringComparer.Ordinal)];
        }
    }

    /// <summary>The path of a file of this name.</summary>
    public string PathOf(string name) => Path.Combine(_directory, name);

    /// <summary>The number of files of a kind: of one log, or of all logs when <paramref name="originHash"/> is null.</summary>
    public int CountOf(EvidenceKind kind, Hash? originHash = null)
    {
        lock (_lock)
        {
            return originHash is Hash one ? _counts.GetValueOrDefault((one.ToHex(), kind)) : _counts.Where(count => count.Key.Kind == kind).Sum(count => count.Value);
        }
    }

    /// <summary>
    /// Stores the file. It is durable when this returns true. Returns false when a file of the same claim is stored already, or when
    /// <see cref="MaxOfOrigin"/> files of its origin and kind are.
    /// </summary>
    /// <exception cref="StorageException">It could not be written. It does not count as stored.</exception>
    public bool Keep(TlogEvidence evidence)
    {
        ArgumentNullException.ThrowIfNull(evidence);
        string name = evidence.FileName;
        lock (_lock)
        {
            if (_names.Contains(name) || _counts.GetValueOrDefault((evidence.Checkpoints[0].OriginHash.ToHex(), evidence.Kind)) >= MaxOfOrigin) return false;
            DurableFile.CreateDirectory(_directory);
            DurableFile.Replace(PathOf(name), evidence.ToBytes());
            _names.Add(name);
            Count(name);
            return true;
        }
    }

    /// <summary>
    /// Copies the files durably into the evidence folder of another data directory or of a backup. The marks of sent files are not copied, so the copy sends
    /// each file once more.
    /// </summary>
    /// <exception cref="StorageException">A file could not be read or written.</exception>
    internal static void Copy(string dataDirectory, string to)
    {
        IReadOnlyList<string> names = new EvidenceFolder(dataDirectory).Names;
        if (names.Count == 0) return;
        string folder = Path.Combine(to, Name);
        DurableFile.CreateDirectory(folder);
        foreach (string name in names)
        {
            string path = Path.Combine(dataDirectory, Name, name);
            if (!DurableFile.TryRead(path, TlogEvidence.MaxSize, out byte[] bytes)) throw new StorageException($"{path} is gone, while it was to be copied");
            DurableFile.Replace(Path.Combine(folder, name), bytes);
        }
    }

    /// <summary>The files that have not reached this webhook yet, in order.</summary>
    public IReadOnlyList<string> NotSentTo(string url) => [.. Names.Where(name => !Paths.Exists(MarkerOf(name, url)))];

    /// <summary>Records durably that a file has reached a webhook.</summary>
    /// <exception cref="StorageException">It could not be written.</exception>
    public void MarkSent(string name, string url, DateTimeOffset when) =>
        DurableFile.Replace(MarkerOf(name, url), Encoding.ASCII.GetBytes(when.ToUniversalTime().ToString("yyyy-MM-ddTHH:mm:ssZ\n", CultureInfo.InvariantCulture)));

    /// <summary>The mark of a file and a webhook. Its name holds a hash of the URL, because the URL may contain a secret.</summary>
    private string MarkerOf(string name, string url) => PathOf($"{name}.{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(url)))[..KeyDigits]}.sent");

    private void Count(string name)
    {
        if (!TryReadName(name, out string origin, out EvidenceKind kind)) throw new System.Diagnostics.UnreachableException($"{name} is no name of ours");
        _counts[(origin, kind)] = _counts.GetValueOrDefault((origin, kind)) + 1;
    }

    private static bool TryReadName(string name, out string origin, out EvidenceKind kind)
    {
        (origin, kind) = ("", default);
        if (!name.EndsWith(TlogEvidence.Extension, StringComparison.Ordinal)) return false;
        string stem = name[..^TlogEvidence.Extension.Length];
        foreach (EvidenceKind one in Kinds)
        {
            string middle = $"-{TlogEvidence.Word(one)}-";
            if (stem.Length != (2 * Hash.Size) + middle.Length + KeyDigits || stem.IndexOf(middle, StringComparison.Ordinal) != 2 * Hash.Size) continue;
            (origin, kind) = (stem[..(2 * Hash.Size)], one);
            return (origin + stem[^KeyDigits..]).All(char.IsAsciiHexDigitLower);
        }

        return false;
    }
}
