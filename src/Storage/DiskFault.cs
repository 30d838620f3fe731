// The seam for tests between Storage and libc: what is to become of a call. Unset, which it always is outside of tests, it costs a look
// whether it is null.

namespace TransparencyLog.Storage;

/// <summary>What is to become of one call of libc.</summary>
/// <param name="Kind">What.</param>
/// <param name="Number">The errno of <see cref="FaultKind.Fail"/> and <see cref="FaultKind.FailAfter"/>, the bytes of <see cref="FaultKind.Short"/>, the bit of <see cref="FaultKind.Flip"/>.</param>
internal readonly record struct FaultAct(FaultKind Kind, int Number = 0);

internal enum FaultKind
{
    /// <summary>It is made as it was meant.</summary>
    None,

    /// <summary>It fails with an errno, and does nothing.</summary>
    Fail,

    /// <summary>It does all its work, and reports an errno.</summary>
    FailAfter,

    /// <summary>It says that it is done, and does nothing. An open cannot.</summary>
    Lie,

    /// <summary>A write or read of so many bytes, at least one, that says so; any other call as <see cref="None"/>.</summary>
    Short,

    /// <summary>A write with one bit, counted from its beginning and modulo its length, turned over; any other call as <see cref="None"/>.</summary>
    Flip,
}

/// <summary>Decides about each call. Both methods are called on the thread that makes the call, and by many at once.</summary>
internal abstract class DiskFault
{
    /// <summary>Called before each call of libc, the repeated ones of a short write as well. It may block: then the call hangs, or is late.</summary>
    /// <param name="call">Its name: open, pwrite, pread, fdatasync, fsync, rename, unlink, mkdir, link, statx, readdir.</param>
    /// <param name="path">Its file; of a rename or a link the old name.</param>
    public abstract FaultAct Decide(string call, string path);

    /// <summary>Called after everything that changes the disk and went well, or seems to have, once however many calls it took.</summary>
    public abstract void Done(string call, string path);
}
