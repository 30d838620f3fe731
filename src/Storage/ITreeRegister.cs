namespace TransparencyLog.Storage;

/// <summary>
/// The commit point of the tree: it alone says what has been signed. Whoever has acquired it is the only one who may sign; a swap that
/// finds another value than expected means that someone else has, and the loser halts.
/// </summary>
public interface ITreeRegister : IDisposable
{
    /// <summary>The value: null before the first checkpoint of the log was signed.</summary>
    TreeHead? Current { get; }

    /// <summary>What stopped the log and stays until an operator resumes it; null when nothing did.</summary>
    string? Halted { get; }

    /// <summary>
    /// Replaces <paramref name="expected"/> by <paramref name="next"/>, durably: once it returns true the signature may leave the process.
    /// Only to a larger size, or to the same size with the same root. False means fenced: another process has moved it.
    /// When it throws, nothing of <paramref name="next"/> may be used, and the register is not to be used again before a restart.
    /// </summary>
    ValueTask<bool> SwapAsync(TreeHead? expected, TreeHead next, string reason, CancellationToken stop);

    /// <summary>Records evidence against ourselves, durably. It survives restarts until <see cref="ResumeAsync"/>.</summary>
    ValueTask HaltAsync(string evidence, CancellationToken stop);

    /// <summary>Ends a halt. The reason goes into the history.</summary>
    ValueTask ResumeAsync(string reason, CancellationToken stop);
}

/// <summary>A head of the tree that was signed.</summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash at that size.</param>
/// <param name="Checkpoint">The signed note with the log's own signature lines, at most 64 KiB.</param>
public sealed record TreeHead(long Size, Hash Root, ReadOnlyMemory<byte> Checkpoint)
{
    /// <summary>Largest checkpoint a register takes, in bytes: the note text and a dozen lines of the largest signature type.</summary>
    public const int MaxCheckpoint = 64 * 1024;

    /// <summary>Same size, same root, same signed bytes.</summary>
    public bool Equals(TreeHead? other) => other is not null && Size == other.Size && Root == other.Root && Checkpoint.Span.SequenceEqual(other.Checkpoint.Span);

    /// <inheritdoc/>
    public override int GetHashCode() => HashCode.Combine(Size, Root);
}
