// A list of logs, as the public witness network publishes it (c2sp.org/tlog-list).
//
//     # any comment
//     logs/v0
//
//     vkey sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8
//     origin go.sum database tree                        only if it differs from the key name
//     qpd 86400                                          requests a day, 1 to 2^31-1
//     contact sysadmin (at) example.org
//
// Spaces and tabs around a line are ignored. So are empty lines and lines that begin with "#". The four lines of a log come in this order.
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>One log of a list.</summary>
/// <param name="Key">Its only key, of any signature type.</param>
/// <param name="Origin">Its origin line: at least 1 byte of UTF-8, no byte below 0x20, no space or tab at either end.</param>
/// <param name="QueriesPerDay">How many add-checkpoint requests the log may make per day, 1 to 2^31-1.</param>
/// <param name="Contact">Whom to contact, for people. The same rules as for <paramref name="Origin"/>.</param>
public sealed record ListedLog(VerifierKey Key, string Origin, int QueriesPerDay, string Contact);

/// <summary>A list of logs (c2sp.org/tlog-list). Immutable.</summary>
public sealed class TlogList
{
    /// <summary>Largest list in bytes: the same as for a policy.</summary>
    public const int MaxSize = Policy.MaxSize;

    /// <summary>Most logs: the same as for a policy file that is a list of logs.</summary>
    public const int MaxLogs = Policy.MaxLogsOfList;

    private const string Header = "logs/v0";

    private readonly ListedLog[] logs;

    /// <summary>Makes a list.</summary>
    /// <param name="logs">At most <see cref="MaxLogs"/> logs, no two with the same origin.</param>
    /// <exception cref="ArgumentException">The text would not parse again.</exception>
    public TlogList(IReadOnlyList<ListedLog> logs)
    {
        ArgumentNullException.ThrowIfNull(logs);
        if (logs.Count > MaxLogs) throw new ArgumentException($"a list has at most {MaxLogs} logs", nameof(logs));
        if (logs.Any(log => !IsValue(log.Origin) || !IsValue(log.Contact) || log.QueriesPerDay < 1)) throw new ArgumentException("a log that could not be read again", nameof(logs));
        if (logs.DistinctBy(log => log.Origin, StringComparer.Ordinal).Count() != logs.Count) throw new ArgumentException("an origin stands there twice", nameof(logs));
        this.logs = [.. logs];
        if (ToBytes().Length > MaxSize) throw new ArgumentException($"a list has at most {MaxSize} bytes", nameof(logs));
    }

    // For parsed text, which is within the limits. Formatted without comments, it is at most one newline longer.
    private TlogList(ListedLog[] parsed) => logs = parsed;

    /// <summary>The logs, in the order of the list.</summary>
    public IReadOnlyList<ListedLog> Logs => logs;

    /// <summary>Whether the text begins like a list: its first line that is neither empty nor a comment is the header.</summary>
    public static bool HasHeader(ReadOnlySpan<byte> text)
    {
        while (!text.IsEmpty)
        {
            ReadOnlySpan<byte> line = TakeLine(ref text);
            if (!IsIgnored(line)) return line.SequenceEqual("logs/v0"u8);
        }

        return false;
    }

    /// <summary>
    /// Reads a list of at most <see cref="MaxSize"/> bytes. On false, <paramref name="error"/> says what is allowed, with the line number if one line
    /// is wrong. It quotes nothing from the text.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, [NotNullWhen(true)] out TlogList? list, out string error)
    {
        list = null;
        error = $"a list of logs has at most {MaxSize} bytes";
        if (text.Length > MaxSize) return false;
        error = "a list of logs is UTF-8 without control characters other than newline and tab";
        if (!Strict.IsUtf8(text) || text.IndexOfAnyInRange((byte)0x00, (byte)0x08) >= 0 || text.IndexOfAnyInRange((byte)0x0b, (byte)0x1f) >= 0) return false;
        error = $"the first line of a list of logs is \"{Header}\"";
        if (!HasHeader(text)) return false;

        List<ListedLog> read = [];
        HashSet<string> origins = new(StringComparer.Ordinal);
        (int number, Expected expected, VerifierKey? key, string? origin, int queries) = (0, Expected.Header, null, null, 0);
        while (!text.IsEmpty)
        {
            number++;
            ReadOnlySpan<byte> line = TakeLine(ref text);
            if (IsIgnored(line)) continue;
            ReadOnlySpan<byte> value;
            switch (expected)
            {
                case Expected.Header:
                    expected = Expected.Key;
                    break;
                case Expected.Key:
                    if (read.Count == MaxLogs) return Wrong($"a list has at most {MaxLogs} logs", out error);
                    if (!TryValue(line, "vkey "u8, out value) || !VerifierKey.TryParse(value, out key)) return Wrong("a log begins with \"vkey\", a space and a vkey whose key ID matches", out error);
                    (origin, expected) = (null, Expected.OriginOrQueries);
                    break;
                case Expected.OriginOrQueries when origin is null && TryValue(line, "origin "u8, out value):
                    origin = Encoding.UTF8.GetString(value);
                    break;
                case Expected.OriginOrQueries:
                    if (!TryValue(line, "qpd "u8, out value) || !Strict.TryReadSize(value, out long perDay) || perDay is < 1 or > int.MaxValue)
                    {
                        return Wrong($"after vkey, and origin if there is one, comes \"qpd\", a space and a number from 1 to {int.MaxValue} without leading zeros", out error);
                    }

                    (queries, expected) = ((int)perDay, Expected.Contact);
                    break;
                default:
                    if (!TryValue(line, "contact "u8, out value)) return Wrong("after qpd comes \"contact\", a space and a text", out error);
                    ListedLog log = new(key!, origin ?? key!.Name, queries, Encoding.UTF8.GetString(value));
                    if (!origins.Add(log.Origin)) return Wrong("the origin of this log stands there twice", out error);
                    read.Add(log);
                    expected = Expected.Key;
                    break;
            }
        }

        if (expected != Expected.Key) return Wrong("the last log is not complete: vkey, qpd and contact", out error);
        error = "";
        list = new TlogList(read.ToArray());
        return true;

        bool Wrong(string what, out string problem)
        {
            problem = string.Create(CultureInfo.InvariantCulture, $"line {number}: {what}");
            return false;
        }
    }

    /// <summary>The list as text, without comments. The origin line is left out when the origin is the key name.</summary>
    public byte[] ToBytes()
    {
        StringBuilder text = new($"{Header}\n");
        foreach (ListedLog log in logs)
        {
            text.Append(CultureInfo.InvariantCulture, $"vkey {log.Key}\n");
            if (log.Origin != log.Key.Name) text.Append(CultureInfo.InvariantCulture, $"origin {log.Origin}\n");
            text.Append(CultureInfo.InvariantCulture, $"qpd {log.QueriesPerDay}\ncontact {log.Contact}\n");
        }

        return Encoding.UTF8.GetBytes(text.ToString());
    }

    private enum Expected
    {
        Header,
        Key,
        OriginOrQueries,
        Contact,
    }

    private static bool TryValue(ReadOnlySpan<byte> line, ReadOnlySpan<byte> word, out ReadOnlySpan<byte> value)
    {
        bool has = line.StartsWith(word) && IsValue(line[word.Length..]);
        value = has ? line[word.Length..] : default;
        return has;
    }

    private static bool IsValue(string value) => VerifierKey.IsWellFormed(value) && IsValue(Encoding.UTF8.GetBytes(value));

    /// <summary>Whether this can be the value after a keyword and one space: UTF-8, not empty, no byte below 0x20, no space or tab at either end.</summary>
    private static bool IsValue(ReadOnlySpan<byte> value) =>
        !value.IsEmpty && value.Trim(" \t"u8).Length == value.Length && Strict.IsUtf8(value) && value.IndexOfAnyInRange((byte)0x00, (byte)0x1f) < 0;

    /// <summary>
    /// Reads up to the next newline, or to the end, and advances <paramref name="text"/> past it. Returns the line without the spaces and tabs around it.
    /// </summary>
    private static ReadOnlySpan<byte> TakeLine(scoped ref ReadOnlySpan<byte> text)
    {
        int end = text.IndexOf((byte)'\n');
        ReadOnlySpan<byte> line = end < 0 ? text : text[..end];
        text = end < 0 ? default : text[(end + 1)..];
        return line.Trim(" \t"u8);
    }

    private static bool IsIgnored(ReadOnlySpan<byte> line) => line.IsEmpty || line[0] == (byte)'#';
}
