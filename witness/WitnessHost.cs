using TransparencyLog.Hosting;
using TransparencyLog.Storage;
using TransparencyLog.Witness.Http;

namespace TransparencyLog.Witness;

/// <summary>A running witness: directory, store, logs and web server. Started once.</summary>
internal sealed class WitnessHost : IAsyncDisposable
{
    /// <summary>How long requests may take to end after SIGTERM. Of the 9 s that <see cref="Commands"/> allows, the store has the rest.</summary>
    private static readonly TimeSpan ShutdownTime = TimeSpan.FromSeconds(7);

    /// <summary>How often a witness that does not cosign repeats the reason in its log (O-03).</summary>
    private static readonly TimeSpan HaltedReminder = TimeSpan.FromMinutes(1);

    private readonly WebApplication _app;
    private readonly WitnessDirectory _directory;
    private readonly WitnessStore _store;
    private readonly WitnessedLogs _logs;
    private readonly LogLists _lists;
    private readonly EvidenceWebhooks _webhooks;
    private readonly ITimer[] _timers;
    private readonly CancellationTokenSource _stop;
    private readonly Task _watching;

    private WitnessHost(WebApplication app, WitnessDirectory directory, WitnessStore store, WitnessedLogs logs, LogLists lists, EvidenceWebhooks webhooks, ITimer[] timers, CancellationTokenSource stop, Task watching, string url)
    {
        _webhooks = webhooks;
        _app = app;
        _directory = directory;
        _store = store;
        _logs = logs;
        _lists = lists;
        _timers = timers;
        _stop = stop;
        _watching = watching;
        Url = url;
    }

    /// <summary>The URL that it listens on, with the actual port.</summary>
    public string Url { get; }

    /// <summary>The log of the program.</summary>
    public ILogger Log => _app.Logger;

    /// <summary>
    /// Opens the directory with its lock and keys, then the lists, the store with its guard, and the clock, and at last the socket. So no port is opened when
    /// one of them refuses. A witness whose clock is wrong starts, serves reads, and cosigns nothing.
    /// </summary>
    /// <param name="settings">Checked settings.</param>
    /// <param name="time">The clock, for cosignatures and for time limits.</param>
    /// <param name="journal">Wraps the journal of the store, for faults in tests; null for no wrapper.</param>
    /// <param name="cosigner">Replaces a cosigner, for faults in tests; null for no replacement.</param>
    public static async Task<WitnessHost> StartAsync(Settings settings, TimeProvider time, Func<IJournal, IJournal>? journal = null, Func<ICosigner, ICosigner>? cosigner = null)
    {
        WitnessDirectory directory = WitnessDirectory.Open(settings.Data, settings.AllowGroupReadableKeys);
        LogLists? lists = null;
        WitnessStore? store = null;
        WebApplication? app = null;
        EvidenceWebhooks? webhooks = null;
        try
        {
            ICosigner[] cosigners = [.. directory.Cosigners.Select(one => cosigner?.Invoke(one) ?? one)];
            VerifierKey[] vkeys = [.. cosigners.Select(one => one.Key)];
            lists = LogLists.Open(settings.Logs, directory.Root, vkeys, settings.ListInterval, time, LogLists.FetchTime);
            store = WitnessStore.Open(directory, settings.Guard, settings.JournalFileBytes, journal, time);
            SigningClock clock = SigningClock.Open(directory.Root, settings.ClockLimit, time);
            WitnessedLogs logs = WitnessedLogs.Load(lists.Logs, store.Loaded, vkeys, time, settings.RatePerDay, settings.RateBurst);

            app = Build(settings);
            ILogger log = app.Logger;
            EvidenceFolder folder = new(directory.Root);
            webhooks = new EvidenceWebhooks(folder, settings.EvidenceWebhooks, settings.WebhookOptions, time, log);
            Evidence evidence = new(folder, webhooks, log);
            CheckpointWitness witness = new(logs, cosigners, store, evidence, new DiskSpace(directory.Root, WitnessStore.ReserveFor(settings.JournalFileBytes)), clock, time, settings.CommitTime, log);
            Metrics metrics = new(witness, logs, lists, webhooks);
            SubmissionEndpoint? subtree = cosigners.OfType<ISubtreeCosigner>().FirstOrDefault() is ISubtreeCosigner able
                ? new SubmissionEndpoint(new SubtreeWitness(logs, able, witness).SignSubtreeAsync, metrics.SignSubtree, settings.BodyTime, time)
                : null;
            Routes routes = new(new SubmissionEndpoint(witness.AddCheckpointAsync, metrics.AddCheckpoint, settings.BodyTime, time), subtree, new ReadEndpoints(witness, logs, new Page(witness, logs, evidence, vkeys, time), new Status(witness, logs, evidence, lists, vkeys), metrics, time));
            app.Run(routes.HandleAsync);

            if (store.Cut is string cut) log.FrameCut(cut);
            store.WatchGuard(
                trouble =>
                {
                    if (trouble is null) log.GuardBack();
                    else log.GuardUnavailable(trouble.Reason);
                },
                witness.HaltOn);
            if (settings.Guard is null) log.NoGuard();
            Beat(clock, log);
            WarnOfClock(witness, log);
            FileWatch watch = store.Watch(log.KeyWithdrawn, time);
            app.Lifetime.ApplicationStopping.Register(log.Stopping);
            string url = await settings.Listen.StartAsync(app, CancellationToken.None);
            log.Started(vkeys[0].Name, lists.Logs.Count, url, store.Loaded.Count);
            CancellationTokenSource stop = new();
            Task watching = WatchAsync(store, watch, log, stop.Token);
            ITimer reminder = time.CreateTimer(_ => Remind(witness, log), null, HaltedReminder, HaltedReminder);
            ITimer heartbeat = time.CreateTimer(_ => Beat(clock, log), null, Heartbeat.Interval, Heartbeat.Interval);
            lists.Start(logs, log);
            return new WitnessHost(app, directory, store, logs, lists, webhooks, [reminder, heartbeat], stop, watching, url);
        }
        catch
        {
            if (app is not null) await app.DisposeAsync();
            if (webhooks is not null) await webhooks.DisposeAsync();
            if (store is not null) await store.DisposeAsync();
            if (lists is not null) await lists.DisposeAsync();
            directory.Dispose();
            throw;
        }
    }

    /// <summary>Waits for SIGTERM or SIGINT.</summary>
    public Task WaitForShutdownAsync() => _app.WaitForShutdownAsync();

    /// <summary>Accepts no more requests, finishes or refuses those under way, closes the store, and releases the lock.</summary>
    public async ValueTask DisposeAsync()
    {
        foreach (ITimer timer in _timers) await timer.DisposeAsync();
        await _stop.CancelAsync();
        await _watching;
        _stop.Dispose();
        await _lists.DisposeAsync();
        await _app.StopAsync();
        await _app.DisposeAsync();
        await _webhooks.DisposeAsync();
        await _store.DisposeAsync();
        _logs.Dispose();
        _directory.Dispose();
    }

    /// <summary>Halts the witness when a file was removed or replaced, as a failed write does.</summary>
    private static async Task WatchAsync(WitnessStore store, FileWatch watch, ILogger log, CancellationToken stop)
    {
        try
        {
            await watch.RunAsync(stop);
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Normal shutdown.
        }
        catch (StorageException lost)
        {
            store.Fail(lost);
            log.Halted(lost, lost.Message);
        }
    }

    private static WebApplication Build(Settings settings)
    {
        WebApplicationBuilder builder = WebHost.CreateBuilder(
            "tlog-witness", settings.LogLevel, TimeProvider.System, settings.Listen, settings.MaxConnections, settings.MaxConnectionsPerAddress, ShutdownTime);

        // RequestBody sets the exact limit for a body that it reads. This limit, which also counts the framing of chunks, ends bodies that no endpoint reads.
        builder.WebHost.ConfigureKestrel(kestrel => kestrel.Limits.MaxRequestBodySize = 2 * SubmissionEndpoint.MaxBody);
        return builder.Build();
    }

    private static void Beat(SigningClock clock, ILogger log)
    {
        try
        {
            clock.Beat();
        }
        catch (StorageException failure)
        {
            // The previous heartbeat stays, which makes the next judgement stricter.
            log.NoHeartbeat(failure.Message);
        }
    }

    private static void WarnOfClock(CheckpointWitness witness, ILogger log)
    {
        if (witness.Clock.State is not ClockState.Right and ClockState state)
        {
            log.Hindered(witness.Clock.Describe(state, "tlog-witness"));
            return;
        }

        (WitnessedLog Log, DateTimeOffset Until)[] waiting = [.. witness.Waiting().OrderByDescending(one => one.Until)];
        if (waiting.Length > 0) log.LogsWait(waiting.Length, waiting[0].Log.Origin, SigningClock.Format(waiting[0].Until), witness.Clock.Describe(ClockState.Behind, "tlog-witness"));
    }

    private static void Remind(CheckpointWitness witness, ILogger log)
    {
        if (witness.Halted is Exception failure) log.StillHalted(failure.Message);
        else if (witness.Clock.State != ClockState.Right || witness.Hindrance is null) WarnOfClock(witness, log);
        else if (witness.Hindrance is Unavailability why) log.Hindered(Http.Answers.Describe(why));
    }
}
