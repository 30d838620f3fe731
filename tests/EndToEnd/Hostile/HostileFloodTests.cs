using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// spec/reliability.md, rows H: what takes connections, memory and time. In make test all floods at once, small; make floods has each of them at its full size, one after the
/// other, and prints the figures. Connections of the floods come from 127.0.0.2, those of the normal client from 127.0.0.1.
/// </summary>
public sealed class HostileFloodTests(ITestOutputHelper output)
{
    private const string Stranger = "127.0.0.2";

    /// <summary>Longest a slow connection is kept up: deadlines are 7 to 15 s, and a busy machine is late.</summary>
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(50);

    /// <summary>H-11 too: a client that begins no request at all is one that is slow with its headers, or idle.</summary>
    [Fact]
    public async Task H01_H02_H03_H04_H14_H15_A04_A14_floods_end_by_themselves_and_a_normal_client_is_served_meanwhile()
    {
        Dictionary<string, string> ofLog = new() { ["TLOG_BODY_LIMIT_S"] = "7", ["TLOG_MAX_CONNECTIONS"] = "800" }, ofWitness = new() { ["TLOG_WITNESS_BODY_LIMIT_S"] = "7", ["TLOG_WITNESS_MAX_CONNECTIONS"] = "800" };
        await using BothServers servers = await BothServers.StartAsync(ofLog, ofWitness);
        string state = await servers.StateAsync();
        foreach (HostileTarget target in servers.Both) await WarmAsync(target);
        List<string> wrong = [];
        await Task.WhenAll(servers.Both.Select(target => Task.Run(async () =>
        {
            Flood flood = new(target, Stranger), other = new(target, "127.0.0.3");
            TaskCompletionSource done = new();
            Figures figures = await Figures.MeasureAsync(target, async () =>
            {
                Task<FloodOutcome> idle = other.IdleAsync(500, done.Task);
                Task<FloodOutcome> headers = flood.SlowHeadersAsync(150, Patience), bodies = flood.SlowBodiesAsync(100, Patience);
                FloodOutcome chunks = await flood.EndlessChunksAsync(10), dying = await flood.DyingAsync(1000, 4);
                FloodOutcome strangers = target == servers.Witness ? await flood.StrangersAsync(2000, 4) : new FloodOutcome(new Dictionary<string, int>(), default);
                FloodOutcome slow = await headers;
                Check(slow["408"] + slow[Flood.Closed] == 150, $"slow headers: {slow}");
                Check((await bodies)["408"] == 100, $"slow bodies: {await bodies}");
                Check(chunks["413"] + chunks[Flood.Closed] == 10, $"endless chunks: {chunks}");
                Check(dying["reset"] > 900, $"dying requests: {dying}");
                Check(target != servers.Witness || strangers["404"] == 2000, $"strangers: {strangers}");
                done.SetResult();

                // One address gets half of 800 and no more, so that the others have theirs.
                FloodOutcome idled = await idle;
                Check(idled[Flood.Kept] + idled[Flood.IdleClosed] == 400 && idled[Flood.Refused] + idled[Flood.Closed] == 100, $"idle: {idled}");
            });
            Say($"{target.Name}: {figures}");
            Check(figures.Client.Failures == 0, $"a normal client: {figures.Client.Failures} of {figures.Client.Requests} failed: {figures.Client.FirstFailure}");
            Check(figures.Client.Longest < RawConnection.Limit, $"a normal client waited {figures.Client.Longest}");
            Check(figures.After.Descriptors <= figures.Before.Descriptors + 10, $"descriptors: {figures}");
            Check(figures.Peak.Megabytes < figures.Before.Megabytes + 200, $"memory: {figures}");
            Check(target.Program.Errors.Split('\n').Length < 30, $"it has written {target.Program.Errors.Split('\n').Length} lines: {target.Program.Errors}");

            void Check(bool holds, string what)
            {
                lock (wrong) if (!holds) wrong.Add($"{target.Name}: {what}");
            }
        })));
        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.Equal(state, await servers.StateAsync());
    }

    /// <summary>A bundle of 16 MiB for each of them, or a batch of 2 MiB from each, would be gigabytes.</summary>
    [Fact]
    public Task H03_A05_slow_readers_of_large_answers_and_slow_senders_of_large_batches_share_a_bound() => ShareAsync(readers: 12, senders: 80);

    [Fact(Explicit = true)]
    public Task H03_A05_slow_readers_and_senders_at_their_full_size() => ShareAsync(readers: 500, senders: 2000);

    private async Task ShareAsync(int readers, int senders)
    {
        await using BothServers servers = await BothServers.StartAsync();
        await FillAsync(servers.Log);
        await WarmAsync(servers.Log);
        Flood flood = new(servers.Log, Stranger);
        FloodOutcome? read = null, sent = null;
        Figures reading = await Figures.MeasureAsync(servers.Log, async () => read = await flood.SlowReadersAsync(readers, "/tile/entries/002", TimeSpan.FromMinutes(10)));
        Say($"slow readers of 16 MiB each, {readers} | log | {reading} | {read}");
        Figures sending = await Figures.MeasureAsync(servers.Log, async () => sent = await flood.StalledBatchesAsync(senders, 64, Patience));
        Say($"batches of 2 MiB that stall, {senders} | log | {sending} | {sent}");

        // Readers of the same bundle share its bytes (N-07), so all get it. 128 MiB are 64 batches; a sender that finds no room is told so.
        Assert.Equal(readers, read![Flood.Kept]);
        Assert.InRange(sent![Flood.Kept], 0, 64);
        Assert.InRange(sent["503"], 1, senders);
        Assert.Equal(senders, sent[Flood.Kept] + sent["503"] + sent["408"] + sent[Flood.Closed] + sent[Flood.Refused]);
        foreach (Figures figures in (Figures[])[reading, sending])
        {
            Assert.True(figures.Client.Failures == 0, figures.Client.FirstFailure);
            Assert.True(figures.Peak.Megabytes < 600, figures.ToString());
            Assert.InRange(figures.After.Descriptors, 1, figures.Before.Descriptors + 10);
        }
    }

    /// <summary>Readers that take a byte a second of each large answer that there is: without sharing and a bound they would hold gigabytes.</summary>
    [Fact]
    public Task N06_N07_slow_readers_of_every_large_answer_hold_little() => EveryLargeAnswerAsync(readers: 100);

    [Fact(Explicit = true)]
    public Task N06_N07_slow_readers_of_every_large_answer_at_their_full_size() => EveryLargeAnswerAsync(readers: 1500);

    private async Task EveryLargeAnswerAsync(int readers)
    {
        // As many logs as a witness may have.
        string logs = string.Concat(Enumerable.Range(1, 4095).Select(i => new Tests.Witness.TestLog(string.Create(CultureInfo.InvariantCulture, $"example.com/log{i}"), 1).PolicyLine));
        await using BothServers servers = await BothServers.StartAsync(moreLogs: logs);
        await FillAsync(servers.Log);
        using (LogClient client = new(servers.Log.Url))
        {
            // And an open segment of 13 MB.
            Random random = new(2);
            for (int batch = 0; batch < 8; batch++)
            {
                byte[][] entries = [.. Enumerable.Range(0, 25).Select(_ => new byte[65_535])];
                foreach (byte[] entry in entries) random.NextBytes(entry);
                Assert.True((await client.AddBatchAsync(entries)).IsAcknowledged);
            }

            Assert.True(await client.WaitPublishedAsync(968));
        }

        List<string> wrong = [];
        foreach ((HostileTarget target, string path) in (IEnumerable<(HostileTarget, string)>)[
            (servers.Witness, "/status?limit=4096"), (servers.Witness, "/?limit=4096"), (servers.Witness, "/metrics"), (servers.Witness, "/status"),
            (servers.Log, "/tile/entries/003.p/200"), (servers.Log, "/tile/entries/002"), (servers.Log, "/tile/entries/002.p/255"), (servers.Log, "/tile/entries/002.p/20"), (servers.Log, "/entry/600"), (servers.Log, "/openapi/v1.json")])
        {
            await WarmAsync(target);
            FloodOutcome? outcome = null;
            Figures figures = await Figures.MeasureAsync(target, async () => outcome = await new Flood(target, Stranger).SlowReadersAsync(readers, path, TimeSpan.FromMinutes(10)));
            Say($"slow readers of {path}, {readers} | {target.Name} | {figures} | {outcome}");
            if (outcome![Flood.Kept] == 0 || outcome[Flood.Kept] + outcome["503"] + outcome[Flood.Closed] != readers) wrong.Add($"{target.Name} {path}: {outcome}");
            if (figures.Peak.Megabytes > 400) wrong.Add($"{target.Name} {path}: {figures}");
            if (figures.Client.Failures > 0) wrong.Add($"{target.Name} {path}: a normal client: {figures.Client.FirstFailure}");
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
    }

    /// <summary>What the shares are for: without them the client that the floods above leave alone is turned away.</summary>
    [Fact]
    public async Task Control_where_one_address_may_take_all_connections_a_normal_client_gets_none()
    {
        await using BothServers servers = await BothServers.StartAsync(new() { ["TLOG_MAX_CONNECTIONS"] = "40", ["TLOG_MAX_CONNECTIONS_PER_ADDRESS"] = "40" }, new() { ["TLOG_WITNESS_MAX_CONNECTIONS"] = "40", ["TLOG_WITNESS_MAX_CONNECTIONS_PER_ADDRESS"] = "40" });
        foreach (HostileTarget target in servers.Both)
        {
            TaskCompletionSource done = new();
            Flood flood = new(target, Stranger);
            Task<FloodOutcome> idle = flood.IdleAsync(200, done.Task);
            bool all = await Until.TrueAsync(() => Task.FromResult(flood.Met >= 200), Patience);
            bool turnedAway = await Until.TrueAsync(async () => await Record.ExceptionAsync(() => target.GetAsync(target.Words.Get)) is CheckFailedException, Patience);
            done.SetResult();
            FloodOutcome idled = await idle;
            Assert.True(all && turnedAway, $"{target.Name}: {idled}");
            Assert.InRange(idled[Flood.Kept], 1, 40);
        }
    }

    [Fact(Explicit = true)]
    public async Task H01_H02_H04_H14_H15_W08_floods_at_their_full_size()
    {
        await using BothServers servers = await BothServers.StartAsync();
        string state = await servers.StateAsync();
        Say("flood | server | memory before, peak, after; descriptors; a normal client meanwhile | what became of it");
        List<string> wrong = [];
        foreach (HostileTarget target in servers.Both)
        {
            await WarmAsync(target);
            Flood flood = new(target, Stranger);
            await MeasureAsync("slow headers, 2,000 connections", () => flood.SlowHeadersAsync(2000, Patience), outcome => outcome["408"] + outcome[Flood.Closed] == 2000);
            await MeasureAsync("slow bodies at 250 B/s, 2,000 connections", () => flood.SlowBodiesAsync(2000, Patience), outcome => outcome["408"] == 2000);
            await MeasureAsync("idle connections, 5,000", () => flood.IdleAsync(5000, Task.Delay(TimeSpan.FromMinutes(2))), outcome => outcome[Flood.IdleClosed] == 2048);
            await MeasureAsync("chunks without an end, 500 connections", () => flood.EndlessChunksAsync(500), outcome => outcome["413"] + outcome[Flood.Closed] == 500);
            await MeasureAsync("requests that die after their headers, 100,000", () => flood.DyingAsync(100_000, 16), outcome => outcome["reset"] > 90_000);
            if (target == servers.Witness) await MeasureAsync("unknown origins, 100,000", () => flood.StrangersAsync(100_000, 16), outcome => outcome["404"] == 100_000);

            async Task MeasureAsync(string what, Func<Task<FloodOutcome>> run, Func<FloodOutcome, bool> holds)
            {
                FloodOutcome? outcome = null;
                Figures figures = await Figures.MeasureAsync(target, async () => outcome = await run());
                Say($"{what} | {target.Name} | {figures} | {outcome}, the last after {outcome!.Last.TotalSeconds:F0} s");
                if (!holds(outcome)) wrong.Add($"{target.Name}, {what}: {outcome}");
                if (figures.Client.Failures > 0) wrong.Add($"{target.Name}, {what}: a normal client: {figures.Client.FirstFailure}");
                if (figures.After.Descriptors > figures.Before.Descriptors + 10) wrong.Add($"{target.Name}, {what}: {figures}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.Equal(state, await servers.StateAsync());
    }

    /// <summary>The runtime compiles, and grows its pools, once.</summary>
    private static async Task WarmAsync(HostileTarget target)
    {
        for (int i = 0; i < 50; i++) await target.GetAsync(target.Words.Get);
        await new Flood(target, Stranger).EndlessChunksAsync(4);
    }

    /// <summary>A bundle of the largest entries, sealed and public: 256 of 65,535 bytes.</summary>
    private static async Task FillAsync(HostileTarget log)
    {
        using LogClient client = new(log.Url);
        int size = BothServers.Entries;
        Random random = new(1);
        for (; size % 256 != 0; size++) Assert.True((await client.AddAsync(BitConverter.GetBytes(size))).IsAcknowledged);
        for (int last = size + 256; size < last;)
        {
            byte[][] entries = [.. Enumerable.Range(0, Math.Min(31, last - size)).Select(_ => new byte[65_535])];
            foreach (byte[] entry in entries) random.NextBytes(entry);
            Assert.True((await client.AddBatchAsync(entries)).IsAcknowledged);
            size += entries.Length;
        }

        Assert.True(await client.WaitPublishedAsync(size));
    }

    private void Say(string line)
    {
        output.WriteLine(line);
        Console.WriteLine($"floods: {line}"); // for tests/long
    }

    /// <summary>A process before, during and after, and a normal client beside.</summary>
    private sealed record Figures(Sample Before, Sample Peak, Sample After, NormalClient Client)
    {
        public static async Task<Figures> MeasureAsync(HostileTarget target, Func<Task> flood)
        {
            ProcessWatch watch = new();
            Sample before = Look();
            Sample peak = before;
            NormalClient client = new(target);
            using CancellationTokenSource stop = new();
            Task running = Task.Run(() => client.RunAsync(stop.Token));
            Task flooding = Task.Run(flood);
            while (await Task.WhenAny(flooding, Task.Delay(100)) != flooding)
            {
                Sample now = Look();
                peak = new Sample(Math.Max(peak.Megabytes, now.Megabytes), Math.Max(peak.Descriptors, now.Descriptors));
            }

            await flooding;
            await stop.CancelAsync();
            await running;
            await Until.TrueAsync(() => Task.FromResult(Look().Descriptors <= before.Descriptors + 10), Until.Patience);
            return new Figures(before, peak, Look(), client);

            Sample Look() => watch.Look(target.Name, target.Program.ProcessId) ?? throw new CheckFailedException($"the {target.Name} has ended: {target.Program.Errors}");
        }

        public override string ToString() => string.Create(
            CultureInfo.InvariantCulture,
            $"{Before.Megabytes:F0}, {Peak.Megabytes:F0}, {After.Megabytes:F0} MB; {Before.Descriptors}, {Peak.Descriptors}, {After.Descriptors}; p50 {Client.Middle.TotalMilliseconds:F0}, max {Client.Longest.TotalMilliseconds:F0} ms of {Client.Requests} requests, {Client.Failures} failed");
    }
}
