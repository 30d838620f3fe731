// tlog-server and tlog-witness, each with one bug. The sweep has to find each of them, or it would not find it in the real ones.
//
//     planted BUG serve ...      what the real program takes behind the name of the bug
//
//     early-answer       the log's journal answers before it has written anything, and never tells that a write has failed
//     swallowed-error    the log's journal takes a failed write for a good one
//     skipped-sync       the log's journal writes and does not sync
//     exists             the log asks File.Exists whether it is halted
//     unlocked           the log gives back the lock of its directory once it has started
//     guard-unlocked     the lock of the log's guard says nothing, neither when it is taken nor later
//     guard-renamed      the same, and the next name of the guard is given with a rename, which replaces what another copy has written
//     early-witness      the witness's journal answers before it has written anything

using System.CommandLine;
using TransparencyLog.Server;
using TransparencyLog.Storage;
using TransparencyLog.Tests.EndToEnd.Planted;

string[] rest = args[1..];
return args[0] switch
{
    "early-answer" => await ServeAsync(parts => parts with { Journal = new EarlyJournal(parts.Journal) }),
    "swallowed-error" => await ServeAsync(parts => parts with { Journal = new SwallowingJournal(parts.Journal) }),
    "skipped-sync" => await ServeAsync(parts => parts with { Journal = new UnsyncedJournal(parts.Journal, rest[Array.IndexOf(rest, "--data") + 1]) }),
    "exists" => await ServeAsync(parts => parts with { Register = new ForgetfulRegister(parts.Register, rest[Array.IndexOf(rest, "--data") + 1]) }),
    "unlocked" => await ServeAsync(parts =>
    {
        Unlocking.GiveBack(rest[Array.IndexOf(rest, "--data") + 1]);
        return parts;
    }),
    "guard-unlocked" => await GuardAsync(GuardFlaw.None),
    "guard-renamed" => await GuardAsync(GuardFlaw.Renames),
    "early-witness" => await TransparencyLog.Witness.Commands.RunAsync(new RootCommand { TransparencyLog.Witness.Commands.Serve(journal => new EarlyJournal(journal)) }, rest),
    _ => throw new ArgumentException($"no bug is called {args[0]}"),
};

Task<int> GuardAsync(GuardFlaw flaw)
{
    GuardSeams.Usual = new GuardSeams(flaw, LockIsLost: true);
    return ServeAsync(parts => parts);
}

Task<int> ServeAsync(Func<EngineParts, EngineParts> bug) => TransparencyLog.Server.Commands.RunAsync(rest, new EngineSeams(Replace: bug));
