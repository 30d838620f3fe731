using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Storage;

/// <summary>The manifest of a backup: its file <c>backup</c>, text, replaced as a whole (spec/storage.md, "Backups").</summary>
/// <param name="Origin">The origin of the log.</param>
/// <param name="VerifierKey">Its vkey.</param>
/// <param name="Segments">The bytes of <c>segments/</c> that are copied and synced, as an address in that log.</param>
/// <param name="Tree">As <paramref name="Segments"/>, for <c>tree/</c>.</param>
/// <param name="State">The number of the directory with the copied files that change; 0 while no copy is complete.</param>
/// <param name="Taken">When that directory was copied, in Unix milliseconds.</param>
/// <param name="Size">The signed tree size in it.</param>
/// <param name="Root">The root at that size.</param>
internal sealed record BackupManifest(string Origin, string VerifierKey, long Segments, long Tree, long State, long Taken, long Size, Hash Root)
{
    public const string Name = "backup";
    private const string Header = "tlog-backup v1";
    private const int MaxSize = 16 * 1024;

    /// <summary>The name of the directory with the files that change.</summary>
    public string StateDirectory => string.Create(CultureInfo.InvariantCulture, $"state-{State}");

    /// <summary>Whether the backup has a complete copy, which can be restored.</summary>
    public bool IsComplete => State > 0;

    /// <summary>Reads the manifest of a directory; null when it has none.</summary>
    /// <exception cref="StorageException">The manifest is damaged, or of a newer version.</exception>
    public static BackupManifest? Read(string directory)
    {
        string path = Path.Combine(directory, Name);
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return null;
        if (TryParse(bytes, out BackupManifest? manifest)) return manifest;
        throw LogIdentity.OtherVersion(path, bytes, "tlog-backup v", 1) ?? DirectoryCheck.Damaged("backup", path, $"nine lines that begin with {Header}, the last a CRC", $"{bytes.Length} other bytes");
    }

    public void Write(string directory) => DurableFile.Replace(Path.Combine(directory, Name), ToBytes());

    private byte[] ToBytes()
    {
        string text = string.Create(
            CultureInfo.InvariantCulture, $"{Header}\norigin {Origin}\nvkey {VerifierKey}\nsegments {Segments}\ntree {Tree}\nstate {State}\ntaken {Taken}\nhead {Size} {Root}\n");
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        return [.. bytes, .. Encoding.ASCII.GetBytes($"crc {Crc32C.Of(bytes):x8}\n")];
    }

    private static bool TryParse(byte[] bytes, [NotNullWhen(true)] out BackupManifest? manifest)
    {
        manifest = null;
        if (!Strict.IsUtf8(bytes)) return false;
        string[] lines = Encoding.UTF8.GetString(bytes).Split('\n');
        string[] names = ["", "origin ", "vkey ", "segments ", "tree ", "state ", "taken ", "head "];
        if (lines.Length != 10 || lines[0] != Header || lines[9].Length != 0) return false;
        for (int i = 1; i < names.Length; i++)
        {
            if (!lines[i].StartsWith(names[i], StringComparison.Ordinal)) return false;
            lines[i] = lines[i][names[i].Length..];
        }

        string[] head = lines[7].Split(' ');
        if (!Number(lines[3], out long segments) || !Number(lines[4], out long tree) || !Number(lines[5], out long state) || !Number(lines[6], out long taken)) return false;
        if (head.Length != 2 || !Number(head[0], out long size) || !Hash.TryParseBase64(Encoding.ASCII.GetBytes(head[1]), out Hash root)) return false;
        BackupManifest read = new(lines[1], lines[2], segments, tree, state, taken, size, root);
        if (!read.ToBytes().AsSpan().SequenceEqual(bytes)) return false;
        manifest = read;
        return true;
    }

    private static bool Number(string text, out long value) => Strict.TryReadSize(Encoding.ASCII.GetBytes(text), out value);
}
