namespace TransparencyLog.Witness;

/// <summary>What add-checkpoint can come to (c2sp.org/tlog-witness, "add-checkpoint"). Closed: the cases are all here.</summary>
internal abstract record CosignOutcome
{
    private CosignOutcome()
    {
    }

    /// <summary>Cosigned, stored, and to be seen by monitors. The answer's bytes: our signature lines.</summary>
    public sealed record Cosigned(ReadOnlyMemory<byte> SignatureLines) : CosignOutcome;

    /// <summary>Not a request, not a note, not a checkpoint, or an old size above the checkpoint's.</summary>
    public sealed record Malformed(string Reason) : CosignOutcome;

    /// <summary>Not a log of ours.</summary>
    public sealed record UnknownOrigin : CosignOutcome;

    /// <summary>No trusted key signed it, or a line of one does not verify.</summary>
    public sealed record NotSigned(string Reason) : CosignOutcome;

    /// <summary>The old size is not the latest size that was cosigned.</summary>
    public sealed record Stale(long CosignedSize) : CosignOutcome;

    /// <summary>Not shown to be an extension of the latest checkpoint that was cosigned.</summary>
    public sealed record Inconsistent(string Reason) : CosignOutcome;

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

    /// <summary>The disk is nearly full. What is stored goes on being shown.</summary>
    DiskFull,

    /// <summary>Another request of this origin, or the disk, takes too long.</summary>
    Busy,
}
