// Which faults the sweep makes, where they can happen, and what may come of them. This table is the promise; the campaign reports whatever is not in it.
//
//   what happens                        what the clients may see                    after a restart
//   kill killafter torn                 the program is gone                         OK
//   eio enospc edquot erofs emfile      nothing more is taken, the operator is      OK
//     persistfail                         told, until a restart
//   short eintr                         nothing: they are no errors                 OK
//   lie flip                            anything but a broken promise               OK, REFUSED with file and place named, or MENDED
//
// MENDED: the server has replaced what fsck had called damage, from a second copy, and both agree afterwards.
// OK: every promise given before, during and after the run holds. LOST, FORKED, IGNORED (an error that nobody heard of) and HUNG are never allowed.

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What a fault is to the program that meets it.</summary>
internal enum Meaning
{
    /// <summary>Nothing goes wrong.</summary>
    None,

    /// <summary>The process ends there.</summary>
    Death,

    /// <summary>The call reports failure.</summary>
    Error,

    /// <summary>The call has to be repeated, or finished.</summary>
    Unfinished,

    /// <summary>The call reports success, and the disk holds something else.</summary>
    Deceit,
}

/// <summary>One way for a storage call to go wrong.</summary>
/// <param name="Name">In tables and filters: the action, and its KEEP where it has one.</param>
/// <param name="Action">Of the shim.</param>
/// <param name="Meaning">What it is to the program.</param>
/// <param name="Kinds">The calls that it can befall, as in the shim's own table.</param>
/// <param name="Keep">DEVTLOG_FAULT_KEEP, or null for the action's default.</param>
/// <param name="Stays">Whether every later call of the same kind fails as well: one opening that fails for want of a descriptor is tried again for two seconds.</param>
internal sealed record Fault(string Name, string Action, Meaning Meaning, CallKinds Kinds, int? Keep = null, bool Stays = false)
{
    public static readonly Fault Count = new("count", "count", Meaning.None, CallKinds.None);

    /// <summary>All of them, the most telling first: a budget of time cuts the list at its end.</summary>
    public static readonly IReadOnlyList<Fault> All =
    [
        new("kill", "kill", Meaning.Death, CallKinds.All),
        new("eio", "eio", Meaning.Error, CallKinds.All),
        new("lie", "lie", Meaning.Deceit, CallKinds.All & ~(CallKinds.Open | CallKinds.OpenDirectory)),
        new("flip", "flip", Meaning.Deceit, CallKinds.Write),
        new("enospc", "enospc", Meaning.Error, CallKinds.All & ~(CallKinds.OpenDirectory | CallKinds.Unlink)),
        new("killafter", "killafter", Meaning.Death, CallKinds.All),
        .. new[] { 1, 100, 511, 512, 513, 4095 }.Select(keep => new Fault($"torn-{keep}", "torn", Meaning.Death, CallKinds.Write, keep)), // D-03; of 0 bytes it is kill
        new("persistfail", "persistfail", Meaning.Error, CallKinds.All),
        new("short", "short", Meaning.Unfinished, CallKinds.Write),
        new("eintr", "eintr", Meaning.Unfinished, CallKinds.Open | CallKinds.OpenDirectory | CallKinds.Write | CallKinds.Sync | CallKinds.Truncate | CallKinds.Allocate),
        new("emfile", "emfile", Meaning.Error, CallKinds.Open | CallKinds.OpenDirectory, Stays: true),
        new("edquot", "edquot", Meaning.Error, CallKinds.All & ~(CallKinds.OpenDirectory | CallKinds.Unlink)),
        new("erofs", "erofs", Meaning.Error, CallKinds.All & ~CallKinds.OpenDirectory),
    ];

    /// <summary>The fault that the shim has made of this call.</summary>
    public static Fault Of(ShimCall hit) => All.First(fault => fault.Action == hit.Result[1..]);

    /// <summary>Those of these names; a name without KEEP means all its variants.</summary>
    public static IEnumerable<Fault> Named(params IEnumerable<string> names)
    {
        string[] wanted = [.. names];
        foreach (string name in wanted)
        {
            if (!All.Any(fault => fault.Name == name || fault.Action == name)) throw new ArgumentException($"no action is called {name}");
        }

        return All.Where(fault => wanted.Contains(fault.Name) || wanted.Contains(fault.Action));
    }

    /// <summary>Whether it can befall a call. A write that would be torn behind its end is killafter.</summary>
    public bool Applies(ShimCall call) => Kinds.HasFlag(call.Kind) && (call.Kind != CallKinds.Write || (call.Bytes > 0 && (Keep ?? 0) < call.Bytes));

    /// <summary>Whether a run may end with this word.</summary>
    public bool Allows(string word) => word == "OK" || (word is "REFUSED" or "MENDED" && Meaning == Meaning.Deceit);

    public override string ToString() => Name;
}
