// Collects the lines of an input into bundles for add-batch. The lines of one read make one batch: a file is read in large pieces, and a line that a person
// types, or a program writes, is sent as soon as it is read.

using System.Runtime.CompilerServices;

namespace TransparencyLog.Cli;

/// <summary>Lines as an entry bundle with any number of entries.</summary>
/// <param name="Bundle">The entries with their lengths.</param>
/// <param name="Count">The number of entries.</param>
/// <param name="FirstLine">The number of the first line, from 1.</param>
internal sealed record LineBatch(ReadOnlyMemory<byte> Bundle, int Count, long FirstLine)
{
    /// <summary>
    /// Most bytes of one read. If lines have at least 7 bytes, the bundle of one read, with the incomplete line left from the read before, fits into one
    /// request of <see cref="Client.BatchAppender.MaxRequestBytes"/>. Shorter lines grow more through their length prefixes and need two requests.
    /// </summary>
    private const int MaxRead = 384 * 1024;

    /// <summary>Says what happened to the lines before the line that ends the reading.</summary>
    public static string AddedBefore(long line) => line > 1 ? "the lines before it were added" : "nothing was added";

    /// <summary>The entries, each copied into its own array.</summary>
    public IEnumerable<byte[]> Entries()
    {
        for (int offset = 0; offset < Bundle.Length;)
        {
            int length = (Bundle.Span[offset] << 8) | Bundle.Span[offset + 1];
            yield return Bundle.Slice(offset + 2, length).ToArray();
            offset += EntryBundle.EncodedSize(length);
        }
    }

    /// <summary>
    /// Reads all lines. An empty or too long line ends the reading with a <see cref="CliException"/>, after the batch of the lines before it.
    /// </summary>
    public static async IAsyncEnumerable<LineBatch> ReadAsync(Stream input, string name, [EnumeratorCancellation] CancellationToken stop)
    {
        byte[] buffer = new byte[MaxRead + EntryBundle.MaxEntrySize + 1];
        int held = 0;
        long line = 1;
        while (true)
        {
            int read = await input.ReadAsync(buffer.AsMemory(held, MaxRead), stop);
            held += read;
            (LineBatch batch, int used, string? bad) = Take(buffer.AsMemory(0, held), line, atEnd: read == 0);
            if (batch.Count > 0) yield return batch;
            line += batch.Count;
            if (bad is not null) throw new CliException(ExitCode.Usage, $"line {line} of {name} {bad}; {InputFile.EntryRule}; {AddedBefore(line)}");
            if (read == 0) yield break;
            buffer.AsSpan(used, held - used).CopyTo(buffer);
            held -= used;
        }
    }

    private static (LineBatch Batch, int Used, string? Bad) Take(ReadOnlyMemory<byte> bytes, long line, bool atEnd)
    {
        byte[] bundle = new byte[(bytes.Length / 2 * 3) + 3];
        int length = 0, count = 0, used = 0;
        string? bad = null;
        while (used < bytes.Length)
        {
            ReadOnlySpan<byte> rest = bytes.Span[used..];
            int end = rest.IndexOf((byte)'\n');
            ReadOnlySpan<byte> entry = end < 0 ? rest : rest[..end];
            if (entry.Length > EntryBundle.MaxEntrySize) bad = "is too long";
            else if (end < 0 && !atEnd) break;
            else if (entry.IsEmpty) bad = "is empty";
            if (bad is not null) break;
            length += EntryBundle.Write(entry, bundle.AsSpan(length));
            used += end < 0 ? entry.Length : entry.Length + 1;
            count++;
        }

        return (new LineBatch(bundle.AsMemory(0, length), count, line), used, bad);
    }
}
