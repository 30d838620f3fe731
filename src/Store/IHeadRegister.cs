namespace TransparencyLog.Store;

/// <summary>
/// The commit point of the tree: it alone says which head was signed last. Only the holder of its lease may sign. A swap that finds another
/// value than expected means that another process has moved it, and the caller halts. Thread-safe; calls that write run one after another.
/// </summary>
public interface IHeadRegister
{
    /// <summary>A reason or decision is cut after this many characters in the history: 4,000, a page of text.</summary>
    const int MaxReason = 4000;

    /// <summary>Evidence is cut after this many characters: 300,000, three notes of the largest size in base64.</summary>
    const int MaxEvidence = 300_000;

    /// <summary>A register may drop the oldest lines of its history, but keeps this many: 1,000.</summary>
    const int MinHistory = 1000;

    /// <summary>
    /// Acquires the right to sign. Returns null where another process holds it now. While this process holds it, the same lease is returned
    /// again. A store for one process holds the right for as long as it is open.
    /// </summary>
    /// <param name="stop">Ends the call.</param>
    ValueTask<IHeadLease?> AcquireAsync(CancellationToken stop);

    /// <summary>Reads the value from where it is stored.</summary>
    /// <exception cref="DamageException">What is stored is not what was swapped in.</exception>
    ValueTask<RegisterValue> ReadAsync(CancellationToken stop);

    /// <summary>
    /// Replaces <paramref name="expected"/> by <paramref name="next"/>, durably. Once it returns true, the signature may leave the process.
    /// It also returns true where <paramref name="next"/> is stored already: a swap that is tried again may have succeeded before. It
    /// returns false when the caller is fenced: the lease was lost or disposed, the value is another one, or the log is halted.
    /// <para>
    /// The size only grows, or stays with the same root; anything else throws <see cref="StoreConflictException"/>. When it throws another
    /// <see cref="StoreException"/>, nothing of <paramref name="next"/> may be used, and the register must not be used again before a
    /// restart. After <see cref="RegisterUnavailableException"/> the same swap, and no other, may be tried again.
    /// </para>
    /// </summary>
    /// <param name="lease">What <see cref="AcquireAsync"/> returned.</param>
    /// <param name="expected">The value that the caller knows; null before the first head.</param>
    /// <param name="next">The head that was signed.</param>
    /// <param name="reason">Why, for the history.</param>
    /// <param name="stop">Ends a wait; whether the value was replaced is unknown then.</param>
    /// <exception cref="ArgumentException">
    /// The checkpoint is longer than <see cref="SignedHead.MaxCheckpoint"/>, the size is negative, or the lease is of another register.
    /// </exception>
    ValueTask<bool> SwapAsync(IHeadLease lease, SignedHead? expected, SignedHead next, string reason, CancellationToken stop);

    /// <summary>
    /// Records evidence against the log, durably. From then on, until <see cref="ResumeAsync"/> and over restarts, every swap returns false
    /// and every append throws <see cref="StoreHaltedException"/>, in this process and all others. A log that is halted already keeps its
    /// first evidence. No lease is needed, and a fenced opening may halt the log too.
    /// </summary>
    /// <param name="evidence">For an operator; cut after <see cref="MaxEvidence"/> characters.</param>
    /// <param name="stop">Ends the call; whether the log is halted is unknown then.</param>
    ValueTask HaltAsync(string evidence, CancellationToken stop);

    /// <summary>Ends a halt. The reason becomes part of the history.</summary>
    /// <exception cref="StoreException">The log is not halted.</exception>
    ValueTask ResumeAsync(string reason, CancellationToken stop);

    /// <summary>Adds a line to the history that changes no head, durably: a decision of an operator.</summary>
    ValueTask RecordAsync(string decision, CancellationToken stop);

    /// <summary>The history of signed heads and decisions, oldest first, read from where it is stored.</summary>
    /// <exception cref="DamageException">A line is not what was written.</exception>
    IAsyncEnumerable<HistoricHead> HistoryAsync(CancellationToken stop);

    /// <summary>A text that is cut after a number of characters, and says so.</summary>
    internal static string Cut(string text, int characters)
    {
        if (text.Length <= characters) return text;

        // Half of a surrogate pair could not be written as UTF-8.
        int end = char.IsHighSurrogate(text[characters - 1]) ? characters - 1 : characters;
        return text[..end] + " ...";
    }
}

/// <summary>The right to sign, until it is lost or disposed. Disposing it lets another process acquire it at once.</summary>
public interface IHeadLease : IAsyncDisposable
{
    /// <summary>
    /// Cancelled once the lease is lost or disposed, as far as this process can know. A swap may be refused earlier than that.
    /// </summary>
    CancellationToken Lost { get; }

    /// <summary>
    /// Whether something outside the store (a guard) confirmed, when the lease was acquired, that the register holds the newest head. Where
    /// it did not, an older copy of the store would go unnoticed, and witnesses have to be asked.
    /// </summary>
    bool HistoryIsVouchedFor { get; }
}

/// <summary>What a register holds.</summary>
/// <param name="Head">The newest signed head; null before the first.</param>
/// <param name="Halted">The evidence that halted the log; null while it is not halted.</param>
public sealed record RegisterValue(SignedHead? Head, string? Halted);

/// <summary>A line of the register's history.</summary>
/// <param name="Time">When it was written, in whole milliseconds.</param>
/// <param name="Reason">
/// Why: <c>created</c>, the reason of a swap, <c>halted: ...</c>, <c>resumed: ...</c>, or a decision that was recorded.
/// </param>
/// <param name="Head">The head that was newest after it; null before the first.</param>
public sealed record HistoricHead(DateTimeOffset Time, string Reason, SignedHead? Head);

/// <summary>A head of the tree that was signed.</summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash at that size.</param>
/// <param name="Checkpoint">
/// The signed note (C2SP signed-note) with the log's own signature lines, at most <see cref="MaxCheckpoint"/> bytes.
/// </param>
public sealed record SignedHead(long Size, Hash Root, ReadOnlyMemory<byte> Checkpoint)
{
    /// <summary>
    /// Largest checkpoint that a register accepts, in bytes: 64 KiB, the note text and a dozen lines of the largest signature type.
    /// </summary>
    public const int MaxCheckpoint = 64 * 1024;

    /// <summary>Same size, same root, same signed bytes.</summary>
    public bool Equals(SignedHead? other) =>
        other is not null && Size == other.Size && Root == other.Root && Checkpoint.Span.SequenceEqual(other.Checkpoint.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Size, Root);

    /// <summary>
    /// Throws where <paramref name="next"/> may not follow <paramref name="current"/>: it is smaller, or has the same size and another
    /// root.
    /// </summary>
    /// <exception cref="StoreConflictException">With evidence where both checkpoints are notes of one origin.</exception>
    internal static void ThrowUnlessFollows(SignedHead? current, SignedHead next)
    {
        if (current is null || next.Size > current.Size || (next.Size == current.Size && next.Root == current.Root)) return;
        throw new StoreConflictException(
            $"size {current.Size}, root {current.Root} is signed; size {next.Size}, root {next.Root} may not follow",
            EvidenceOf(current, next));
    }

    /// <summary>Throws where a register cannot hold the head.</summary>
    internal static void ThrowUnlessFits(SignedHead next)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(next.Size, nameof(next));
        if (next.Checkpoint.Length > MaxCheckpoint)
        {
            throw new ArgumentException($"a checkpoint has at most {MaxCheckpoint} bytes, not {next.Checkpoint.Length}", nameof(next));
        }
    }

    private static TlogEvidence? EvidenceOf(SignedHead one, SignedHead other) =>
        Note.TryParse(one.Checkpoint.Span, out Note? first) && Note.TryParse(other.Checkpoint.Span, out Note? second)
        && TransparencyLog.Checkpoint.TryParse(first.Text.Span, out Checkpoint? a)
        && TransparencyLog.Checkpoint.TryParse(second.Text.Span, out Checkpoint? b)
        && a.Origin == b.Origin
            ? TlogEvidence.Of(first, second, [])
            : null;
}

/// <summary>
/// The guard or the database of a register does not answer. The same swap may be tried again. It does not end the engine.
/// </summary>
public sealed class RegisterUnavailableException(string message) : StoreException(message)
{
    /// <inheritdoc/>
    public override bool MayPass => true;
}
