namespace TransparencyLog.Storage;

/// <summary>
/// The commit point of the tree: its value alone decides what has been signed. Only the process that has acquired it may sign. A swap that finds a value
/// other than the expected one means that another process has signed, and the loser halts.
/// </summary>
public interface ITreeRegister : IDisposable
{
    /// <summary>The current value; null before the first checkpoint of the log was signed.</summary>
    TreeHead? Current { get; }

    /// <summary>The reason for which the log is halted until an operator resumes it; null when it is not halted.</summary>
    string? Halted { get; }

    /// <summary>
    /// Replaces <paramref name="expected"/> by <paramref name="next"/> durably. Once it returns true, the signature may leave the process.
    /// Accepts only a larger size, or the same size with the same root. False means fenced: another process has changed the value.
    /// When it throws, nothing of <paramref name="next"/> may be used, and the register must not be used again before a restart.
    /// </summary>
    ValueTask<bool> SwapAsync(TreeHead? expected, TreeHead next, string reason, CancellationToken stop);

    /// <summary>Records evidence against this log, durably. It survives restarts until <see cref="ResumeAsync"/>.</summary>
    ValueTask HaltAsync(string evidence, CancellationToken stop);

    /// <summary>Ends a halt. The reason goes into the history.</summary>
    ValueTask ResumeAsync(string reason, CancellationToken stop);
}

/// <summary>A signed head of the tree.</summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash at that size.</param>
/// <param name="Checkpoint">The signed note with the log's own signature lines, at most 64 KiB.</param>
public sealed record TreeHead(long Size, Hash Root, ReadOnlyMemory<byte> Checkpoint)
{
    /// <summary>The largest checkpoint that a register accepts, in bytes: the note text and a dozen lines of the largest signature type.</summary>
    public const int MaxCheckpoint = 64 * 1024;

    /// <summary>Equal when size, root and signed bytes are equal.</summary>
    public bool Equals(TreeHead? other) => other is not null && Size == other.Size && Root == other.Root && Checkpoint.Span.SequenceEqual(other.Checkpoint.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Size, Root);
}
