using System.Runtime.CompilerServices;

namespace TransparencyLog.Store;

/// <summary>
/// The order of entries: a sequence that is ordered, without gaps and durable. It alone decides which entry has which index.
/// <para>
/// Concurrency: one append at a time, and one trim at a time, which may run while an append runs or waits. A second append before the first
/// has returned is misuse and throws <see cref="InvalidOperationException"/>. Any number of readers and followers run at the same time. On
/// a cluster every node has a journal object, so entries of other nodes may lie between two appends of this one.
/// </para>
/// </summary>
public interface IJournal
{
    /// <summary>How long an idempotency key is remembered, at least, from its append on: 24 hours, a day of retries.</summary>
    static readonly TimeSpan KeyLifetime = TimeSpan.FromHours(24);

    /// <summary>How long the id of a batch is remembered where the store shares one order among processes: 60 seconds.</summary>
    static readonly TimeSpan IdLifetime = TimeSpan.FromSeconds(60);

    /// <summary>The index of the oldest entry that is still held. Equal to <see cref="NextIndex"/> when none is.</summary>
    long FirstIndex { get; }

    /// <summary>
    /// How many entries are known to be durable. The next entry of this process gets this index or, on a cluster, a larger one.
    /// </summary>
    long NextIndex { get; }

    /// <summary>Whether an append waits because the store has no room. Callers push back while it is true.</summary>
    bool IsFull { get; }

    /// <summary>
    /// Appends all entries of the batch, or none. When it returns an index, every entry is on stable storage, the entries follow each other
    /// from that index on, and the answer is final. When it returns failed conditions, nothing was stored, and the caller may drop or
    /// rebuild the entries of those conditions and append again.
    /// <para>
    /// Conditions: checked in their order. Each is checked against what is stored, changed by those conditions before it in the batch that
    /// hold. Heads and keys move in the append itself: after a crash either the entries are there with them, or neither.
    /// </para>
    /// <para>
    /// Failure: when it throws <see cref="StoreException"/>, whether the batch is stored is unknown. Three subclasses say that nothing was
    /// stored: <see cref="HeadsUnknownException"/>, after which batches without conditions may still be appended;
    /// <see cref="StoreHaltedException"/>; and <see cref="StoreInUseException"/>. After any other, a store that can find out accepts the
    /// same batch with the same id again; a store that cannot throws at every later call, and only a new opening decides.
    /// </para>
    /// <para>
    /// Retry: the id of the newest append of this object is always known. Appended again it returns the first answer and stores nothing. A
    /// store that shares one order among processes also knows older ids for <see cref="IdLifetime"/>, in later openings too. The id of a
    /// batch whose conditions failed remains unused. The same id with another number of entries or bytes is misuse and throws
    /// <see cref="ArgumentException"/>.
    /// </para>
    /// <para>
    /// No room: nothing is changed, and the call waits with <see cref="IsFull"/> true until there is room or <paramref name="stop"/> is
    /// cancelled, which throws <see cref="OperationCanceledException"/>. With a token that cannot be cancelled it throws
    /// <see cref="StoreException"/> instead of waiting. The journal stays usable after both.
    /// </para>
    /// The call may block its thread while it writes, and while it waits for room. The batch may be changed once the call has returned.
    /// </summary>
    /// <param name="batch">At least one entry.</param>
    /// <param name="stop">Ends a wait for room. An append that has begun to write is completed.</param>
    /// <exception cref="ArgumentException">The batch is empty, or its id is all zeros.</exception>
    ValueTask<AppendAnswer> AppendAsync(JournalBatch batch, CancellationToken stop);

    /// <summary>
    /// Reads back what is stored, from the place where it is stored and never from a copy in memory: every batch that holds entries at or
    /// after <paramref name="from"/>, in order, contiguous. Entries that are appended later are read too.
    /// </summary>
    /// <param name="from">From <see cref="FirstIndex"/> to <see cref="NextIndex"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="from"/> lies outside.</exception>
    IJournalReader Read(long from);

    /// <summary>
    /// Follows the journal: the same entries as <see cref="Read"/>, those of other nodes included, and a wait for more. It may return what
    /// this process has just appended without reading it back.
    /// </summary>
    /// <param name="from">From <see cref="FirstIndex"/> to <see cref="NextIndex"/>.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="from"/> lies outside.</exception>
    IJournalFollower Follow(long from);

    /// <summary>
    /// Allows the journal to forget the entries below an index; it may keep them. After a crash entries that were forgotten may be held
    /// again. Stream heads and idempotency keys stay. It never makes the next index smaller, not even after a crash.
    /// </summary>
    /// <param name="below">At most <see cref="NextIndex"/>. An index that is trimmed already changes nothing.</param>
    /// <param name="stop">Ends the call; part of the entries may be forgotten then.</param>
    /// <exception cref="ArgumentOutOfRangeException"><paramref name="below"/> is larger than <see cref="NextIndex"/>.</exception>
    ValueTask TrimAsync(long below, CancellationToken stop);

    /// <summary>Returns the head of a stream; null where the stream has no event.</summary>
    /// <param name="stream">1 to <see cref="JournalCondition.MaxName"/> bytes of UTF-8.</param>
    /// <param name="stop">Ends the call.</param>
    /// <exception cref="HeadsUnknownException">The heads have to be rebuilt from the log first.</exception>
    ValueTask<StreamHead?> FindHeadAsync(string stream, CancellationToken stop);

    /// <summary>
    /// Returns the answer that was given under an idempotency key; null where the key is unknown, or was forgotten after
    /// <see cref="KeyLifetime"/>.
    /// </summary>
    /// <param name="key">1 to <see cref="JournalCondition.MaxName"/> bytes of UTF-8.</param>
    /// <param name="stop">Ends the call.</param>
    /// <exception cref="HeadsUnknownException">The keys have to be rebuilt from the log first.</exception>
    ValueTask<KeyedAnswer?> FindKeyAsync(string key, CancellationToken stop);
}

/// <summary>The answer to an append.</summary>
/// <param name="FirstIndex">The index of the batch's first entry, the others follow; -1 where nothing was stored.</param>
/// <param name="Failed">
/// The positions in <see cref="JournalBatch.Conditions"/> of those that did not hold, ascending; empty where everything was stored.
/// </param>
public readonly record struct AppendAnswer(long FirstIndex, IReadOnlyList<int> Failed)
{
    /// <summary>Whether the batch is stored.</summary>
    public bool IsStored => Failed.Count == 0;

    /// <summary>The answer for a batch that is stored.</summary>
    public static AppendAnswer Stored(long firstIndex) => new(firstIndex, []);

    /// <summary>The answer for a batch some of whose conditions did not hold.</summary>
    public static AppendAnswer Refused(IReadOnlyList<int> failed) => new(-1, failed);
}

/// <summary>Entries that lie together in the journal.</summary>
/// <param name="FirstIndex">The index of the first entry.</param>
/// <param name="Count">How many entries, at least 1.</param>
/// <param name="Bundle">
/// The entries with big-endian u16 length prefixes. Valid until the next call of the reader that returned it.
/// </param>
public readonly record struct JournalEntries(long FirstIndex, int Count, ReadOnlyMemory<byte> Bundle);

/// <summary>A position in a journal. For one caller at a time, which need not be the one that appends.</summary>
public interface IJournalReader : IAsyncDisposable
{
    /// <summary>
    /// Returns the next entries; null at the end, where more may come. The first that are returned may begin below the index that was
    /// asked for. May block its thread while it reads.
    /// </summary>
    /// <exception cref="EntriesTrimmedException">The next entries were trimmed before they were read.</exception>
    /// <exception cref="DamageException">The stored entries are not those that were appended.</exception>
    ValueTask<JournalEntries?> ReadAsync(CancellationToken stop);
}

/// <summary>A position in a journal from which one caller follows it.</summary>
public interface IJournalFollower : IJournalReader
{
    /// <summary>Completes when <see cref="IJournalReader.ReadAsync"/> may return entries. May complete early.</summary>
    ValueTask WaitAsync(CancellationToken stop);
}

/// <summary>
/// Stream heads or idempotency keys are being rebuilt from the log. Nothing was stored. Appends without conditions work, and the same call
/// works later. It does not end the engine.
/// </summary>
public sealed class HeadsUnknownException(string message) : StoreException(message)
{
    /// <inheritdoc/>
    public override bool MayPass => true;
}

/// <summary>
/// A reader or follower lags behind a trim. It ends that reader, and not the engine: older entries are in the tiles
/// (<see cref="ITileStore"/>).
/// </summary>
public sealed class EntriesTrimmedException(string message) : StoreException(message);

/// <summary>A journal from an index to its end.</summary>
public static class JournalReading
{
    /// <summary>All entries at or after <paramref name="from"/>, up to the end of the journal when it is reached.</summary>
    public static async IAsyncEnumerable<JournalEntries> ReadAllAsync(
        this IJournal journal, long from, [EnumeratorCancellation] CancellationToken stop)
    {
        await using IJournalReader reader = journal.Read(from);
        while (await reader.ReadAsync(stop).ConfigureAwait(false) is JournalEntries entries) yield return entries;
    }
}
