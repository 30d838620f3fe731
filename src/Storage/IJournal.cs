namespace TransparencyLog.Storage;

/// <summary>
/// The order of things: an ordered, gap-free, durable sequence of entries, one frame per group commit.
/// One writer. One append in flight: a second one before the first has returned is misuse and throws.
/// </summary>
public interface IJournal : IAsyncDisposable
{
    /// <summary>The index of the oldest entry still held. Equal to <see cref="NextIndex"/> when none is.</summary>
    long FirstIndex { get; }

    /// <summary>The index that the next entry gets.</summary>
    long NextIndex { get; }

    /// <summary>
    /// Appends all entries of the frame, or none. Returns the index of the first once all of them are durable: the answer is final.
    /// When it throws, whether the frame is stored is unknown; every later call throws too, and only a new opening decides.
    /// The frame may be reused once the call has returned. Where the disk has no room for a new file, nothing was touched: then the call waits for room until
    /// <paramref name="stop"/> is cancelled; with a token that cannot be cancelled it throws at once.
    /// </summary>
    ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop);

    /// <summary>
    /// Reads back what is durable: all frames that hold entries at or after <paramref name="from"/>, in order, contiguous. <paramref name="from"/> is at least
    /// <see cref="FirstIndex"/>, and entries are not to be trimmed before they were read.
    /// </summary>
    IJournalReader Follow(long from);

    /// <summary>Allows the journal to forget the entries below <paramref name="below"/>; it may keep them. They are never needed again.</summary>
    ValueTask TrimAsync(long below, CancellationToken stop);
}

/// <summary>A place in a journal. For one thread, which need not be the one that appends.</summary>
public interface IJournalReader : IDisposable
{
    /// <summary>The next frame; false at the end, where more may come. Throws <see cref="DamageException"/> when the bytes are not those of a frame.</summary>
    bool TryRead(out JournalEntries entries);
}

/// <summary>A journal from some index to its end.</summary>
public static class JournalReading
{
    /// <summary>All frames that hold entries at or after <paramref name="from"/>, up to the end as it is when it is reached.</summary>
    public static IEnumerable<JournalEntries> Read(this IJournal journal, long from)
    {
        using IJournalReader reader = journal.Follow(from);
        while (reader.TryRead(out JournalEntries entries)) yield return entries;
    }
}

/// <summary>What one frame holds: <paramref name="Count"/> entries from <paramref name="FirstIndex"/> on, in the form of an entry bundle.</summary>
/// <param name="FirstIndex">The index of the first entry.</param>
/// <param name="Count">How many entries.</param>
/// <param name="Bundle">The entries with big-endian u16 length prefixes; valid until the next frame is read.</param>
public readonly record struct JournalEntries(long FirstIndex, int Count, ReadOnlyMemory<byte> Bundle);
