// The file `heartbeat` in a data directory (spec/storage.md) holds the last time that the program believed:
//
//     tlog-heartbeat v1 <seconds since the Epoch> <CRC-32C of everything before it, 8 hex digits>\n
//
// The file has one line and is replaced as a whole. It is written when the directory is created, at every start, every hour after that, and when an operator
// accepts the clock. It is not written while the clock is not believed, except that a program that states no time also writes a time that is ahead
// (SigningClock.Beat). A directory of the previous version has no such file.

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

    /// <summary>The header, 12 digits of seconds (as many as the last second of the calendar has), a space, the CRC and a newline have 40 bytes.</summary>
    private const int MaxSize = 64;

    /// <summary>The last known time; null when there is no file.</summary>
    /// <exception cref="StorageException">The file cannot be read or is damaged.</exception>
    public static DateTimeOffset? Read(string directory)
    {
        string path = Path.Combine(directory, Name);
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return null;
        return TryParse(bytes, out DateTimeOffset time)
            ? time
            : throw new DamageException(new Damage(Name, path, null, null, "the last time that this program knew", "something else; once the clock is known to be right, remove the file: the next start then writes a new one"));
    }

    /// <summary>Replaces the file. Durable on return.</summary>
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
