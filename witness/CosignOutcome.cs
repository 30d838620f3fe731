namespace TransparencyLog.Witness;

/// <summary>The possible results of add-checkpoint and sign-subtree (c2sp.org/tlog-witness). Closed: all cases are here.</summary>
internal abstract record CosignOutcome
{
    private CosignOutcome()
    {
    }

    /// <summary>The log of the request; null when it is not known.</summary>
    public WitnessedLog? Log { get; init; }

    /// <summary>Cosigned. A checkpoint is then stored, and visible to monitors. The bytes of the answer are our signature lines.</summary>
    public sealed record Cosigned(ReadOnlyMemory<byte> SignatureLines) : CosignOutcome;

    /// <summary>The request, the note or the checkpoint is malformed, or the sizes are impossible.</summary>
    public sealed record Malformed(string Reason) : CosignOutcome;

    /// <summary>The origin is not a log of this witness.</summary>
    public sealed record UnknownOrigin : CosignOutcome;

    /// <summary>The checkpoint has no signature by a trusted key (for a subtree: by our own key), or a line of such a key does not verify.</summary>
    public sealed record NotSigned(string Reason) : CosignOutcome;

    /// <summary>The old size is not the latest size that this witness has cosigned.</summary>
    public sealed record Stale(long CosignedSize) : CosignOutcome;

    /// <summary>
    /// The checkpoint is not proven to extend the latest one that was cosigned, or the subtree is not proven to be part of its checkpoint.
    /// </summary>
    public sealed record Inconsistent(string Reason) : CosignOutcome;

    /// <summary>The log has asked too often.</summary>
    public sealed record TooOften(TimeSpan Wait) : CosignOutcome;

    /// <summary>
    /// Nothing is cosigned now, because of this witness's state. The caller does not know whether the checkpoint was stored, and may safely ask again.
    /// </summary>
    public sealed record Unavailable(Unavailability Why) : CosignOutcome;
}

/// <summary>Why nothing is cosigned.</summary>
internal enum Unavailability
{
    /// <summary>The store has failed, or this copy was fenced. It lasts until a restart.</summary>
    Halted,

    /// <summary>The clock is behind the last cosignature of the origin.</summary>
    ClockBehind,

    /// <summary>The clock is before 2026, or has jumped by more than a day.</summary>
    ClockWrong,

    /// <summary>The clock is far ahead of the last known time; an operator has to accept it.</summary>
    ClockAhead,

    /// <summary>The guard does not answer.</summary>
    GuardUnavailable,

    /// <summary>The disk is nearly full. Stored checkpoints are still served.</summary>
    DiskFull,

    /// <summary>Another request of this origin takes too long, or the disk does.</summary>
    Busy,
}
