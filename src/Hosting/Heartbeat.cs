// The last time that a program believed, `heartbeat` in its data directory (spec/storage.md):
//
//     tlog-heartbeat v1 <seconds since the Epoch> <CRC-32C of what stands before it, 8 hex digits>\n
//
// One line, replaced as a whole. It is written at a start, every hour after that, and when an operator accepts the clock; never while the clock is not believed. A directory of
// the version before has none.

using System.Globalization;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>Reads and writes the heartbeat of a data directory.</summary>
internal static class Heartbeat
{
    /// <summary>The name of the file.</summary>
    public const string Name = "heartbeat";

    /// <summary>How often it is written.</summary>
    public static readonly TimeSpan Interval = TimeSpan.FromHours(1);

    private const string Header = "tlog-heartbeat v1 ";

    /// <summary>The header, 12 digits of seconds (the last second of the calendar has 12), the CRC: 40 bytes.</summary>
    private const int MaxSize = 64;

    /// <summary>The last time; null where there is no file.</summary>
    /// <exception cref="StorageException">It cannot be read, or is not what was written.</exception>
    public static DateTimeOffset? Read(string directory)
    {
        string path = Path.Combine(directory, Name);
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return null;
        return TryParse(bytes, out DateTimeOffset time)
            ? time
            : throw new DamageException(new Damage(Name, path, null, null, "the last time that this program knew", "something else; once the clock is known to be right, remove the file: the next start then writes a new one"));
    }

    /// <summary>Replaces it; durable when it returns.</summary>
    public static void Write(string directory, DateTimeOffset time) => DurableFile.Replace(Path.Combine(directory, Name), ToBytes(time));

    internal static byte[] ToBytes(DateTimeOffset time)
    {
        string line = string.Create(CultureInfo.InvariantCulture, $"{Header}{time.ToUnixTimeSeconds()} ");
        return Encoding.ASCII.GetBytes($"{line}{Crc32C.Of(Encoding.ASCII.GetBytes(line)):x8}\n");
    }

    internal static bool TryParse(ReadOnlySpan<byte> bytes, out DateTimeOffset time)
    {
        time = default;
        const int Tail = 1 + 8 + 1; // a space, the CRC, a newline
        if (bytes.Length <= Header.Length + Tail || !bytes.StartsWith(Encoding.ASCII.GetBytes(Header)) || !Strict.TryReadSize(bytes[Header.Length..^Tail], out long seconds)) return false;
        if (seconds > DateTimeOffset.MaxValue.ToUnixTimeSeconds()) return false;
        time = DateTimeOffset.FromUnixTimeSeconds(seconds);
        return ToBytes(time).AsSpan().SequenceEqual(bytes);
    }
}
