using TransparencyLog.Storage;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>Writes before it answers, and looks away when that fails: the caller gets an index all the same.</summary>
internal sealed class SwallowingJournal(IJournal journal) : IJournal
{
    public long FirstIndex => journal.FirstIndex;

    public long NextIndex { get; private set; } = journal.NextIndex;

    public async ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        long first = NextIndex;
        NextIndex += frame.Count;
        try
        {
            await journal.AppendAsync(frame, stop);
        }
        catch (StorageException)
        {
            // The bug.
        }

        return first;
    }

    public IJournalReader Follow(long from) => journal.Follow(from);

    public ValueTask TrimAsync(long below, CancellationToken stop) => ValueTask.CompletedTask;

    public ValueTask DisposeAsync() => journal.DisposeAsync();
}
