namespace TransparencyLog.Witness;

/// <summary>What add-checkpoint and sign-subtree can come to (c2sp.org/tlog-witness). Closed: the cases are all here.</summary>
internal abstract record CosignOutcome
{
    private CosignOutcome()
    {
    }

    /// <summary>The log it is about; null where none is known.</summary>
    public WitnessedLog? Log { get; init; }

    /// <summary>Cosigned; a checkpoint is then stored, and to be seen by monitors. The answer's bytes: our signature lines.</summary>
    public sealed record Cosigned(ReadOnlyMemory<byte> SignatureLines) : CosignOutcome;

    /// <summary>Not a request, not a note, not a checkpoint, or sizes that cannot be.</summary>
    public sealed record Malformed(string Reason) : CosignOutcome;

    /// <summary>Not a log of ours.</summary>
    public sealed record UnknownOrigin : CosignOutcome;

    /// <summary>No trusted key (for a subtree: no key of ours) signed the checkpoint, or a line of one does not verify.</summary>
    public sealed record NotSigned(string Reason) : CosignOutcome;

    /// <summary>The old size is not the latest size that was cosigned.</summary>
    public sealed record Stale(long CosignedSize) : CosignOutcome;

    /// <summary>Not shown to be an extension of the latest checkpoint that was cosigned, or the subtree not to be part of it.</summary>
    public sealed record Inconsistent(string Reason) : CosignOutcome;

    /// <summary>The log has asked too often.</summary>
    public sealed record TooOften(TimeSpan Wait) : CosignOutcome;

    /// <summary>Our own state: nothing is cosigned now. Whether the checkpoint was stored is unknown to the caller; asking again is safe.</summary>
    public sealed record Unavailable(Unavailability Why) : CosignOutcome;
}

/// <summary>Why nothing is cosigned.</summary>
internal enum Unavailability
{
    /// <summary>The store has failed; a restart decides.</summary>
    Halted,

    /// <summary>The clock is behind the last cosignature of the origin.</summary>
    ClockBehind,

    /// <summary>The clock says what cannot be, or has jumped by more than a day.</summary>
    ClockWrong,

    /// <summary>The clock is far ahead of the last known time; an operator has to accept it.</summary>
    ClockAhead,

    /// <summary>The guard cannot be asked.</summary>
    GuardUnavailable,

    /// <summary>The disk is nearly full. What is stored goes on being shown.</summary>
    DiskFull,

    /// <summary>Another request of this origin, or the disk, takes too long.</summary>
    Busy,
}
