// What a kill cannot show: the page cache survives it, and with it every write whose sync was forgotten. So the calls themselves are looked
// at (D-04, D-09): a promise is given only behind the sync of what it rests on, and every new name is followed by a sync of its directory.

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Replays the calls of one program over the names that were there before it.</summary>
internal sealed class SyncOrder
{
    private readonly HashSet<string> _before = new(StringComparer.Ordinal);
    private int _started; // number of the last call of the start

    /// <summary>Takes note of all names in the folder that the program will find.</summary>
    public SyncOrder(string folder)
    {
        foreach (string path in Directory.EnumerateFileSystemEntries(folder, "*", SearchOption.AllDirectories)) _before.Add($"./{Path.GetRelativePath(folder, path)}");
    }

    /// <summary>The program listens: what it has written so far is no frame of anybody's.</summary>
    public void Begin(IReadOnlyList<ShimCall> calls) => _started = calls.Count == 0 ? 0 : calls.Max(call => call.Number);

    /// <summary>A promise has just been given: the journal's last frame and the name of its file are on disk, and the guard behind it, where it is part of the promise.</summary>
    public void CheckPromise(IReadOnlyList<ShimCall> calls, bool guarded)
    {
        State state = Replay(calls);
        string? frame = calls.LastOrDefault(call => call.Number > _started && call.Kind == CallKinds.Write && IsJournalFile(call.Path))?.Path;
        if (frame is null) throw new CheckFailedException("UNSYNCED: a promise was given, and nothing was written to the journal since the start");
        if (state.Dirty.Contains(frame)) throw new CheckFailedException($"UNSYNCED: a promise was given, and {frame} was written after its last sync");
        if (state.Unnamed.Contains(frame)) throw new CheckFailedException($"UNSYNCED: a promise was given, and the directory of {frame} was not synced after its name was new");
        if (!guarded) return;
        string[] guard = [.. state.Dirty.Concat(state.Unnamed).Where(IsGuard)];
        if (guard.Length > 0) throw new CheckFailedException($"UNSYNCED: a promise was given, and not synced yet: {string.Join(", ", guard)}");
        long written = calls.Last(call => call.Kind == CallKinds.Write && call.Path == frame).Number;
        if (!calls.Any(call => call.Number > written && call.Kind == CallKinds.Link && IsGuard(call.Path))) throw new CheckFailedException("UNSYNCED: a promise was given, and the guard has not learnt of its frame");
    }

    /// <summary>The program has ended in order: nothing is left that a power loss would take.</summary>
    public void CheckEnd(IReadOnlyList<ShimCall> calls)
    {
        State state = Replay(calls);
        if (state.Dirty.Count > 0) throw new CheckFailedException($"UNSYNCED at the end, written after their last sync: {string.Join(", ", state.Dirty)}");
        if (state.Unnamed.Count > 0) throw new CheckFailedException($"UNSYNCED at the end, new names in directories that were not synced after it: {string.Join(", ", state.Unnamed)}");
    }

    private static bool IsGuard(string path) => path.StartsWith("./guard/", StringComparison.Ordinal);

    private static bool IsJournalFile(string path) => path.StartsWith("./data/journal/", StringComparison.Ordinal) && !path.EndsWith(".new", StringComparison.Ordinal);

    private State Replay(IReadOnlyList<ShimCall> calls)
    {
        HashSet<string> names = new(_before, StringComparer.Ordinal);
        State state = new([], []);
        foreach (ShimCall call in calls.Where(call => call.WentWell))
        {
            switch (call.Kind)
            {
                case CallKinds.Open or CallKinds.MakeDirectory when names.Add(call.Path):
                    state.Unnamed.Add(call.Path);
                    break;
                case CallKinds.Write or CallKinds.Truncate or CallKinds.Allocate:
                    state.Dirty.Add(call.Path);
                    break;
                case CallKinds.Sync:
                    state.Dirty.Remove(call.Path);
                    state.Unnamed.RemoveWhere(path => Path.GetDirectoryName(path) == call.Path);
                    break;
                case CallKinds.Rename:
                    string[] both = call.Path.Split('>');
                    if (state.Dirty.Contains(both[0])) throw new CheckFailedException($"UNSYNCED: {both[0]} was renamed before its last bytes were synced");
                    Forget(both[0]);
                    names.Add(both[1]);
                    state.Unnamed.Add(both[1]);
                    break;
                case CallKinds.Link when call.Path.Contains('>', StringComparison.Ordinal):
                    string[] linked = call.Path.Split('>');
                    if (state.Dirty.Contains(linked[0])) throw new CheckFailedException($"UNSYNCED: {linked[0]} got another name before its last bytes were synced");
                    names.Add(linked[1]);
                    state.Unnamed.Add(linked[1]);
                    break;
                case CallKinds.Unlink:
                    Forget(call.Path);
                    break;
            }
        }

        // Who holds the lock is the kernel's to know; the file says it to people.
        Forget("./data/lock");
        foreach (string path in state.Dirty.Concat(state.Unnamed).Where(path => IsGuard(path) && path.EndsWith(".lock", StringComparison.Ordinal)).ToArray()) Forget(path);
        return state;

        void Forget(string path)
        {
            names.Remove(path);
            state.Dirty.Remove(path);
            state.Unnamed.Remove(path);
        }
    }

    /// <param name="Dirty">Written since their last sync.</param>
    /// <param name="Unnamed">New names, their directory not synced since.</param>
    private sealed record State(HashSet<string> Dirty, HashSet<string> Unnamed);
}
