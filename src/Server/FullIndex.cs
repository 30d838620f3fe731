// The duplicate index of full history while the log runs. One task fills it from the level-0 tiles of sealed segments, oldest first, and then adds each
// segment as it is sealed. A new index is made at every start, and whenever the current one fails: nothing on disk is trusted.

using System.Threading.Channels;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Keeps a <see cref="HashIndex"/> of the sealed segments up to date. Look-ups may come from any thread.</summary>
/// <param name="directory">The directory of the index, which holds nothing else.</param>
/// <param name="store">The sealed segments.</param>
/// <param name="time">For the pause after a failure.</param>
/// <param name="logger">Logs failures, one line each.</param>
internal sealed class FullIndex(string directory, ITileStore store, TimeProvider time, ILogger logger)
{
    /// <summary>From a failure to the next attempt. An index that fails immediately must not keep a core and the disk busy.</summary>
    public static readonly TimeSpan Pause = TimeSpan.FromSeconds(30);

    private readonly Channel<bool> _wake = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private HashIndex? _index;
    private long _covered, _failures;
    private bool _complete;

    /// <summary>How many entries, from the first on, the index has now.</summary>
    public long Covered => Volatile.Read(ref _covered);

    /// <summary>Whether the index has every sealed entry, except those sealed a moment ago, which are in the table.</summary>
    public bool IsComplete => Volatile.Read(ref _complete) && Volatile.Read(ref _index)?.Failure is null;

    /// <summary>How often the index failed and had to be made again.</summary>
    public long Failures => Volatile.Read(ref _failures);

    /// <summary>Signals that there may be more segments. Does not block.</summary>
    public void Grown() => _wake.Writer.TryWrite(true);

    /// <summary>Finds the index that a leaf hash may have. False when the hash is not in it, or the index cannot be relied on now.</summary>
    public bool TryFind(in Hash leaf, out long index)
    {
        index = -1;
        HashIndex? current = Volatile.Read(ref _index);
        if (current is null) return false;
        bool found = current.TryFind(leaf, out index);
        if (current.Failure is null) return found;
        Grown(); // wakes the task that fills the index, which sees the failure
        return false;
    }

    /// <summary>Runs until it is cancelled. A failure of the index does not end it.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            try
            {
                await KeepAsync(stop).ConfigureAwait(false);
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                Interlocked.Increment(ref _failures);
                logger.DuplicateIndex($"the index of full history failed and will be made anew; until then older duplicates may get a second index: {failure.Message}");
            }

            await Task.Delay(Pause, time, stop).ConfigureAwait(false);
        }
    }

    private async Task KeepAsync(CancellationToken stop)
    {
        using HashIndex index = new(directory, store.SegmentCount * EntryBundle.Width);
        try
        {
            Volatile.Write(ref _index, index);
            for (long next = 0; ; next++)
            {
                while (next == store.SegmentCount)
                {
                    Volatile.Write(ref _complete, true);
                    await _wake.Reader.ReadAsync(stop).ConfigureAwait(false);
                    if (index.Failure is Exception failed) throw new StorageException(failed.Message);
                }

                stop.ThrowIfCancellationRequested();
                index.Add((await store.GetAsync(new TilePath(0, next), stop).ConfigureAwait(false))!.Value.Span, next * EntryBundle.Width);
                if (index.Failure is Exception failure) throw new StorageException(failure.Message);
                Volatile.Write(ref _covered, (next + 1) * EntryBundle.Width);
            }
        }
        finally
        {
            Volatile.Write(ref _complete, false);
            Volatile.Write(ref _index, null);
            Volatile.Write(ref _covered, 0);
        }
    }
}
