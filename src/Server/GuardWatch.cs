// The guard and appends. An index promises that this copy of the log is the one that goes on. So before the sequencer acknowledges a frame, it needs a look
// at the guard that is at most a second old; when it has none, it looks and waits for the answer. A process that was suspended, and wakes after another copy
// has taken over, acknowledges nothing then.
//
// A guard that does not answer fences nobody. Entries are then still acknowledged, up to a bound: nothing can be signed, and the loss if another copy goes on
// must be limited. Beyond the bound the sequencer waits, and the intake fills and refuses entries.

using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Asks the guard on behalf of the sequencer. Only one thread calls <see cref="BeforeAnswer"/>.</summary>
internal sealed class GuardWatch : IDisposable
{
    private static readonly TimeSpan Pause = TimeSpan.FromMilliseconds(100);

    /// <summary>This many looks in a row, each longer than a second, count as a guard that does not answer: five seconds.</summary>
    private const int SlowLooks = 5;

    private readonly GuardFence _guard;
    private readonly long _allowance;
    private readonly CancellationTokenSource _closing = new();
    private long _acknowledged; // bytes, since the guard became unavailable

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

    /// <summary>Looks at the guard periodically. Throws when this copy is fenced.</summary>
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
            bool isUnavailable = _guard.Trouble is not null; // the periodic look notices when the guard answers again
            if (!isUnavailable)
            {
                try
                {
                    _guard.LookAsync().GetAwaiter().GetResult(); // only the sequencer uses this thread
                    if (_guard.IsFresh)
                    {
                        _acknowledged = 0;
                        return;
                    }

                    // It answers, but later than its answer is good for. Looks are counted instead of seconds, because a process that was suspended meanwhile
                    // has to look again when it wakes.
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

    /// <summary>Ends the current wait of <see cref="BeforeAnswer"/>, and every later one.</summary>
    public void Close() => _closing.Cancel();

    public void Dispose() => _closing.Dispose();
}
