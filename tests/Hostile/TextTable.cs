// texts.txt: what no honest peer writes, one case a line.
//
//     ROW | kind | what it is | verdict | text
//
// The verdict is what every door has to say that reads such a text: accept, refuse, or, for a line of signatures, ignore: it is one, and not by a key that is asked for. A door
// that has a reason to differ is named: "accept, witness refuse".
//
// In the text \r \n \t \0 \\ \xNN are escapes, everything else is UTF-8, and {...} is one of the words of its kind (Words.cs) or {repeat N TEXT}.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.Hostile;

internal sealed record TextCase(string Row, string Kind, string What, string Verdict, IReadOnlyDictionary<string, string> Differing, string Text)
{
    /// <summary>
    /// What a door has to say. Witness and reader are shown a line of signatures in a note that somebody else signed, and are not asked to know its key: there a line that is to be
    /// ignored is one among others, and the note is accepted.
    /// </summary>
    public string VerdictOf(string door) => Differing.GetValueOrDefault(door, Kind == "line" && (door is "witness" or "reader") && Verdict == "ignore" ? "accept" : Verdict);

    public override string ToString() => $"{Row} {Kind}: {What}";
}

internal static class TextTable
{
    public static readonly IReadOnlyList<TextCase> Cases = [.. File.ReadLines(Path.Combine(Repository.Root, "tests/Hostile/texts.txt")).Where(line => line.Length > 0 && line[0] != '#').Select(Parse)];

    private static TextCase Parse(string line)
    {
        string[] fields = line.Split(" | ", 5);
        if (fields.Length != 5) throw new InvalidDataException(line);
        string[] verdicts = fields[3].Split(", ");
        foreach (string verdict in verdicts) if (verdict.Split(' ')[^1] is not ("accept" or "refuse" or "ignore")) throw new InvalidDataException(line);
        return new TextCase(fields[0], fields[1], fields[2], verdicts[0], verdicts[1..].ToDictionary(one => one.Split(' ')[0], one => one.Split(' ')[1], StringComparer.Ordinal), fields[4]);
    }

    /// <summary>The bytes; <paramref name="word"/> gives those of a word, and is told what stands before it.</summary>
    public static byte[] Expand(string text, Func<string, byte[], byte[]> word)
    {
        List<byte> bytes = [];
        for (int i = 0; i < text.Length; i++)
        {
            if (text[i] == '\\' && text[i + 1] == 'x')
            {
                bytes.Add(byte.Parse(text.AsSpan(i + 2, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
                i += 3;
            }
            else if (text[i] == '\\')
            {
                bytes.Add(text[++i] switch { 'r' => 13, 'n' => 10, 't' => 9, '0' => 0, '\\' => (byte)'\\', _ => throw new InvalidDataException(text) });
            }
            else if (text[i] == '{')
            {
                int end = text.IndexOf('}', i);
                string[] words = text[(i + 1)..end].Split(' ', 3);
                bytes.AddRange(words is ["repeat", string count, string what]
                    ? Enumerable.Repeat(Expand(what.Replace('<', '{').Replace('>', '}'), word), int.Parse(count, CultureInfo.InvariantCulture)).SelectMany(one => one)
                    : word(text[(i + 1)..end], [.. bytes]));
                i = end;
            }
            else
            {
                int length = char.IsHighSurrogate(text[i]) ? 2 : 1;
                bytes.AddRange(Encoding.UTF8.GetBytes(text.Substring(i, length)));
                i += length - 1;
            }
        }

        return [.. bytes];
    }
}
