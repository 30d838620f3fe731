using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>A journal whose appends wait, or fail before or after the frame is stored, when the test says so. It checks its caller's manners.</summary>
internal sealed class FaultyJournal(IJournal inner) : IJournal
{
    private TaskCompletionSource _open = Opened();
    private int _inFlight;

    /// <summary>How often an append was begun.</summary>
    public int Appends { get; private set; }

    public int MostEntriesInAFrame { get; private set; }

    public Exception? FailBefore { get; set; }

    public Exception? FailAfter { get; set; }

    public long FirstIndex => inner.FirstIndex;

    public long NextIndex => inner.NextIndex;

    /// <summary>From here on appends do not return.</summary>
    public void Hold() => _open = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

    public void Release() => _open.TrySetResult();

    public async ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        Assert.Equal(1, Interlocked.Increment(ref _inFlight));
        Assert.InRange(frame.EntryBytes, 1, JournalFrame.MaxEntryBytes);
        Appends++;
        MostEntriesInAFrame = Math.Max(MostEntriesInAFrame, frame.Count);
        await _open.Task.WaitAsync(TimeSpan.FromSeconds(30), CancellationToken.None); // a test that failed does not release it
        if (FailBefore is not null) throw FailBefore;
        long first = await inner.AppendAsync(frame, stop);
        if (FailAfter is not null) throw FailAfter;
        Interlocked.Decrement(ref _inFlight);
        return first;
    }

    public IJournalReader Follow(long from) => inner.Follow(from);

    public ValueTask TrimAsync(long below, CancellationToken stop) => inner.TrimAsync(below, stop);

    public ValueTask DisposeAsync() => inner.DisposeAsync();

    private static TaskCompletionSource Opened()
    {
        TaskCompletionSource opened = new();
        opened.SetResult();
        return opened;
    }
}
