// Keeps one witness at the newest checkpoint of a log (c2sp.org/tlog-witness, the client's side). Both who feed use it: the log for its own checkpoints, and
// `tlog feed` for the checkpoints of a log that does not do it itself. spec/decisions/witness-client.md says what it tolerates.
//
//     our limit of requests -> circuit breaker -> one exchange, with a limit for all of it -> add-checkpoint, with a limit for each request
//            ^                                        409: the proof from the size it names, and again
//            '-- a failed one: after a pause, with the newest checkpoint of then
//
// A witness is checked against what it has said: a 409 beyond everything that the log has signed is a claim, which is checked against the checkpoint that the witness shows; a 409
// below what it has cosigned for us is a witness that went back. Neither is believed or ignored: both are reported, and the witness is asked again.

using System.Globalization;
using System.Threading.Channels;
using Polly;
using Polly.CircuitBreaker;
using Polly.Retry;
using Polly.Timeout;

namespace TransparencyLog.Client;

/// <summary>Limits of a feed.</summary>
public sealed record WitnessFeedOptions
{
    /// <summary>Time for one exchange: a request and, after a 409, the proof and the next request, up to three. Default 5 s; 100 ms to 5 min.</summary>
    public TimeSpan TotalTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Most requests a day, evenly. Default 86,400, one a second, which public witness lists grant a log.</summary>
    public int RequestsPerDay { get; init; } = 86_400;

    /// <summary>How many of them may come at once after a quiet time. Default 60.</summary>
    public int Burst { get; init; } = 60;

    /// <summary>Our clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Keeps one witness (one submission prefix, however many keys it answers for) at the newest checkpoint: one request in flight, newest wins. A slow or dead
/// witness costs nothing but its own loop. Thread-safe.
/// </summary>
public sealed class WitnessFeed
{
    /// <summary>Conflicts answered in one go: the first tells the size, a second one may be a race with another feeder, more are a broken witness.</summary>
    private const int MaxConflicts = 3;

    /// <summary>The circuit opens when half of at least so many exchanges have failed within <see cref="LeastSampling"/>, or the time that so many slow ones take.</summary>
    private const int LeastExchanges = 5;

    private static readonly TimeSpan LeastSampling = TimeSpan.FromSeconds(30);

    /// <summary>Pauses after failures, with jitter: they double from the first to the longest.</summary>
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200), LongestPause = TimeSpan.FromSeconds(15);

    /// <summary>How long the open circuit leaves a witness alone: doubles with each try that fails.</summary>
    private static readonly TimeSpan FirstBreak = TimeSpan.FromSeconds(1), LongestBreak = TimeSpan.FromMinutes(1);

    /// <summary>Between two requests to a witness that refuses: an operator has to change something first.</summary>
    private static readonly TimeSpan SlowLane = TimeSpan.FromMinutes(1);

    /// <summary>What is believed of a Retry-After: with less the same would come again, with more a mistake would switch a witness off.</summary>
    private static readonly TimeSpan LeastRetryAfter = TimeSpan.FromSeconds(1), MostRetryAfter = TimeSpan.FromMinutes(10);

    private readonly WitnessClient _client;
    private readonly WitnessFeedOptions _options;
    private readonly Func<long, OfferedCheckpoint, CancellationToken, ValueTask<Hash[]>> _consistency;
    private readonly OwnWords _words;
    private readonly Func<long> _signedSize;
    private readonly Action<WitnessEvent> _report;
    private readonly RequestBudget _budget;
    private readonly CircuitBreakerStateProvider _breaker = new();
    private readonly ResiliencePipeline<WitnessAnswer> _pipeline;
    private readonly ResiliencePipeline _exchange;
    private readonly Channel<bool> _signal = Channel.CreateBounded<bool>(new BoundedChannelOptions(1) { FullMode = BoundedChannelFullMode.DropWrite });
    private readonly Lock _lock = new();
    private readonly long[] _requests = new long[Enum.GetValues<WitnessOutcome>().Length]; // guarded by _lock, as all below
    private OfferedCheckpoint? _wanted;  // not sent yet
    private OfferedCheckpoint? _current; // being sent, or to be sent again
    private long? _cosignedSize;         // what the witness last told us; null before its first answer
    private HeldCosignature? _held;      // the largest head that it has cosigned for us
    private WitnessClaim? _claim;
    private WitnessRegress? _wentBack;
    private long _timesWentBack;
    private long? _owedSince, _wantedSince;
    private TimeSpan? _latency;
    private WitnessCondition _condition = WitnessCondition.Unknown;
    private string? _trouble;

    /// <summary>A feed; it asks nobody before <see cref="RunAsync"/>.</summary>
    /// <param name="client">The witness.</param>
    /// <param name="options">Limits.</param>
    /// <param name="consistency">Makes the consistency proof from a size to a checkpoint. What it throws ends <see cref="RunAsync"/>.</param>
    /// <param name="words">Compares what a witness shows that contradicts the log with what the log has signed.</param>
    /// <param name="signedSize">The largest size that the log is known to have signed.</param>
    /// <param name="report">Called with each event, one call at a time; should not block.</param>
    public WitnessFeed(
        WitnessClient client, WitnessFeedOptions options, Func<long, OfferedCheckpoint, CancellationToken, ValueTask<Hash[]>> consistency, OwnWords words, Func<long> signedSize, Action<WitnessEvent> report)
    {
        _client = client;
        _options = options;
        _consistency = consistency;
        _words = words;
        _signedSize = signedSize;
        _report = report;
        _budget = new RequestBudget(options.RequestsPerDay, options.Burst, options.Time);
        _exchange = new ResiliencePipelineBuilder { TimeProvider = options.Time }.AddTimeout(options.TotalTimeout).Build();
        TimeSpan sampling = options.TotalTimeout * (2 * LeastExchanges);
        _pipeline = new ResiliencePipelineBuilder<WitnessAnswer> { TimeProvider = options.Time }
            .AddRetry(new RetryStrategyOptions<WitnessAnswer>
            {
                ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome.Result is WitnessAnswer.Failed || arguments.Outcome.Exception is BrokenCircuitException),
                MaxRetryAttempts = int.MaxValue, // somebody wants this checkpoint cosigned until there is a newer one
                BackoffType = DelayBackoffType.Exponential,
                UseJitter = true,
                Delay = FirstPause,
                MaxDelay = LongestPause,
                DelayGenerator = arguments => ValueTask.FromResult(PauseAfter(arguments.Outcome)),
            })
            .AddCircuitBreaker(new CircuitBreakerStrategyOptions<WitnessAnswer>
            {
                ShouldHandle = arguments => ValueTask.FromResult(arguments.Outcome.Result is WitnessAnswer.Failed { Kind: WitnessFailure.Trouble }),
                FailureRatio = 0.5,
                MinimumThroughput = LeastExchanges,
                SamplingDuration = sampling > LeastSampling ? sampling : LeastSampling,
                BreakDurationGenerator = arguments => ValueTask.FromResult(BreakAfter(arguments.HalfOpenAttempts)),
                StateProvider = _breaker,
            })
            .Build();
    }

    /// <summary>Where the witness is.</summary>
    public string SubmissionPrefix => _client.SubmissionPrefix;

    /// <summary>Whether an answer may be expected soon: it does not refuse, does not ask to be left alone, and has not failed too often.</summary>
    public bool IsHealthy
    {
        get
        {
            lock (_lock)
            {
                return _claim is null && (_condition is WitnessCondition.Unknown or WitnessCondition.Well or WitnessCondition.Failing) && _breaker.CircuitState == CircuitState.Closed;
            }
        }
    }

    /// <summary>Time until our own limit allows the next request; zero or less when it does now.</summary>
    public TimeSpan Wait => _budget.Wait;

    /// <summary>How the witness stands.</summary>
    public WitnessState State
    {
        get
        {
            lock (_lock)
            {
                string breaker = _breaker.CircuitState switch { CircuitState.Closed => "closed", CircuitState.HalfOpen => "half-open", _ => "open" };
                TimeSpan owed = _owedSince is long since ? _options.Time.GetElapsedTime(since) : TimeSpan.Zero;
                WitnessCondition condition = _claim is not null ? WitnessCondition.Contradicting
                    : _wentBack is not null && _condition == WitnessCondition.Well ? WitnessCondition.WentBack : _condition;
                return new WitnessState(condition, breaker, _cosignedSize, owed, _latency, _trouble, [.. _requests]) { Claim = _claim, WentBack = _wentBack, TimesWentBack = _timesWentBack };
            }
        }
    }

    /// <summary>
    /// What the witness is known to have cosigned before, from an earlier run of the log: so that a witness that went back meanwhile is noticed. Kept when it is larger than what is
    /// known. The lines have to be verified.
    /// </summary>
    public void Remember(HeldCosignature held)
    {
        ArgumentNullException.ThrowIfNull(held);
        lock (_lock)
        {
            if (_held is null || held.Checkpoint.Size >= _held.Checkpoint.Size) _held = held;
        }
    }

    /// <summary>Asks for cosignatures on a checkpoint; replaces an older wish that was not sent yet, and is dropped when there is a newer one.</summary>
    public void Submit(OfferedCheckpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        lock (_lock)
        {
            // A renewal that a newer checkpoint has overtaken: the witness has, or will be asked for, more already.
            if (_wanted?.Size > checkpoint.Size || _current?.Size > checkpoint.Size || _cosignedSize > checkpoint.Size) return;
            if (_wanted is null) _wantedSince = _options.Time.GetTimestamp();
            _owedSince ??= _wantedSince;
            _wanted = checkpoint;
        }

        _signal.Writer.TryWrite(true);
    }

    /// <summary>Asks, until stopped. Throws what making a proof throws.</summary>
    public async Task RunAsync(CancellationToken stop)
    {
        while (true)
        {
            await _signal.Reader.ReadAsync(stop).ConfigureAwait(false);
            while (HasWork()) await _pipeline.ExecuteAsync(AskAsync, stop).ConfigureAwait(false);
        }
    }

    private bool HasWork()
    {
        lock (_lock) return _wanted is not null;
    }

    private static TimeSpan? PauseAfter(Outcome<WitnessAnswer> outcome) => outcome switch
    {
        { Exception: BrokenCircuitException broken } => broken.RetryAfter ?? FirstBreak,
        { Result: WitnessAnswer.Failed { Kind: WitnessFailure.Refused or WitnessFailure.Inconsistent } } => SlowLane,
        { Result: WitnessAnswer.Failed { RetryAfter: TimeSpan said } } => said < LeastRetryAfter ? LeastRetryAfter : said > MostRetryAfter ? MostRetryAfter : said,
        _ => null, // the doubling one
    };

    private static TimeSpan BreakAfter(int tries) =>
        tries < 16 && FirstBreak * (1 << tries) is TimeSpan pause && pause < LongestBreak ? pause : LongestBreak;

    /// <summary>One exchange about the newest checkpoint that is wanted.</summary>
    private async ValueTask<WitnessAnswer> AskAsync(CancellationToken stop)
    {
        await _budget.WaitAsync(stop).ConfigureAwait(false);
        OfferedCheckpoint checkpoint = TakeNewest();
        WitnessAnswer answer;
        try
        {
            answer = await _exchange.ExecuteAsync(async token => await ExchangeAsync(checkpoint, token).ConfigureAwait(false), stop).ConfigureAwait(false);
        }
        catch (TimeoutRejectedException)
        {
            answer = new WitnessAnswer.Failed("conflicts and proofs took longer than the time limit for all of them");
        }

        long? claimed = null;
        if (answer is WitnessAnswer.Conflict conflict && conflict.Size > _signedSize())
        {
            claimed = conflict.Size;
            answer = new WitnessAnswer.Failed(string.Create(CultureInfo.InvariantCulture, $"409: it says that it has cosigned size {conflict.Size}, which the log has not signed"), WitnessFailure.Contradicting);
        }

        Settle(answer, claimed);
        switch (answer)
        {
            case WitnessAnswer.Cosigned cosigned:
                Remember(new HeldCosignature(checkpoint, cosigned.Lines));
                _report(new WitnessEvent.Cosigned(this, checkpoint, cosigned.Lines, cosigned.Dropped));
                break;
            case WitnessAnswer.Failed { Kind: WitnessFailure.Inconsistent or WitnessFailure.Contradicting } failed:
                // Only what the log has signed proves anything, not what the witness says.
                _report(await _words.CompareAsync(_client, checkpoint, stop).ConfigureAwait(false) switch
                {
                    { Kind: EvidenceKind.Unproven } larger => new WitnessEvent.Ahead(this, checkpoint, Math.Max(claimed ?? 0, larger.Checkpoints[^1].Size), larger),
                    TlogEvidence evidence => new WitnessEvent.Contradicted(this, checkpoint, evidence),
                    null when claimed is long size => new WitnessEvent.Ahead(this, checkpoint, size, Evidence: null),
                    null => new WitnessEvent.Failed(this, checkpoint, failed),
                });
                break;
            case WitnessAnswer.Failed failed:
                _report(new WitnessEvent.Failed(this, checkpoint, failed));
                break;
        }

        return answer;
    }

    private OfferedCheckpoint TakeNewest()
    {
        lock (_lock)
        {
            if (_wanted is not null) _current = _wanted;
            _wanted = null;
            return _current!;
        }
    }

    /// <summary>Brings the witness to a checkpoint. The last answer: a conflict only when the witness has more than that.</summary>
    private async Task<WitnessAnswer> ExchangeAsync(OfferedCheckpoint checkpoint, CancellationToken stop)
    {
        for (int conflicts = 0; conflicts < MaxConflicts; conflicts++)
        {
            // Before the first answer the witness is asked as if it had this very checkpoint: it has after a restart of ours, or it tells its size.
            long old = Known ?? checkpoint.Size;
            if (old > checkpoint.Size) return new WitnessAnswer.Conflict(old); // it has told so since this one was wanted
            Hash[] proof = old == 0 || old == checkpoint.Size ? [] : await _consistency(old, checkpoint, stop).ConfigureAwait(false);
            _budget.Charge();
            long started = _options.Time.GetTimestamp();
            WitnessAnswer answer = await _client.AddCheckpointAsync(new AddCheckpointRequest(old, proof, checkpoint.Note), stop).ConfigureAwait(false);
            Count(answer, checkpoint, _options.Time.GetElapsedTime(started));
            if (answer is WitnessAnswer.Conflict { Size: long smaller }) await CheckWentBackAsync(smaller, checkpoint, stop).ConfigureAwait(false);
            if (answer is not WitnessAnswer.Conflict conflict || conflict.Size > checkpoint.Size) return answer;
            if (conflict.Size == old) return new WitnessAnswer.Failed($"409 with size {conflict.Size}, which is the old size of the request");
        }

        return new WitnessAnswer.Failed($"{MaxConflicts} conflicts in a row");
    }

    /// <summary>
    /// Compares a 409 with what the witness has cosigned for us. What it shows now is read before the exchange goes on, since the next request brings it to a larger size.
    /// </summary>
    private async Task CheckWentBackAsync(long size, OfferedCheckpoint checkpoint, CancellationToken stop)
    {
        WitnessRegress regress;
        bool isNew;
        lock (_lock)
        {
            if (_held is null || size >= _held.Checkpoint.Size) return;
            isNew = _wentBack is null || _wentBack.Size != size || _wentBack.Held != _held;
            regress = isNew ? new WitnessRegress(_held, size, _options.Time.GetUtcNow(), Shown: null) : _wentBack! with { Noticed = _options.Time.GetUtcNow() };
            _wentBack = regress;
            _timesWentBack++;
        }

        // Once for each finding: a witness that does not answer this is fed all the same.
        byte[]? shown = isNew ? await _client.TryReadCheckpointAsync(regress.Held.Origin, stop).ConfigureAwait(false) : null;
        if (shown is not null && regress.Held.IsBrokenBy(shown, _client.Keys, out byte[] proof))
        {
            regress = regress with { Shown = proof };
            lock (_lock) _wentBack = regress;
        }

        _report(new WitnessEvent.WentBack(this, checkpoint, regress));
    }

    private long? Known
    {
        get
        {
            lock (_lock) return _cosignedSize;
        }
    }

    /// <summary>What one answer says of the witness.</summary>
    private void Count(WitnessAnswer answer, OfferedCheckpoint checkpoint, TimeSpan latency)
    {
        lock (_lock)
        {
            _requests[(int)OutcomeOf(answer)]++;
            if (answer is not WitnessAnswer.Failed { Kind: WitnessFailure.Trouble }) _latency = latency;
            if (answer is WitnessAnswer.Cosigned) _cosignedSize = checkpoint.Size;

            // A size that cannot be is no place to prove from: the next request asks anew.
            if (answer is WitnessAnswer.Conflict conflict) _cosignedSize = conflict.Size <= _signedSize() ? conflict.Size : null;
        }
    }

    /// <summary>What came of the exchange.</summary>
    private void Settle(WitnessAnswer answer, long? claimed)
    {
        lock (_lock)
        {
            // Only a cosignature takes a claim back: no other answer says anything about the branch that the witness follows.
            if (claimed is long size) _claim = new WitnessClaim(size, _claim?.Since ?? _options.Time.GetUtcNow());
            else if (answer is WitnessAnswer.Cosigned) _claim = null;
            (_condition, _trouble) = answer is WitnessAnswer.Failed failed ? (ConditionOf(failed.Kind), failed.Reason) : (WitnessCondition.Well, null);
            if (answer is WitnessAnswer.Failed) return;
            _current = null;
            _owedSince = _wanted is null ? null : _wantedSince;
        }
    }

    private static WitnessOutcome OutcomeOf(WitnessAnswer answer) => answer switch
    {
        WitnessAnswer.Cosigned => WitnessOutcome.Cosigned,
        WitnessAnswer.Conflict => WitnessOutcome.Conflict,
        WitnessAnswer.Failed { Kind: WitnessFailure.Refused } => WitnessOutcome.Refused,
        WitnessAnswer.Failed { Kind: WitnessFailure.Inconsistent } => WitnessOutcome.Inconsistent,
        WitnessAnswer.Failed { Kind: WitnessFailure.Limited } => WitnessOutcome.Limited,
        _ => WitnessOutcome.Trouble,
    };

    private static WitnessCondition ConditionOf(WitnessFailure kind) => kind switch
    {
        WitnessFailure.Refused => WitnessCondition.Refusing,
        WitnessFailure.Inconsistent => WitnessCondition.Inconsistent,
        WitnessFailure.Limited => WitnessCondition.Limited,
        WitnessFailure.Contradicting => WitnessCondition.Contradicting,
        _ => WitnessCondition.Failing,
    };
}
