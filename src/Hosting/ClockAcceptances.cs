// The file `clock-accepted` in a data directory (spec/storage.md). It records each time an operator has accepted the clock, one line each, the newest last:
//
//     tlog-clock v1 <seconds> <heartbeat before, seconds or -> <reason, base64> [<origin hash> <stamp> <SHA-256 of the note>]... <CRC-32C, 8 hex digits>\n
//
// A line records the time at which the clock was accepted. It also names the origins whose time may go back once: below the stamp of exactly the named note,
// which was then the newest note of its origin, but not below the time of the line. The next note that is released for the origin has another hash, so the
// write that stores it also ends the permission. Nothing has to be removed, and no crash can leave a permission that was used. Only `clock accept` writes the
// file, before it answers.

using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>The permission for the time of one origin to go back once.</summary>
/// <param name="OriginHash">SHA-256 of its origin line.</param>
/// <param name="Stamp">The next note may have an earlier stamp than this, in seconds since the Epoch.</param>
/// <param name="NoteHash">SHA-256 of the newest note, which has that stamp.</param>
internal readonly record struct ClockPermission(Hash OriginHash, ulong Stamp, Hash NoteHash)
{
    /// <summary>Makes the permission for a note.</summary>
    public static ClockPermission Of(string origin, ulong stamp, ReadOnlySpan<byte> note) => new(Checkpoint.HashOrigin(origin), stamp, new Hash(SHA256.HashData(note)));
}

/// <summary>One line of the file.</summary>
/// <param name="Seconds">The time of the accepted clock, in seconds since the Epoch: not negative.</param>
/// <param name="Heartbeat">The last known time before the acceptance, in the same unit; null when none was known.</param>
/// <param name="Reason">Why the operator accepted the clock.</param>
/// <param name="Permissions">The origins whose time may go back once.</param>
internal sealed record ClockAcceptance(long Seconds, long? Heartbeat, string Reason, IReadOnlyList<ClockPermission> Permissions)
{
    private const string Header = "tlog-clock v1 ";

    public byte[] ToBytes()
    {
        StringBuilder line = new(Header);
        line.Append(CultureInfo.InvariantCulture, $"{Seconds} {Heartbeat?.ToString(CultureInfo.InvariantCulture) ?? "-"} {Convert.ToBase64String(Encoding.UTF8.GetBytes(Reason))} ");
        foreach (ClockPermission one in Permissions) line.Append(CultureInfo.InvariantCulture, $"{one.OriginHash.ToHex()} {one.Stamp} {one.NoteHash.ToHex()} ");
        byte[] bytes = Encoding.ASCII.GetBytes(line.ToString());
        return [.. bytes, .. Encoding.ASCII.GetBytes($"{Crc32C.Of(bytes):x8}\n")];
    }

    public static bool TryParse(ReadOnlySpan<byte> line, [NotNullWhen(true)] out ClockAcceptance? acceptance)
    {
        acceptance = null;
        string[] words = Encoding.Latin1.GetString(line).Split(' ');
        if (words.Length < 6 || (words.Length - 6) % 3 != 0 || words[0] != "tlog-clock" || words[1] != "v1") return false;
        if (!Strict.TryReadSize(Encoding.Latin1.GetBytes(words[2]), out long seconds)) return false;
        long? heartbeat = null;
        if (words[3] != "-")
        {
            if (!Strict.TryReadSize(Encoding.Latin1.GetBytes(words[3]), out long before)) return false;
            heartbeat = before;
        }

        if (!Strict.TryReadBase64(Encoding.Latin1.GetBytes(words[4]), line.Length, out byte[] reason)) return false;
        List<ClockPermission> permissions = [];
        for (int at = 5; at < words.Length - 1; at += 3)
        {
            if (!Hash.TryParseHex(Encoding.Latin1.GetBytes(words[at]), out Hash origin) || !Strict.TryReadUInt64(Encoding.Latin1.GetBytes(words[at + 1]), out ulong stamp)
                || !Hash.TryParseHex(Encoding.Latin1.GetBytes(words[at + 2]), out Hash note))
            {
                return false;
            }

            permissions.Add(new ClockPermission(origin, stamp, note));
        }

        ClockAcceptance read = new(seconds, heartbeat, Encoding.UTF8.GetString(reason), permissions);
        if (!read.ToBytes().AsSpan().SequenceEqual(line)) return false;
        acceptance = read;
        return true;
    }
}

/// <summary>Reads and writes the file.</summary>
internal static class ClockAcceptances
{
    /// <summary>The name of the file.</summary>
    public const string Name = "clock-accepted";

    /// <summary>Longest reason in characters.</summary>
    public const int MaxReason = 1000;

    /// <summary>
    /// Largest file in bytes. A line with all 4,096 logs of a witness has 600 kB, and a line without logs about 100 bytes. When a new line would exceed the
    /// limit, the oldest lines are dropped.
    /// </summary>
    private const int MaxSize = 4 * 1024 * 1024;

    /// <summary>Reads all lines, the newest last. Returns an empty list when there is no file.</summary>
    /// <exception cref="StorageException">The file cannot be read or is damaged.</exception>
    public static IReadOnlyList<ClockAcceptance> Read(string directory)
    {
        string path = Path.Combine(directory, Name);
        List<ClockAcceptance> all = [];
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return all;
        if (bytes.Length == 0) throw new DamageException(new Damage(Name, path, null, null, "what an operator has accepted of the clock", "an empty file"));
        for (int at = 0; at < bytes.Length;)
        {
            int end = bytes.AsSpan(at).IndexOf((byte)'\n') + 1;
            if (end == 0 || !ClockAcceptance.TryParse(bytes.AsSpan(at, end), out ClockAcceptance? one))
            {
                throw new DamageException(new Damage(Name, $"{path}, offset {at}", null, null, "what an operator has accepted of the clock", "a line whose CRC does not match"));
            }

            all.Add(one);
            at += end;
        }

        return all;
    }

    /// <summary>Adds a line. Durable on return.</summary>
    public static void Add(string directory, ClockAcceptance acceptance)
    {
        List<byte[]> lines = [.. Read(directory).Append(acceptance).Select(one => one.ToBytes())];
        while (lines.Count > 1 && lines.Sum(line => (long)line.Length) > MaxSize) lines.RemoveAt(0);
        DurableFile.Replace(Path.Combine(directory, Name), [.. lines.SelectMany(line => line)]);
    }
}
