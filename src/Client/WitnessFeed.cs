// Keeps one witness at the newest checkpoint of a log (c2sp.org/tlog-witness, the client's side). The log feeds its own checkpoints with it; `tlog feed`
// feeds those of a log that does not do so itself. spec/decisions/witness-client.md says what it tolerates.
//
//     our request limit -> circuit breaker -> one exchange, with one time limit -> add-checkpoint, with a time limit for each request
//            ^                                        after a 409: the proof from the size it names, and another request
//            '-- after a failure: a pause, then the checkpoint that is newest by then
//
// Each 409 is compared with what the witness has answered before. A size larger than everything that the log has signed is a claim, which is checked
// against the checkpoint that the witness shows. A size smaller than what the witness has cosigned for us means that the witness went back. Neither is
// believed or ignored: both are reported, and the witness is asked again.

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
    /// <summary>
    /// Time limit for one exchange: a request and, after a 409, the proof and the next request; up to three requests. Default 5 s; 100 ms to 5 min.
    /// </summary>
    public TimeSpan TotalTimeout { get; init; } = TimeSpan.FromSeconds(5);

    /// <summary>Most requests a day, evenly spaced. Default 86,400, one a second, which public witness lists grant a log.</summary>
    public int RequestsPerDay { get; init; } = 86_400;

    /// <summary>How many requests may be sent together after a quiet time. Default 60.</summary>
    public int Burst { get; init; } = 60;

    /// <summary>Our clock.</summary>
    public TimeProvider Time { get; init; } = TimeProvider.System;
}

/// <summary>
/// Keeps one witness (one submission prefix, however many keys it answers for) at the newest checkpoint: one request in flight, newest wins. A slow or dead
/// witness delays only its own loop. Thread-safe.
/// </summary>
public sealed class WitnessFeed
{
    /// <summary>
    /// Most conflicts in one exchange. The first one names the size, a second one may come from a race with another feeder, more mean a broken witness.
    /// </summary>
    private const int MaxConflicts = 3;

    /// <summary>
    /// The circuit opens when half of at least this many exchanges have failed within the sampling time: <see cref="LeastSampling"/>, or the time limit of
    /// twice as many exchanges where that is longer.
    /// </summary>
    private const int LeastExchanges = 5;

    private static readonly TimeSpan LeastSampling = TimeSpan.FromSeconds(30);

    /// <summary>The pause after a failure doubles from the first value to the longest, with jitter.</summary>
    private static readonly TimeSpan FirstPause = TimeSpan.FromMilliseconds(200), LongestPause = TimeSpan.FromSeconds(15);

    /// <summary>How long the circuit stays open. Doubles with each trial request that fails.</summary>
    private static readonly TimeSpan FirstBreak = TimeSpan.FromSeconds(1), LongestBreak = TimeSpan.FromMinutes(1);

    /// <summary>The pause after a refusal or a 422: an operator has to change something first.</summary>
    private static readonly TimeSpan SlowLane = TimeSpan.FromMinutes(1);

    /// <summary>
    /// Bounds of a Retry-After. With a shorter wait the witness would answer the same again; with a longer one a mistake would switch it off.
    /// </summary>
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
    private readonly long[] _requests = new long[Enum.GetValues<WitnessOutcome>().Length]; // guarded by _lock, like all fields below
    private OfferedCheckpoint? _wanted;  // not sent yet
    private OfferedCheckpoint? _current; // being sent, or to be sent again
    private long? _cosignedSize;         // the size in its last answer; null before, or if the log has not signed it
    private HeldCosignature? _held;      // the largest head that it has cosigned for us
    private WitnessClaim? _claim;
    private WitnessRegress? _wentBack;
    private long _timesWentBack;
    private long? _owedSince, _wantedSince;
    private TimeSpan? _latency;
    private WitnessCondition _condition = WitnessCondition.Unknown;
    private string? _trouble;

    /// <summary>Creates a feed. It sends nothing before <see cref="RunAsync"/>.</summary>
    /// <param name="client">The witness.</param>
    /// <param name="options">Limits.</param>
    /// <param name="consistency">Builds the consistency proof from a size to a checkpoint. An exception from it ends <see cref="RunAsync"/>.</param>
    /// <param name="words">Compares a checkpoint that the witness shows with what the log has signed.</param>
    /// <param name="signedSize">Returns the largest size that the log is known to have signed.</param>
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
                MaxRetryAttempts = int.MaxValue, // a checkpoint stays wanted until a newer one replaces it
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

    /// <summary>The submission prefix of the witness.</summary>
    public string SubmissionPrefix => _client.SubmissionPrefix;

    /// <summary>
    /// Whether a cosignature may be expected soon: the witness makes no claim against the log, its last answer was no refusal, 422 or 429, and it has not
    /// failed too often.
    /// </summary>
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

    /// <summary>Time until our own limit allows the next request; zero or less when it allows one now.</summary>
    public TimeSpan Wait => _budget.Wait;

    /// <summary>The state of the witness.</summary>
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
    /// Sets the head that the witness is known to have cosigned in an earlier run of the log, so that the feed notices when the witness went back since.
    /// Ignored when the feed knows a larger one. The lines must be verified.
    /// </summary>
    public void Remember(HeldCosignature held)
    {
        ArgumentNullException.ThrowIfNull(held);
        lock (_lock)
        {
            if (_held is null || held.Checkpoint.Size >= _held.Checkpoint.Size) _held = held;
        }
    }

    /// <summary>
    /// Asks for cosignatures on a checkpoint. Replaces an older checkpoint that was not sent yet. Ignored when a newer one was submitted or cosigned before.
    /// </summary>
    public void Submit(OfferedCheckpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        lock (_lock)
        {
            // A newer checkpoint has overtaken this one, a renewal: the witness has cosigned more, or will be asked to.
            if (_wanted?.Size > checkpoint.Size || _current?.Size > checkpoint.Size || _cosignedSize > checkpoint.Size) return;
            if (_wanted is null) _wantedSince = _options.Time.GetTimestamp();
            _owedSince ??= _wantedSince;
            _wanted = checkpoint;
        }

        _signal.Writer.TryWrite(true);
    }

    /// <summary>Asks until cancelled. Throws the exceptions of building a proof.</summary>
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
        _ => null, // the pause that doubles
    };

    private static TimeSpan BreakAfter(int tries) =>
        tries < 16 && FirstBreak * (1 << tries) is TimeSpan pause && pause < LongestBreak ? pause : LongestBreak;

    /// <summary>One exchange about the newest wanted checkpoint; reports its outcome.</summary>
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
                // The answer of the witness proves nothing. Only a checkpoint with the log's signature does.
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

    /// <summary>
    /// Brings the witness to a checkpoint. Returns the last answer, which is a conflict only when the witness has cosigned a larger size.
    /// </summary>
    private async Task<WitnessAnswer> ExchangeAsync(OfferedCheckpoint checkpoint, CancellationToken stop)
    {
        for (int conflicts = 0; conflicts < MaxConflicts; conflicts++)
        {
            // Before the first answer, assume that the witness has this very checkpoint. After a restart of ours it has; otherwise its 409 names its size.
            long old = Known ?? checkpoint.Size;
            if (old > checkpoint.Size) return new WitnessAnswer.Conflict(old); // an answer since then has named it
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
    /// Compares a 409 with what the witness has cosigned for us. Reads the checkpoint that the witness shows before the exchange goes on, because the next
    /// request brings the witness to a larger size.
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

        // Ask once for each finding. A witness that does not show a checkpoint is fed all the same.
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

    /// <summary>Records what one answer says about the witness.</summary>
    private void Count(WitnessAnswer answer, OfferedCheckpoint checkpoint, TimeSpan latency)
    {
        lock (_lock)
        {
            _requests[(int)OutcomeOf(answer)]++;
            if (answer is not WitnessAnswer.Failed { Kind: WitnessFailure.Trouble }) _latency = latency;
            if (answer is WitnessAnswer.Cosigned) _cosignedSize = checkpoint.Size;

            // A size that the log has not signed cannot start a proof. The next request asks for the size again.
            if (answer is WitnessAnswer.Conflict conflict) _cosignedSize = conflict.Size <= _signedSize() ? conflict.Size : null;
        }
    }

    /// <summary>Records the outcome of an exchange.</summary>
    private void Settle(WitnessAnswer answer, long? claimed)
    {
        lock (_lock)
        {
            // Only a cosignature clears a claim: no other answer says anything about the branch that the witness follows.
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
