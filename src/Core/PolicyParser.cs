// Parses the text of a policy (c2sp.org/tlog-policy, "Policy file syntax and structure"): lines of bytes, items separated by
// spaces and tabs, four keywords. Everything that the specification does not define is refused, above all anything that
// would make a quorum that is always met.
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>Reads one policy; see <see cref="Policy.TryParse"/>.</summary>
internal sealed class PolicyParser
{
    /// <summary>Most items on a line: "group", a name, a rule, and as many members as there can be witnesses and groups.</summary>
    private const int MaxItems = 3 + (2 * Policy.MaxOfEach);

    /// <summary>Most bytes of the file that an error message quotes.</summary>
    private const int MaxQuoted = 80;

    private readonly int maxLogs;
    private readonly List<PolicyLog> logs = [];
    private readonly List<PolicyWitness> witnesses = [];
    private readonly List<Group> groups = [];

    // Bytes as Latin-1: one character a byte, so that ordinal equality is equality of bytes (SPEC PO-04).
    private readonly Dictionary<string, Node> names = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> logKeys = new(StringComparer.Ordinal);
    private readonly Dictionary<string, int> witnessKeys = new(StringComparer.Ordinal);
    private readonly Dictionary<(string, uint), VerifierKey> keyIds = [];
    private int lineNumber;
    private int quorumLine;
    private Node? quorum;

    private PolicyParser(int maxLogs) => this.maxLogs = maxLogs;

    /// <summary>A witness or a group, by its position in its list. MemberSince is the line of the group that has it as a member; 0 if none has.</summary>
    private sealed record Node(bool IsGroup, int Index)
    {
        public int MemberSince { get; set; }
    }

    private sealed record Group(int Threshold, Node[] Members);

    public static bool TryParse(ReadOnlySpan<byte> text, bool isLogList, [NotNullWhen(true)] out Policy? policy, out string error)
    {
        policy = null;
        PolicyParser parser = new(isLogList ? Policy.MaxLogsOfList : Policy.MaxOfEach);
        if (parser.Read(text) is string problem)
        {
            error = problem;
            return false;
        }

        // SPEC PO-16: exactly one quorum line.
        if (parser.quorumLine == 0 && !isLogList)
        {
            error = "a policy has exactly one quorum line, and this one has none: write \"quorum none\" to ask for no cosignature";
            return false;
        }

        policy = parser.Build();
        error = "";
        return true;
    }

    /// <summary>Quotes text from outside for a message: printable ASCII in quotes, other bytes as \xNN, at most 80 bytes.</summary>
    public static string Quote(string text) => Quote(Encoding.UTF8.GetBytes(text));

    private static string Quote(ReadOnlySpan<byte> bytes)
    {
        StringBuilder quoted = new("\"");
        foreach (byte one in bytes[..Math.Min(bytes.Length, MaxQuoted)])
        {
            if (one is >= 0x20 and <= 0x7e and not (byte)'"' and not (byte)'\\') quoted.Append((char)one);
            else quoted.Append(CultureInfo.InvariantCulture, $"\\x{one:x2}");
        }

        return quoted.Append(bytes.Length > MaxQuoted ? "...\"" : "\"").ToString();
    }

    private Policy Build()
    {
        PolicyGroup[] built = [.. groups.Select(group => new PolicyGroup(group.Threshold, [.. group.Members.Select(Number)]))];
        return new Policy([.. logs], [.. witnesses], built, quorum is null ? Policy.NoQuorum : Number(quorum));
    }

    private int Number(Node node) => node.IsGroup ? witnesses.Count + node.Index : node.Index;

    /// <summary>Null if the text is right. Otherwise the problem, with its line number if it is on one line.</summary>
    private string? Read(ReadOnlySpan<byte> text)
    {
        // SPEC PO-18: more than the 32 of each that are asked for; each limit has its number at Policy.
        if (text.Length > Policy.MaxSize) return $"a policy has at most {Policy.MaxSize} bytes";
        if (text.Count((byte)'\n') > Policy.MaxLines) return $"a policy has at most {Policy.MaxLines} lines";
        while (!text.IsEmpty)
        {
            lineNumber++;
            // SPEC PO-01: each line is ended by a newline.
            int end = text.IndexOf((byte)'\n');
            if (end < 0) return At("the last line does not end in a newline");
            if (ReadLine(text[..end]) is string problem) return At(problem);
            text = text[(end + 1)..];
        }

        return null;
    }

    private string At(string problem) => string.Create(CultureInfo.InvariantCulture, $"line {lineNumber}: {problem}");

    private string? ReadLine(ReadOnlySpan<byte> line)
    {
        // SPEC PO-03: tab, newline, 0x20-0x7E and 0x80-0xFF; comments are no exception.
        foreach (byte one in line)
        {
            if (one is (< 0x20 and not (byte)'\t') or 0x7f)
            {
                return string.Create(CultureInfo.InvariantCulture, $"byte 0x{one:x2} is not allowed; lines end in a newline alone, and tab is the only other control character");
            }
        }

        ReadOnlySpan<byte> trimmed = line.Trim(" \t"u8);
        // SPEC PO-02: empty lines and lines that begin with "#" are ignored; "#" elsewhere begins no comment.
        if (trimmed.IsEmpty || trimmed[0] == (byte)'#') return null;

        List<byte[]> items = [];
        while (!trimmed.IsEmpty)
        {
            if (items.Count == MaxItems) return $"a line has at most {MaxItems} items";
            int end = trimmed.IndexOfAny((byte)' ', (byte)'\t');
            items.Add((end < 0 ? trimmed : trimmed[..end]).ToArray());
            trimmed = end < 0 ? default : trimmed[end..].TrimStart(" \t"u8);
        }

        ReadOnlySpan<byte> keyword = items[0];
        if (keyword.SequenceEqual("log"u8)) return ReadLog(items);
        if (keyword.SequenceEqual("witness"u8)) return ReadWitness(items);
        if (keyword.SequenceEqual("group"u8)) return ReadGroup(items);
        if (keyword.SequenceEqual("quorum"u8)) return ReadQuorum(items);
        return $"{Quote(keyword)} begins no line; a line begins with log, witness, group, quorum or #";
    }

    private string? ReadLog(List<byte[]> items)
    {
        // SPEC PO-05: log <vkey> [<url>].
        if (items.Count is < 2 or > 3) return "a log line is \"log <vkey> [<url>]\"; a comment has a line of its own";
        if (logs.Count == maxLogs) return $"a policy has at most {Policy.MaxOfEach} logs, and a list of logs {Policy.MaxLogsOfList}";
        if (!VerifierKey.TryParse(items[1], out VerifierKey? key)) return $"{Quote(items[1])} is not a vkey, or its key ID does not match";
        // SPEC PO-10: a log signs notes; 0x04 is the statement of a witness.
        if (key.SignatureType == VerifierKey.Ed25519Cosignature) return "a log key does not have type 0x04: that is the key of a witness";
        // SPEC PO-07: two log lines with one public key are refused, whatever their names and types.
        return Unique(logKeys, key, "log") ?? Add(logs, new PolicyLog(key, Url(items, 2)));
    }

    private string? ReadWitness(List<byte[]> items)
    {
        // SPEC PO-08: witness <name> <vkey> [<url>].
        if (items.Count is < 3 or > 4) return "a witness line is \"witness <name> <vkey> [<url>]\"; a comment has a line of its own";
        if (witnesses.Count == Policy.MaxOfEach) return $"a policy has at most {Policy.MaxOfEach} witnesses";
        if (!VerifierKey.TryParse(items[2], out VerifierKey? key)) return $"{Quote(items[2])} is not a vkey, or its key ID does not match";
        // SPEC PO-10: cosignatures have type 0x04 or 0x06.
        if (key.SignatureType is not (VerifierKey.Ed25519Cosignature or VerifierKey.MlDsa44Cosignature))
        {
            return string.Create(CultureInfo.InvariantCulture, $"a witness key has type 0x04 or 0x06, not 0x{key.SignatureType:x2}");
        }

        // SPEC PO-09: two witness lines with one public key are refused. SPEC PO-12: so is a name that is taken.
        return Unique(witnessKeys, key, "witness")
            ?? Define(items[1], new Node(IsGroup: false, witnesses.Count))
            ?? Add(witnesses, new PolicyWitness(Encoding.Latin1.GetString(items[1]), key, Url(items, 3)));
    }

    private string? ReadGroup(List<byte[]> items)
    {
        // SPEC PO-11: group <name> all|any|<k> <name>..., at least one member, 1 <= k <= n.
        if (items.Count < 4) return "a group line is \"group <name> all|any|<k> <name>...\" with at least one member: an empty group would always agree";
        if (groups.Count == Policy.MaxOfEach) return $"a policy has at most {Policy.MaxOfEach} groups";
        long count = items.Count - 3;
        long threshold = 0;
        if (items[2].AsSpan().SequenceEqual("all"u8)) threshold = count;
        else if (items[2].AsSpan().SequenceEqual("any"u8)) threshold = 1;
        else if (!Strict.TryReadSize(items[2], out threshold) || threshold < 1 || threshold > count)
        {
            return string.Create(CultureInfo.InvariantCulture, $"{Quote(items[2])} is not all, any, or a number from 1 to the {count} members: with 0 the group would always agree");
        }

        Node[] members = new Node[count];
        for (int i = 0; i < members.Length; i++)
        {
            byte[] name = items[i + 3];
            // SPEC PO-13: "none" is no member. SPEC PO-14: a member is defined on an earlier line, so there are no circles.
            if (name.AsSpan().SequenceEqual("none"u8)) return "\"none\" is only for the quorum line, it is not a member";
            if (!names.TryGetValue(Encoding.Latin1.GetString(name), out Node? member)) return $"{Quote(name)} is not defined on a line before this one";
            // SPEC PO-15: a name is a member of one group at most, once: every witness counts in one way only.
            if (member.MemberSince != 0)
            {
                return string.Create(CultureInfo.InvariantCulture, $"{Quote(name)} is already a member of the group on line {member.MemberSince}; a name is a member once");
            }

            member.MemberSince = lineNumber;
            members[i] = member;
        }

        return Define(items[1], new Node(IsGroup: true, groups.Count)) ?? Add(groups, new Group((int)threshold, members));
    }

    private string? ReadQuorum(List<byte[]> items)
    {
        if (items.Count != 2) return "a quorum line is \"quorum <name>\" or \"quorum none\"; a comment has a line of its own";
        // SPEC PO-16: exactly one quorum line, with a name defined before it.
        if (quorumLine != 0) return string.Create(CultureInfo.InvariantCulture, $"a policy has exactly one quorum line, and line {quorumLine} is one");
        quorumLine = lineNumber;
        // SPEC PO-17: none asks for no cosignature.
        if (items[1].AsSpan().SequenceEqual("none"u8)) return null;
        return names.TryGetValue(Encoding.Latin1.GetString(items[1]), out quorum) ? null : $"{Quote(items[1])} is not defined on a line before this one";
    }

    private string? Define(byte[] name, Node node)
    {
        if (name.AsSpan().SequenceEqual("none"u8)) return "\"none\" has a meaning of its own and cannot be defined";
        return names.TryAdd(Encoding.Latin1.GetString(name), node) ? null : $"{Quote(name)} is already defined; witnesses and groups share their names";
    }

    private string? Unique(Dictionary<string, int> keys, VerifierKey key, string role)
    {
        if (!keys.TryAdd(Convert.ToHexString(key.PublicKey.Span), lineNumber))
        {
            return string.Create(CultureInfo.InvariantCulture, $"the public key is that of the {role} on line {keys[Convert.ToHexString(key.PublicKey.Span)]}");
        }

        // Two keys with the same name and key ID (someone searched for the collision): a signature line would not say which key made it.
        if (keyIds.TryAdd((key.Name, key.KeyId), key) || keyIds[(key.Name, key.KeyId)].Equals(key)) return null;
        return "another key has this key name and key ID: their signatures cannot be told apart";
    }

    private static string? Add<T>(List<T> list, T one)
    {
        list.Add(one);
        return null;
    }

    // A URL is opaque bytes. It is read as UTF-8 if it is valid UTF-8, so that an international host name stays intact.
    private static string? Url(List<byte[]> items, int index)
    {
        if (items.Count <= index) return null;
        return Strict.IsUtf8(items[index]) ? Encoding.UTF8.GetString(items[index]) : Encoding.Latin1.GetString(items[index]);
    }
}
