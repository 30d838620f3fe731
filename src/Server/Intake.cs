using System.Threading.Channels;

namespace TransparencyLog.Server;

/// <summary>Entries of one request on their way into a frame: all of them get an index, or none.</summary>
internal sealed class Append(byte[] bundle, Hash[] leafHashes)
{
    private readonly TaskCompletionSource<long[]> _done = new(TaskCreationOptions.RunContinuationsAsynchronously);

    /// <summary>The entries with u16 length prefixes.</summary>
    public byte[] Bundle { get; } = bundle;

    /// <summary>Their leaf hashes, computed when they were received.</summary>
    public Hash[] LeafHashes { get; } = leafHashes;

    /// <summary>The index of each entry that is known to be a duplicate of one in the log, otherwise -1; null while none is. The look-up's (Duplicates.cs).</summary>
    public long[]? Known { get; set; }

    /// <summary>The tree size up to which duplicates were looked for.</summary>
    public long LookedUpTo { get; set; }

    /// <summary>The index of each entry, once all of them are durable.</summary>
    public Task<long[]> Indexes => _done.Task;

    public void Complete(long[] indexes) => _done.TrySetResult(indexes);

    public void Fail(Exception failure)
    {
        if (_done.TrySetException(failure)) _ = _done.Task.Exception; // seen: a caller that has gone leaves no unobserved exception
    }
}

/// <summary>The log takes no entries now; the message is for the caller and says why.</summary>
internal sealed class UnavailableException(string reason, int retryAfterSeconds) : Exception(reason)
{
    public int RetryAfterSeconds { get; } = retryAfterSeconds;
}

/// <summary>
/// Where requests wait for a frame: bounded by bytes and by count, never an unbounded queue. Many writers, one reader (the sequencer).
/// </summary>
internal sealed class Intake(int maxBytes, int maxCount)
{
    private readonly Channel<Append> _queue = Channel.CreateUnbounded<Append>(new UnboundedChannelOptions { SingleReader = true });
    private int _bytes;
    private int _count;

    /// <summary>How many appends wait.</summary>
    public int Count => Volatile.Read(ref _count);

    /// <summary>Takes an append, or throws <see cref="UnavailableException"/> when the intake is full or closed.</summary>
    public void Add(Append append)
    {
        // Counted first, so that concurrent writers cannot all slip under the limit.
        int bytes = Interlocked.Add(ref _bytes, append.Bundle.Length), count = Interlocked.Increment(ref _count);
        if (bytes > maxBytes || count > maxCount)
        {
            Release(append);
            throw new UnavailableException("the intake is full: entries arrive faster than the disk takes them", 1);
        }

        if (!_queue.Writer.TryWrite(append))
        {
            Release(append);
            throw new UnavailableException("the log is stopping", 5);
        }
    }

    public ValueTask<bool> WaitAsync(CancellationToken stop) => _queue.Reader.WaitToReadAsync(stop);

    public bool TryPeek(out Append? append) => _queue.Reader.TryPeek(out append);

    /// <summary>Removes what <see cref="TryPeek"/> showed.</summary>
    public void Take()
    {
        if (_queue.Reader.TryRead(out Append? append)) Release(append);
    }

    public void Close() => _queue.Writer.TryComplete();

    private void Release(Append append)
    {
        Interlocked.Add(ref _bytes, -append.Bundle.Length);
        Interlocked.Decrement(ref _count);
    }
}
