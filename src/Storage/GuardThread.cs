// Runs everything that touches a guard's folder on one dedicated thread. A call to a network file system whose server is gone does not return, and must not
// block any other thread. Callers wait with a limit.

namespace TransparencyLog.Storage;

/// <summary>
/// One thread that runs jobs one after the other, for callers that wait no longer than a limit. A job whose caller has stopped waiting is not started; a job
/// that has started can ask whether its caller still waits.
/// </summary>
internal sealed class GuardThread : IDisposable
{
    private const int Steps = 10;

    private readonly object _gate = new(); // guards what is not readonly
    private readonly Queue<Job> _waiting = new();
    private readonly TimeSpan _limit;
    private readonly string _what;
    private readonly Thread _thread;
    private Job? _current;
    private bool _closed;

    /// <param name="what">The subject of the jobs, for messages.</param>
    /// <param name="limit">How long a caller waits.</param>
    public GuardThread(string what, TimeSpan limit)
    {
        (_what, _limit) = (what, limit);
        _thread = new Thread(Run) { IsBackground = true, Name = "guard" };
        _thread.Start();
    }

    /// <summary>Runs the job on the thread and returns its result.</summary>
    /// <param name="job">Receives a function that returns whether the caller still waits.</param>
    /// <exception cref="GuardUnavailableException">The job has not ended in time, or an earlier abandoned one still runs. A later result is
    /// dropped.</exception>
    public async Task<T> RunAsync<T>(Func<Func<bool>, T> job)
    {
        TaskCompletionSource<T> done = new(TaskCreationOptions.RunContinuationsAsynchronously);
        Job queued = new();
        queued.Act = () =>
        {
            try
            {
                done.TrySetResult(job(() => !queued.IsAbandoned));
            }
            catch (Exception failure)
            {
                done.TrySetException(failure);
            }
        };
        lock (_gate)
        {
            ObjectDisposedException.ThrowIf(_closed, this);
            if (_current is { IsAbandoned: true }) throw NoAnswer();
            _waiting.Enqueue(queued);
            Monitor.Pulse(_gate);
        }

        // Wait in steps, so that time in which the whole process was stopped counts as one step only. Otherwise a process that was stopped for the limit in
        // the middle of a look, and continues after another copy has taken over, would call its guard unavailable before the look can detect that.
        for (int step = 0; step < Steps; step++)
        {
            try
            {
                return await done.Task.WaitAsync(_limit / Steps).ConfigureAwait(false);
            }
            catch (TimeoutException)
            {
                // Wait for the next step.
            }
        }

        queued.IsAbandoned = true;
        _ = done.Task.ContinueWith(static late => _ = late.Exception, CancellationToken.None, TaskContinuationOptions.OnlyOnFaulted, TaskScheduler.Default);
        throw NoAnswer();
    }

    /// <summary>Ends the thread and waits for it up to the limit. A thread that hangs ends with the process.</summary>
    public void Dispose()
    {
        lock (_gate)
        {
            _closed = true;
            Monitor.Pulse(_gate);
            if (_current is { IsAbandoned: true }) return;
        }

        _thread.Join(_limit);
    }

    private GuardUnavailableException NoAnswer() => new($"{_what} has given no answer in {_limit.TotalSeconds.ToString("0.###", System.Globalization.CultureInfo.InvariantCulture)} s", Posix.ErrnoIo);

    private void Run()
    {
        while (true)
        {
            Job job;
            lock (_gate)
            {
                _current = null;
                while (_waiting.Count == 0)
                {
                    if (_closed) return;
                    Monitor.Wait(_gate);
                }

                _current = job = _waiting.Dequeue();
            }

            if (!job.IsAbandoned) job.Act();
        }
    }

    private sealed class Job
    {
        private volatile bool _isAbandoned;

        public Action Act { get; set; } = null!;

        public bool IsAbandoned
        {
            get => _isAbandoned;
            set => _isAbandoned = value;
        }
    }
}
