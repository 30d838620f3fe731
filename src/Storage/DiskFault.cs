// The test seam between Storage and libc: decides what each call does. Outside of tests it is always null, and costs one null check per call.

namespace TransparencyLog.Storage;

/// <summary>The fault to apply to one libc call.</summary>
/// <param name="Kind">The kind of fault.</param>
/// <param name="Number">The errno of <see cref="FaultKind.Fail"/> and <see cref="FaultKind.FailAfter"/>, the number of bytes of
/// <see cref="FaultKind.Short"/>, the bit of <see cref="FaultKind.Flip"/>.</param>
internal readonly record struct FaultAct(FaultKind Kind, int Number = 0);

internal enum FaultKind
{
    /// <summary>The call is made unchanged.</summary>
    None,

    /// <summary>The call does nothing and fails with an errno.</summary>
    Fail,

    /// <summary>The call does all its work, and fails with an errno.</summary>
    FailAfter,

    /// <summary>The call does nothing and reports success. Does not apply to open and to calls that read: they are made unchanged.</summary>
    Lie,

    /// <summary>A write or read of this many bytes, at least one, which it reports. Any other call is made unchanged.</summary>
    Short,

    /// <summary>A write with one bit flipped, counted from its beginning, modulo its length. Any other call is made unchanged.</summary>
    Flip,
}

/// <summary>Decides the fault of each call. Both methods run on the thread that makes the call, and on several threads at the same time.</summary>
internal abstract class DiskFault
{
    /// <summary>Called before each libc call, including the repeated calls after a short write. May block, which delays the call or makes it hang.</summary>
    /// <param name="call">The name of the call: open, pwrite, pread, fdatasync, fsync, rename, unlink, mkdir, link, statx, readdir.</param>
    /// <param name="path">The file; for a rename or a link, the old name.</param>
    public abstract FaultAct Decide(string call, string path);

    /// <summary>
    /// Called after each write, sync, rename, unlink, link and mkdir that succeeded, or seemed to. Called once, however many calls the operation needed.
    /// </summary>
    public abstract void Done(string call, string path);
}
