// The sweep in process: a piece of work runs once to count its storage calls; then once for each action and the n-th call of each name, in a
// fresh copy of its directory, with that call going wrong (DiskFault). After each run its directory is opened without faults and compared with what the work was
// told was done. Reads are not swept, nor what .NET does itself (File.Delete, Directory.CreateDirectory).

using System.Collections.Concurrent;
using System.Globalization;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>A piece of work on a directory.</summary>
/// <param name="Prepare">Makes the directory, without faults, once.</param>
/// <param name="Run">The work. It opens and closes what it needs.</param>
/// <param name="Check">Opens again and compares with the story: everything acknowledged is there, nothing is half there, and work goes on.</param>
internal sealed record SweptWork(Func<string, Task> Prepare, Func<string, Story, Task> Run, Func<string, Story, Task> Check)
{
    /// <summary>Calls whose failure the work may live with, because it tries again or did not need them.</summary>
    public Func<SweptCall, bool> MayFail { get; init; } = _ => false;

    /// <summary>Calls that are made again until they go well: nobody notices, and the work ends whole.</summary>
    public Func<SweptCall, bool> IsMadeAgain { get; init; } = _ => false;

    /// <summary>Writes whose bytes nothing depends on before they are written over: zeros.</summary>
    public Func<SweptCall, bool> IsFiller { get; init; } = _ => false;
}

/// <summary>A storage call: its name, its file below the directory, and how many steps had been begun.</summary>
internal sealed record SweptCall(string Name, string Path, int Step)
{
    public override string ToString() => $"{Name} {Path}";
}

/// <summary>
/// What became of one run. WHOLE: all was done. ASIDE: something was told that ends nothing. FAILED: the work was told, nothing went on, and the next
/// opening found everything. REFUSED: the same, but the next opening names damage in the very file. LATE: the next opening names it, and nobody had
/// been told. LOST, IGNORED, HUNG, NAMELESS: never.
/// </summary>
internal sealed record SweptVerdict(string Action, int At, SweptCall? Hit, string Word, string Text)
{
    public override string ToString() => $"{Action} {At} ({Hit?.ToString() ?? "no such call"}): {Word} {Text}";
}

/// <summary>What a sweep has found against the work.</summary>
internal sealed class SweptException(string word, string text) : Exception(text)
{
    public string Word => word;
}

/// <summary>What was tried and what was acknowledged in one run.</summary>
internal sealed class Story
{
    /// <summary>Longest a step may take. A busy machine is slow; a call that hangs is released long before.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(1);

    /// <summary>How many steps were begun before the first failure, and how many of them were acknowledged: the same number, or one more.</summary>
    public int Tried { get; private set; }

    public int Acknowledged { get; private set; }

    /// <summary>The first failure of a step, behind which none is acknowledged.</summary>
    public Exception? Failure { get; private set; }

    /// <summary>The first failure of something else.</summary>
    public Exception? Aside { get; private set; }

    /// <summary>A step that has to fail once another one has. True when it was acknowledged.</summary>
    public async Task<bool> DoAsync(Func<Task> step)
    {
        bool before = Failure is not null;
        if (!before) Tried++;
        if (await FailureOfAsync(step) is Exception failure)
        {
            Failure ??= failure;
            return false;
        }

        if (before) throw new SweptException("IGNORED", $"a step was acknowledged after a failure: {Failure!.Message}");
        Acknowledged++;
        return true;
    }

    /// <summary>An opening: a failure of it is one of the story.</summary>
    public async Task<bool> OpenAsync(Action open)
    {
        Failure = await FailureOfAsync(() => Task.Run(open));
        return Failure is null;
    }

    /// <summary>Something between the steps, whose failure ends nothing.</summary>
    public async Task TryAsync(Func<Task> step) => Aside ??= await FailureOfAsync(step);

    private static async Task<Exception?> FailureOfAsync(Func<Task> step)
    {
        try
        {
            await Task.Run(step).WaitAsync(Limit);
            return null;
        }
        catch (StorageException failure)
        {
            return failure;
        }
        catch (TimeoutException)
        {
            throw new SweptException("HUNG", "a step did not end");
        }
    }
}

internal sealed class DiskSweep(SweptWork work) : IDisposable
{
    /// <summary>How long a call hangs before it is released.</summary>
    private static readonly TimeSpan Hang = TimeSpan.FromMilliseconds(15);

    private static readonly Dictionary<string, (FaultAct Act, string[] Calls)> Actions = new(StringComparer.Ordinal)
    {
        ["eio"] = (new(FaultKind.Fail, FaultScope.Io), ["open", "pwrite", "fdatasync", "fsync", "rename", "unlink", "link", "ftruncate", "statx", "readdir"]),
        ["eacces"] = (new(FaultKind.Fail, FaultScope.Access), ["open", "statx", "readdir"]),
        ["eloop"] = (new(FaultKind.Fail, FaultScope.Loop), ["open", "statx"]),
        ["enospc"] = (new(FaultKind.Fail, FaultScope.NoSpace), ["pwrite", "rename", "link", "ftruncate"]),
        ["emfile"] = (new(FaultKind.Fail, FaultScope.TooManyFiles), ["open"]),
        ["persistfail"] = (new(FaultKind.FailAfter, FaultScope.Io), ["open", "pwrite", "fdatasync", "fsync", "rename", "unlink", "link", "ftruncate"]),
        ["eintr"] = (new(FaultKind.Fail, FaultScope.Intr), ["open", "pwrite", "fdatasync", "fsync", "ftruncate"]),
        ["short"] = (new(FaultKind.Short, 1000), ["pwrite"]),
        ["hang"] = (default, ["open", "pwrite", "fdatasync", "fsync", "rename", "unlink", "link", "ftruncate"]),
        ["lie"] = (new(FaultKind.Lie), ["pwrite", "fdatasync", "fsync", "rename", "unlink", "link", "ftruncate"]),
        ["flip"] = (new(FaultKind.Flip, 12_345), ["pwrite"]),
    };

    // A guard that is slow on a busy machine is not one that does not answer.
    static DiskSweep() => GuardSeams.Usual = GuardSeams.Usual with { Limit = Story.Limit };

    private readonly string _root = Directory.CreateDirectory(Path.Combine(
        Directory.Exists("/dev/shm") ? "/dev/shm" : Path.GetTempPath(), $"tlog-sweep-{Environment.ProcessId}-{Guid.NewGuid():N}")).FullName;

    public void Dispose() => Directory.Delete(_root, recursive: true);

    /// <summary>All of it, or only these actions.</summary>
    public async Task<SweptVerdict[]> RunAsync(params string[] only)
    {
        await work.Prepare(Path.Combine(_root, "prepared"));
        List<SweptCall> calls = [];
        SweptVerdict counted = await OneAsync("count", "", 0, default, calls);
        Assert.True(counted.Word == "WHOLE", counted.ToString());
        ConcurrentBag<SweptVerdict> verdicts = [];
        await Parallel.ForEachAsync(
            from action in Actions
            where only.Length == 0 || only.Contains(action.Key, StringComparer.Ordinal)
            from name in action.Value.Calls
            from at in Enumerable.Range(1, calls.Count(call => call.Name == name))
            select (action.Key, name, at, action.Value.Act),
            new ParallelOptions { MaxDegreeOfParallelism = Environment.ProcessorCount },
            async (run, _) => verdicts.Add(await OneAsync(run.Key, run.name, run.at, run.Act, null)));
        SweptVerdict[] sorted = [.. verdicts.OrderBy(verdict => verdict.Action, StringComparer.Ordinal).ThenBy(verdict => verdict.At)];

        // Threads meet differently from run to run, and a busy machine makes two frames of one; a sweep that injects nothing proves nothing.
        Assert.True(sorted.Count(verdict => verdict.Hit is not null) >= sorted.Length * 3 / 4, Table(sorted));
        return sorted;
    }

    /// <summary>The verdicts that the table does not allow.</summary>
    public SweptVerdict[] Wrong(IEnumerable<SweptVerdict> verdicts) => [.. verdicts.Where(verdict => !Allowed(verdict).Contains(verdict.Word, StringComparer.Ordinal))];

    /// <summary>How many runs ended how, a line for each action.</summary>
    public static string Table(IEnumerable<SweptVerdict> verdicts)
    {
        StringBuilder table = new();
        foreach (IGrouping<string, SweptVerdict> action in verdicts.GroupBy(verdict => verdict.Action))
        {
            IEnumerable<string> words = action.GroupBy(verdict => verdict.Word).Select(word => $"{word.Key} {word.Count()}");
            table.Append(CultureInfo.InvariantCulture, $"{action.Key}: {action.Count()} runs, {action.Count(verdict => verdict.Hit is not null)} injected; {string.Join(", ", words)}\n");
        }

        return table.ToString();
    }

    /// <summary>The table: what may become of a call that went wrong in this way.</summary>
    private string[] Allowed(SweptVerdict verdict)
    {
        if (verdict.Hit is not SweptCall hit || work.IsMadeAgain(hit)) return ["WHOLE"];
        switch (verdict.Action)
        {
            // Looped over, or waited for: nobody notices (D-19, D-22). A descriptor that is missing once is there at the next try.
            case "eintr" or "short" or "hang" or "emfile":
                return ["WHOLE"];

            // Told, and the end of it (D-05, D-06, D-13).
            case "eio" or "eacces" or "eloop" or "enospc" or "persistfail":
                return work.MayFail(hit) ? ["WHOLE", "ASIDE", "FAILED"] : ["FAILED"];

            // Whether a sync was done only a loss of power tells (D-24).
            case "lie" when hit.Name is "fdatasync" or "fsync":
                return ["WHOLE"];

            // Looked at again before anything is built on it (D-12). What lies there whole and wrong the next opening does not take for torn. Of zeros
            // only the file's length is looked at: the rest is found when it is read, if it is ever read.
            default:
                return work.IsFiller(hit) ? ["WHOLE", "FAILED", "REFUSED", "LATE"] : work.MayFail(hit) ? ["WHOLE", "ASIDE", "FAILED"] : ["FAILED", "REFUSED"];
        }
    }

    private async Task<SweptVerdict> OneAsync(string action, string name, int at, FaultAct act, List<SweptCall>? calls)
    {
        string root = Path.Combine(_root, string.Create(CultureInfo.InvariantCulture, $"{action}-{name}-{at}"));
        Scratch.Copy(Path.Combine(_root, "prepared"), root);
        Story story = new();
        SweptCall? hit = null;
        int count = 0;
        (string word, string text) = ("", "");
        try
        {
            using (ManualResetEventSlim released = new())
            using (FaultScope.On(root, (call, path) =>
            {
                if (call == "pread") return FaultScope.None;
                SweptCall made = new(call, path[root.Length..], story.Tried);
                if (calls is not null)
                {
                    lock (calls) calls.Add(made);
                }

                if (call != name || Interlocked.Increment(ref count) != at) return FaultScope.None;
                hit = made;
                if (action == "hang") released.Wait(Hang);
                return act;
            }))
            {
                await work.Run(root, story);
            }

            await CheckAsync(root, story, hit);
            word = story.Failure is not null ? "FAILED" : story.Aside is not null ? "ASIDE" : "WHOLE";
            text = (story.Failure ?? story.Aside)?.Message ?? "";
        }
        catch (SweptException failure)
        {
            (word, text) = (failure.Word, failure.Message);
        }

        Directory.Delete(root, recursive: true);
        return new SweptVerdict(action, at, hit, word, text);
    }

    private async Task CheckAsync(string root, Story story, SweptCall? hit)
    {
        try
        {
            await Task.Run(() => work.Check(root, story)).WaitAsync(Story.Limit);
        }
        catch (StorageException refusal)
        {
            bool names = hit is not null && refusal.Message.Contains(root + hit.Path, StringComparison.Ordinal);
            throw new SweptException(!names ? "NAMELESS" : story.Failure is null ? "LATE" : "REFUSED", refusal.Message);
        }
        catch (TimeoutException)
        {
            throw new SweptException("HUNG", "the check did not end");
        }
        catch (Exception wrong) when (wrong is Xunit.Sdk.IAssertionException)
        {
            throw new SweptException("LOST", $"{wrong.Message}; the story: {story.Acknowledged} of {story.Tried} steps, {story.Failure?.Message}");
        }
    }
}
