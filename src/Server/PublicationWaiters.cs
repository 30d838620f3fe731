namespace TransparencyLog.Server;

/// <summary>Callers that wait until their entry is public. Thread-safe; each is woken once, with the first public state that covers its index.</summary>
internal sealed class PublicationWaiters
{
    private readonly PriorityQueue<TaskCompletionSource<Published>, long> _waiting = new(); // guarded by itself

    public async ValueTask<Published> WaitAsync(long index, Func<Published?> current, CancellationToken stop)
    {
        TaskCompletionSource<Published> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        lock (_waiting) _waiting.Enqueue(done, index);

        // It may have become public between the caller's look and the line above.
        if (current() is Published published && published.Size > index) done.TrySetResult(published);
        using CancellationTokenRegistration registration = stop.Register(static (state, token) => ((TaskCompletionSource<Published>)state!).TrySetCanceled(token), done);
        return await done.Task.ConfigureAwait(false);
    }

    public void Wake(Published published)
    {
        List<TaskCompletionSource<Published>> covered = [];
        lock (_waiting)
        {
            while (_waiting.TryPeek(out TaskCompletionSource<Published>? done, out long index) && (index < published.Size || done.Task.IsCompleted))
            {
                covered.Add(_waiting.Dequeue());
            }
        }

        foreach (TaskCompletionSource<Published> done in covered) done.TrySetResult(published);
    }
}
