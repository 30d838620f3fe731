// requests.txt: what comes over a socket that no honest client sends, one case a line.
//
//     ROW | what it is | log, witness or both | statuses | close or keep | bytes
//
// Statuses are those that may be answered, with a comma between; "none" is no answer at all. "close": the server ends the connection by itself; "keep": the
// next request on the same connection is answered, so the two agree about where this one ended. Lines that begin with # are for people.
//
// In the bytes \r \n \t \0 \\ \xNN are escapes, everything else is UTF-8, and {...} is one of
//     {get} {post} {host}     a resource that is read, the one that takes a body, and the server's address
//     {body} {length} {hex}   a body that the server takes, its length in decimal and in hexadecimal
//     {bomb}                  gzip of 10 MB of zeros
//     {repeat N TEXT}         TEXT, N times
// A field "@GET /x" is a whole request of that method and target with a Host and nothing else (and a length of 0, unless it is GET or HEAD).

using System.Globalization;
using System.IO.Compression;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>One case. <see cref="Statuses"/> is empty where no answer may come.</summary>
internal sealed record RequestCase(string Row, string What, bool ForLog, bool ForWitness, IReadOnlyList<int> Statuses, bool Closes, string Bytes)
{
    public override string ToString() => $"{Row} {What}";
}

/// <summary>What the words in braces stand for at one server.</summary>
internal sealed record RequestWords(string Get, string Post, string Host, byte[] Body);

internal static class RequestTable
{
    public static IReadOnlyList<RequestCase> Read(string path) => [.. File.ReadLines(path).Where(line => line.Length > 0 && line[0] != '#').Select(Parse)];

    private static RequestCase Parse(string line)
    {
        string[] fields = line.Split(" | ", 6);
        if (fields.Length != 6 || fields[2] is not ("log" or "witness" or "both") || fields[4] is not ("close" or "keep")) throw new InvalidDataException(line);
        int[] statuses = fields[3] == "none" ? [] : [.. fields[3].Split(',').Select(status => int.Parse(status, NumberStyles.None, CultureInfo.InvariantCulture))];
        return new RequestCase(fields[0], fields[1], fields[2] != "witness", fields[2] != "log", statuses, fields[4] == "close", fields[5]);
    }

    /// <summary>The bytes to send.</summary>
    public static byte[] Expand(string text, RequestWords words)
    {
        using MemoryStream bytes = new();
        Append(bytes, text is ['@', ..] ? Whole(text[1..]) : text, words);
        return bytes.ToArray();
    }

    private static string Whole(string methodAndTarget) =>
        $"{methodAndTarget} HTTP/1.1\\r\\nHost: {{host}}\\r\\n{(methodAndTarget.StartsWith("GET ", StringComparison.Ordinal) || methodAndTarget.StartsWith("HEAD ", StringComparison.Ordinal) ? "" : "Content-Length: 0\\r\\n")}\\r\\n";

    private static void Append(MemoryStream bytes, string text, RequestWords words)
    {
        for (int i = 0; i < text.Length; i++)
        {
            switch (text[i])
            {
                case '\\':
                    i++;
                    if (text[i] == 'x')
                    {
                        bytes.WriteByte(byte.Parse(text.AsSpan(i + 1, 2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture));
                        i += 2;
                    }
                    else
                    {
                        bytes.WriteByte(text[i] switch { 'r' => 13, 'n' => 10, 't' => 9, '0' => 0, '\\' => (byte)'\\', _ => throw new InvalidDataException(text) });
                    }

                    break;
                case '{':
                    int end = text.IndexOf('}', i);
                    bytes.Write(Word(text[(i + 1)..end], words));
                    i = end;
                    break;
                default:
                    int length = char.IsHighSurrogate(text[i]) ? 2 : 1;
                    bytes.Write(Encoding.UTF8.GetBytes(text.Substring(i, length)));
                    i += length - 1;
                    break;
            }
        }
    }

    private static byte[] Word(string word, RequestWords words)
    {
        if (word.Split(' ', 3) is ["repeat", string count, string text])
        {
            byte[] one = Expand(text, words);
            return [.. Enumerable.Repeat(one, int.Parse(count, NumberStyles.None, CultureInfo.InvariantCulture)).SelectMany(bytes => bytes)];
        }

        return word switch
        {
            "get" => Encoding.ASCII.GetBytes(words.Get),
            "post" => Encoding.ASCII.GetBytes(words.Post),
            "host" => Encoding.ASCII.GetBytes(words.Host),
            "body" => words.Body,
            "length" => Encoding.ASCII.GetBytes(words.Body.Length.ToString(CultureInfo.InvariantCulture)),
            "hex" => Encoding.ASCII.GetBytes(words.Body.Length.ToString("x", CultureInfo.InvariantCulture)),
            "bomb" => Bomb,
            _ => throw new InvalidDataException($"{{{word}}}"),
        };
    }

    private static byte[] Bomb { get; } = Compress(new byte[10_000_000]);

    private static byte[] Compress(byte[] bytes)
    {
        using MemoryStream compressed = new();
        using (GZipStream gzip = new(compressed, CompressionLevel.Optimal)) gzip.Write(bytes);
        return compressed.ToArray();
    }
}
