namespace TransparencyLog.Storage;

/// <summary>
/// An ordered, gap-free, durable sequence of entries, one frame per group commit. It decides the order of the entries.
/// One writer. One append in flight: a second one before the first has returned is misuse and throws.
/// </summary>
public interface IJournal : IAsyncDisposable
{
    /// <summary>The index of the oldest entry still stored. Equal to <see cref="NextIndex"/> when none is.</summary>
    long FirstIndex { get; }

    /// <summary>The index of the next entry.</summary>
    long NextIndex { get; }

    /// <summary>
    /// Appends all entries of the frame, or none. Returns the index of the first entry once all of them are durable; that index is final.
    /// When it throws, it is unknown whether the frame is stored; every later call throws too, and only reopening the journal decides.
    /// The frame may be reused once the call has returned. When the disk has no room for a new file, nothing was changed, and the call waits for room until
    /// <paramref name="stop"/> is cancelled; with a token that cannot be cancelled it throws immediately.
    /// </summary>
    ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop);

    /// <summary>
    /// Reads the durable entries back: all frames with entries at or after <paramref name="from"/>, in order and contiguous. <paramref name="from"/> must be
    /// at least <see cref="FirstIndex"/>, and entries must not be trimmed before they were read.
    /// </summary>
    IJournalReader Follow(long from);

    /// <summary>Allows the journal to drop the entries below <paramref name="below"/>, which are never needed again. It may keep them.</summary>
    ValueTask TrimAsync(long below, CancellationToken stop);
}

/// <summary>A read position in a journal. For use by one thread, which need not be the one that appends.</summary>
public interface IJournalReader : IDisposable
{
    /// <summary>
    /// Reads the next frame. Returns false at the end; later frames can be read with another call. Throws <see cref="DamageException"/> when the bytes are
    /// not a frame.
    /// </summary>
    bool TryRead(out JournalEntries entries);
}

/// <summary>Reads a journal from an index to its end.</summary>
public static class JournalReading
{
    /// <summary>All frames with entries at or after <paramref name="from"/>, up to the end of the journal at the time when the reader reaches it.</summary>
    public static IEnumerable<JournalEntries> Read(this IJournal journal, long from)
    {
        using IJournalReader reader = journal.Follow(from);
        while (reader.TryRead(out JournalEntries entries)) yield return entries;
    }
}

/// <summary>The content of one frame: <paramref name="Count"/> entries from <paramref name="FirstIndex"/> on, in the form of an entry bundle.</summary>
/// <param name="FirstIndex">The index of the first entry.</param>
/// <param name="Count">The number of entries.</param>
/// <param name="Bundle">The entries with big-endian u16 length prefixes; valid until the next frame is read.</param>
public readonly record struct JournalEntries(long FirstIndex, int Count, ReadOnlyMemory<byte> Bundle);
