using TransparencyLog.Storage;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>
/// Answers at once and writes a frame only when the next one comes, when none has come for a while, or at the end, as a cache would. A client that waits for each answer has
/// the answer to a frame before that frame is written, however slow the machine is.
/// </summary>
internal sealed class EarlyJournal(IJournal journal) : IJournal
{
    /// <summary>After the last frame nothing may come, and a log publishes only what its journal holds. Far longer than an answer takes to leave.</summary>
    private static readonly TimeSpan Quiet = TimeSpan.FromSeconds(2);

    private Task _writing = Task.CompletedTask;
    private TaskCompletionSource _next = new(TaskCreationOptions.RunContinuationsAsynchronously); // completed by the next frame, and at the end

    public long FirstIndex => journal.FirstIndex;

    public long NextIndex { get; private set; } = journal.NextIndex;

    public ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        JournalFrame copy = new();
        copy.TryAddBundle(frame.Entries.Span, frame.Count);
        _next.SetResult();
        _next = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);
        _writing = WriteAsync(_writing, copy, _next.Task);
        long first = NextIndex;
        NextIndex += frame.Count;
        return ValueTask.FromResult(first);
    }

    public IJournalReader Follow(long from) => journal.Follow(from);

    public ValueTask TrimAsync(long below, CancellationToken stop) => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        _next.SetResult();
        await _writing;
        await journal.DisposeAsync();
    }

    private async Task WriteAsync(Task before, JournalFrame frame, Task next)
    {
        await before;
        await Task.WhenAny(next, Task.Delay(Quiet));
        try
        {
            await journal.AppendAsync(frame, CancellationToken.None);
        }
        catch (StorageException)
        {
            // The second half of the bug.
        }
    }
}
