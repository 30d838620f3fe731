// Appends more entries than one request may hold. A proxy in front of a log may accept less than the log: nginx, by default, 1 MiB.

using System.Runtime.CompilerServices;

namespace TransparencyLog.Client;

/// <summary>
/// Appends entries in requests of at most 512 KiB. When a request is refused as too large (413), its entries are sent again in requests of half the size, down
/// to single entries. Later requests keep to the reduced size. One call at a time.
/// </summary>
/// <param name="log">The log.</param>
public sealed class BatchAppender(LogReader log)
{
    /// <summary>Most bytes of a request: half of what the strictest common proxy accepts. A connection of 60 kB/s sends it in 9 s.</summary>
    public const int MaxRequestBytes = 512 * 1024;

    private int _limit = MaxRequestBytes;

    /// <summary>
    /// Appends all entries of a bundle, which may hold any number of them. Yields the indexes of each request once they are final, in the order of the entries.
    /// When it throws, the entries whose indexes were not yielded are not in the log, except that those of a request without an answer may be.
    /// </summary>
    /// <param name="bundle">Entries with their lengths, as in an entry bundle.</param>
    /// <param name="stop">Stops between two requests, or cancels the last one, whose outcome is then unknown.</param>
    /// <exception cref="ArgumentException">The bytes are not entries with their lengths.</exception>
    /// <exception cref="LogReaderException">
    /// A request failed. With <see cref="LogReaderException.Status"/> 413 a single entry was too large: the first one whose index was not yielded.
    /// </exception>
    public async IAsyncEnumerable<long[]> AppendAsync(ReadOnlyMemory<byte> bundle, [EnumeratorCancellation] CancellationToken stop = default)
    {
        if (!EntryBundle.TryCount(bundle.Span, out _, out int badOffset)) throw new ArgumentException($"the length at offset {badOffset} does not fit", nameof(bundle));
        for (int offset = 0; offset < bundle.Length;)
        {
            (int length, int count) = Next(bundle.Span[offset..]);
            long[]? indexes = await TryAppendAsync(bundle.Slice(offset, length), count, stop).ConfigureAwait(false);
            if (indexes is null)
            {
                _limit = length / 2;
                continue;
            }

            offset += length;
            yield return indexes;
        }
    }

    /// <summary>Returns null when the request is too large and can be split.</summary>
    private async Task<long[]?> TryAppendAsync(ReadOnlyMemory<byte> part, int count, CancellationToken stop)
    {
        try
        {
            return await log.AddBatchAsync(part, count, stop).ConfigureAwait(false);
        }
        catch (LogReaderException tooLarge) when (tooLarge.Status == 413)
        {
            // None of its entries was appended, so they may be sent again.
            if (count > 1) return null;
            string message = $"{tooLarge.Message}: the request had {part.Length} bytes and one entry, so the log, or a proxy in front of it, accepts no entry of that size";
            throw new LogReaderException(LogFailure.Refused, message) { Status = 413 };
        }
    }

    /// <summary>As many entries as fit the limit; at least one.</summary>
    private (int Length, int Count) Next(ReadOnlySpan<byte> rest)
    {
        int length = 0, count = 0;
        while (length < rest.Length)
        {
            int next = EntryBundle.EncodedSize((rest[length] << 8) | rest[length + 1]);
            if (count > 0 && length + next > _limit) break;
            length += next;
            count++;
        }

        return (length, count);
    }
}
