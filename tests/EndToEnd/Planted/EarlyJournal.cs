using TransparencyLog.Storage;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>Gives indexes at once and writes behind, one frame after the other, as a cache would.</summary>
internal sealed class EarlyJournal(IJournal journal) : IJournal
{
    /// <summary>Long enough for the answer to leave before the write begins.</summary>
    private static readonly TimeSpan Behind = TimeSpan.FromMilliseconds(100);

    private Task _writing = Task.CompletedTask;

    public long FirstIndex => journal.FirstIndex;

    public long NextIndex { get; private set; } = journal.NextIndex;

    public ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        JournalFrame copy = new();
        copy.TryAddBundle(frame.Entries.Span, frame.Count);
        _writing = WriteAsync(_writing, copy);
        long first = NextIndex;
        NextIndex += frame.Count;
        return ValueTask.FromResult(first);
    }

    public IJournalReader Follow(long from) => journal.Follow(from);

    public ValueTask TrimAsync(long below, CancellationToken stop) => ValueTask.CompletedTask;

    public async ValueTask DisposeAsync()
    {
        await _writing;
        await journal.DisposeAsync();
    }

    private async Task WriteAsync(Task before, JournalFrame frame)
    {
        await before;
        await Task.Delay(Behind);
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
