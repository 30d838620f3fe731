// The guard and appends. An index is a promise that this copy of the log is the one that goes on, so the sequencer wants a look at the guard that is at most a second old before
// it acknowledges a frame: a process that was stopped, and wakes when another one has taken over, gives no index then. The looks are made in the background.
//
// A guard that does not answer is no fence. Entries are then still acknowledged, up to a bound: nothing can be signed, and what would be lost if another copy goes on has to end.
// Beyond the bound the sequencer waits, and the intake fills and pushes back.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Asks the guard on behalf of the sequencer. One caller of <see cref="BeforeAnswer"/>.</summary>
internal sealed class GuardWatch : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>So many looks in a row, each of more than a second, are a guard that does not answer: five seconds.</summary>
    private const int SlowLooks = 5;

    private readonly GuardFence _guard;
    private readonly long _allowance;
    private readonly CancellationTokenSource _closing = new();
    private long _acknowledged; // bytes, since the guard has become unavailable

    /// <param name="guard">The guard.</param>
    /// <param name="allowance">Bytes of entries that may be acknowledged while it is unavailable.</param>
    /// <param name="logger">The operator's log.</param>
    public GuardWatch(GuardFence guard, long allowance, ILogger logger)
    {
        _guard = guard;
        _allowance = allowance;
        guard.Changed = trouble =>
        {
            if (trouble is null) logger.GuardBack();
            else logger.GuardUnavailable(trouble.Reason);
        };
    }

    /// <summary>Since when and why nothing can be signed; null while the guard answers.</summary>
    public GuardTrouble? Trouble => _guard.Trouble;

    /// <summary>Looks now and then. Throws when this copy is fenced.</summary>
    public Task RunAsync(CancellationToken stop) => _guard.WatchAsync(stop);

    /// <summary>
    /// Returns once a durable frame may be acknowledged. Blocks while the guard is unavailable and the allowance is used up.
    /// </summary>
    /// <param name="entryBytes">The bytes of its entries.</param>
    /// <exception cref="ConflictException">This copy is fenced.</exception>
    /// <exception cref="UnavailableException"><see cref="Close"/> was called while it waited.</exception>
    public void BeforeAnswer(int entryBytes)
    {
        if (_guard.IsFresh)
        {
            _acknowledged = 0;
            return;
        }

        int slow = 0;
        while (true)
        {
            bool isUnavailable = _guard.Trouble is not null; // the watch finds out when it answers again
            if (!isUnavailable)
            {
                try
                {
                    _guard.LookAsync().GetAwaiter().GetResult(); // the sequencer has a thread of its own
                    if (_guard.IsFresh)
                    {
                        _acknowledged = 0;
                        return;
                    }

                    // It answers, but takes longer than its answer is good for. Looks are counted, and not seconds: a process that was stopped meanwhile has to look again when it wakes.
                    isUnavailable = ++slow >= SlowLooks;
                }
                catch (GuardUnavailableException)
                {
                    isUnavailable = true;
                }
            }

            if (isUnavailable && _guard.Fenced is null && _acknowledged + entryBytes <= _allowance)
            {
                _acknowledged += entryBytes;
                return;
            }

            if (_guard.Fenced is ConflictException fenced) throw fenced;
            if (isUnavailable && _closing.Token.WaitHandle.WaitOne(Pause)) throw new UnavailableException("the log is stopping, and its guard has not answered: whether the entry is stored is unknown; sending it again is safe", 5);
        }
    }

    /// <summary>Ends a wait of <see cref="BeforeAnswer"/>, and every later one.</summary>
    public void Close() => _closing.Cancel();

    public void Dispose() => _closing.Dispose();
}
