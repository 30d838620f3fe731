using System.Net;
using System.Text.Json;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>Witnesses that say, without proof, that they have cosigned what the log has not signed (N-04).</summary>
public sealed class ContradictingWitnessTests
{
    private static readonly Func<Microsoft.AspNetCore.Http.HttpContext, byte[], Task> Lie = StubWitness.Says(409, "999999999\n");

    private static Settings Brisk(Settings settings) => settings with { WitnessTimeout = TimeSpan.FromMilliseconds(400), WaitLimit = TimeSpan.FromSeconds(1) };

    private static byte[] Sign(TestLog log, long size, Hash root)
    {
        byte[] text = new Checkpoint(TestLog.Origin, size, root).ToText();
        return new Note(text, [log.Signer.Sign(text)]).ToBytes();
    }

    private static async Task<JsonElement> StatusAsync(TestLog log) => JsonDocument.Parse((await log.GetAsync("/status")).Text).RootElement;

    private static async Task<bool> IsHeldAsync(TestLog log) => (await StatusAsync(log)).GetProperty("held").ValueKind != JsonValueKind.Null;

    [Fact]
    public async Task N04_an_optional_witness_holds_nothing_and_is_told_of()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n");
        TestLog log = witnessed.Log;
        witnessed[1].Behave = Lie;
        for (int i = 0; i < 5; i++) await log.AddAsync($"{i}", "published");
        await Eventually.TrueAsync(async () => (await StatusAsync(log)).GetProperty("witnesses")[1].GetProperty("condition").GetString() == "contradicting", "/status says so");
        Assert.Equal(["a"], witnessed.WhoCosigned(await log.CheckLog(5)));
        JsonElement claims = (await StatusAsync(log)).GetProperty("witnesses")[1].GetProperty("claims");
        Assert.Equal(999_999_999, claims.GetProperty("size").GetInt64());
        Assert.Matches("^20[0-9]{2}-[0-9]{2}-[0-9]{2}T[0-9:]{8}Z$", claims.GetProperty("since").GetString());
        Assert.False(await IsHeldAsync(log));
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/readyz")).Status);
        string metrics = (await log.GetAsync("/metrics")).Text;
        Assert.Contains("\ntlog_publication_held 0\n", metrics);
        Assert.Contains("\ntlog_feed_contradicting{witness=\"a\"} 0\n", metrics);
        Assert.Contains("\ntlog_feed_contradicting{witness=\"b\"} 1\n", metrics);

        // It is asked again without a new entry, and the log says it once a minute at most.
        int asked = witnessed[1].RequestCount;
        await Eventually.TrueAsync(() => witnessed[1].RequestCount >= asked + 3, "it is asked again");
        Assert.Equal(1, log.Logged.Count(40));
        Assert.True(log.Logged.Has(40, "999999999"));
        Assert.Equal(EngineState.Ready, log.Engine.State);

        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(5)) is ["a", "b"], "its line counts again");
        await Eventually.TrueAsync(async () => (await StatusAsync(log)).GetProperty("witnesses")[1].GetProperty("condition").GetString() == "well", "/status says so");
    }

    [Theory]
    [InlineData(1, "quorum a\n", 0)]
    [InlineData(2, "group g any a b\nquorum g\n", 1)]
    [InlineData(3, "group g 2 a b c\nquorum g\n", 1, 2)]
    public async Task N04_publication_is_held_while_the_others_could_be_a_quorum_and_goes_on_by_itself(int count, string quorum, params int[] liars)
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(count, quorum, Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(1)).Count == count, "all follow");
        foreach (int liar in liars) witnessed[liar].Behave = Lie;
        await log.AddAsync("two");
        await Eventually.TrueAsync(async () => await IsHeldAsync(log), "publication is held");

        // Not halted: entries are taken, heads are signed, and nothing is public.
        long before = log.Engine.Publisher.Current!.Size;
        await log.AddAsync("three");
        await Eventually.TrueAsync(() => log.Engine.Publisher.SignedSize == 3, "heads are signed");
        Assert.Equal(before, log.Engine.Publisher.Current!.Size);
        Assert.Equal(EngineState.Ready, log.Engine.State);
        Assert.False(File.Exists(Path.Combine(log.Data, "halted")));
        (HttpStatusCode status, string text) = await log.GetAsync("/readyz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Contains($"witness {(char)('a' + liars[0])} says, without proof, that it has cosigned size 999999999", text);
        Assert.DoesNotContain("127.0.0.1", text);
        (status, text) = await log.GetAsync("/healthz");
        Assert.Equal(HttpStatusCode.OK, status);
        await Eventually.TrueAsync(async () => (await log.GetAsync("/healthz")).Text.Contains("\npublication held since ", StringComparison.Ordinal), "/healthz says so");
        JsonElement held = (await StatusAsync(log)).GetProperty("held");
        Assert.Equal("publication", held.GetProperty("what").GetString());
        Assert.Contains("\ntlog_publication_held 1\n", (await log.GetAsync("/metrics")).Text);
        await log.Logged.WaitAsync(41, "999999999");
        Assert.Equal(1, log.Logged.Count(41));

        foreach (int liar in liars) witnessed[liar].Behave = witnessed[liar].HonestlyAsync;
        await log.CheckLog(3);
        await Eventually.TrueAsync(async () => (await log.GetAsync("/readyz")).Status == HttpStatusCode.OK, "readiness is back");
        await log.Logged.WaitAsync(43);
        await Eventually.TrueAsync(async () => !await IsHeldAsync(log), "/status says so");
    }

    [Fact]
    public async Task N04_publication_goes_on_while_the_others_are_no_quorum_and_the_line_of_the_liar_does_not_count()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(3, "group g 2 a b c\nquorum g\n", Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(1)).Count == 3, "all follow");
        witnessed[2].Behave = Lie;
        for (int i = 2; i <= 6; i++)
        {
            await log.AddUntilAsync($"{i}", "witnessed");
            await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(i)) is ["a", "b"], "two of three");
        }

        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/readyz")).Status);
        await log.Logged.WaitAsync(40, "999999999");
        Assert.False(log.Logged.Has(41));

        // One of the two is lost as well: the quorum is missing, and the liar's claim could be true of the two others.
        witnessed[1].Behave = StubWitness.Says(500, "");
        await log.AddAsync("more");
        await Eventually.TrueAsync(async () => (await log.GetAsync("/readyz")).Status == HttpStatusCode.ServiceUnavailable, "held");
        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await log.CheckLog(7);
        await Eventually.TrueAsync(async () => (await log.GetAsync("/readyz")).Status == HttpStatusCode.OK, "and over");
    }

    [Fact]
    public async Task N04_with_two_of_four_a_third_line_ends_the_hold()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(4, "group g 2 a b c d\nquorum g\n", Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(1)).Count == 4, "all follow");
        witnessed[2].Behave = Lie;
        await log.AddUntilAsync("two", "witnessed");
        await Eventually.TrueAsync(() => log.Engine.Publisher.Peers[2].Feed.State.Claim is not null, "c claims");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(2)) is ["a", "b", "d"], "the others follow");
        witnessed[3].Behave = StubWitness.Says(500, "");
        await log.AddAsync("three");
        await Eventually.TrueAsync(async () => (await log.GetAsync("/readyz")).Status == HttpStatusCode.ServiceUnavailable, "c and d could be a quorum");
        Assert.Equal(2, log.Engine.Publisher.Current!.Size);
        witnessed[3].Behave = witnessed[3].HonestlyAsync;
        Assert.Equal(["a", "b", "d"], witnessed.WhoCosigned(await log.CheckLog(3)));
        await Eventually.TrueAsync(async () => (await log.GetAsync("/readyz")).Status == HttpStatusCode.OK, "c alone cannot");
        Assert.Equal("contradicting", (await StatusAsync(log)).GetProperty("witnesses")[2].GetProperty("condition").GetString());
    }

    [Fact]
    public async Task N04_a_log_that_may_publish_without_its_quorum_does_not_while_another_branch_could_have_one()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g all a b\nquorum g\n", settings => Brisk(settings) with { QuorumMode = QuorumMode.Degrade, DegradeAfter = TimeSpan.FromMilliseconds(400) });
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        witnessed[0].Behave = StubWitness.Says(500, "");
        await log.AddUntilAsync("two", "published"); // degraded
        witnessed[1].Behave = Lie;
        await log.AddAsync("three");
        await Eventually.TrueAsync(async () => await IsHeldAsync(log), "both could be on another branch");
        Assert.Equal(2, log.Engine.Publisher.Current!.Size);

        // a follows: b alone is no quorum, and the log may publish without it again.
        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size == 3, "published without b");
        Assert.NotNull(log.Engine.Publisher.DegradedSince);
        Assert.Equal(["a"], witnessed.WhoCosigned(await log.CheckLog(3)));
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task N04_at_a_start_without_a_guard_that_agrees_the_word_of_one_holds_appends_and_signatures(bool guard)
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(2);
        TestLog log = witnessed.Log;
        await witnessed.ServeAsync("group g any a b\nquorum g\n", Brisk, guard: guard);
        await witnessed.ReadyAsync();
        await log.AddUntilAsync("one", "witnessed");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(1)).Count == 2, "both follow");

        // a answers at once, b a moment later: the fast answer does not decide.
        TaskCompletionSource later = new();
        witnessed[1].Behave = async (context, body) =>
        {
            await later.Task;
            await Lie(context, body);
        };
        await witnessed.RestartAsync(setup => setup with { Settings = settings => settings with { WitnessTimeout = TimeSpan.FromSeconds(60), WitnessTotalTimeout = TimeSpan.FromSeconds(300), WaitLimit = TimeSpan.FromSeconds(1) } });
        if (guard)
        {
            // The guard has vouched: entries are taken, and no more than publication is held.
            later.SetResult();
            await Eventually.TrueAsync(async () => await IsHeldAsync(log), "publication is held");
            Assert.Equal(1, await log.AddAsync("two"));
            Assert.Equal("publication", (await StatusAsync(log)).GetProperty("held").GetProperty("what").GetString());
        }
        else
        {
            await Eventually.TrueAsync(() => witnessed[0].Requests.Count > 0 && log.Engine.Publisher.Peers[0].Feed.State.CosignedSize == 1, "a has answered");
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [2])).Status);
            later.SetResult();
            await Eventually.TrueAsync(async () => await IsHeldAsync(log), "all is held");
            Assert.Equal("appends", (await StatusAsync(log)).GetProperty("held").GetProperty("what").GetString());
            Assert.Equal(EngineState.Starting, log.Engine.State);
            (HttpStatusCode status, string text) = await log.PostAsync("/add", [2]);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
            Assert.Contains("witness b says, without proof, that it has cosigned size 999999999", text);
            Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/readyz")).Status);
            await log.Logged.WaitAsync(42, "--distrust NAME");
            Assert.Equal((1L, 1L), (log.Engine.Publisher.SignedSize, log.Engine.Size));
        }

        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await witnessed.ReadyAsync();
        await log.AddUntilAsync("three", "witnessed");
        await log.CheckLog(log.Engine.Size);
        Assert.False(File.Exists(Path.Combine(log.Data, "halted")));
    }

    [Fact]
    public async Task N04_a_required_witness_that_was_out_of_reach_at_the_start_still_holds_what_its_claim_could_be_true_of()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g any a b\nquorum g\n", Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        witnessed[1].Behave = StubWitness.Says(500, "");
        await witnessed.RestartAsync();
        await witnessed.ReadyAsync();
        await log.AddUntilAsync("two", "witnessed");
        witnessed[1].Behave = Lie;
        await Eventually.TrueAsync(async () => (await log.PostAsync("/add", [3])).Status == HttpStatusCode.ServiceUnavailable, "no entries are taken");
        long signed = log.Engine.Publisher.SignedSize;
        Assert.Equal("appends", (await StatusAsync(log)).GetProperty("held").GetProperty("what").GetString());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/readyz")).Status);
        Assert.Equal(EngineState.Ready, log.Engine.State);
        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await Eventually.TrueAsync(async () => (await log.GetAsync("/readyz")).Status == HttpStatusCode.OK, "it is over");
        Assert.InRange(log.Engine.Publisher.SignedSize, signed, log.Engine.Size);
        await log.CheckLog(log.Engine.Size);
    }

    [Theory]
    [InlineData(1, "quorum a\n")]
    [InlineData(2, "group g all a b\nquorum g\n")]
    public async Task N04_so_many_at_the_first_contact_that_no_quorum_is_left_hold_the_log_and_the_operator_may_distrust_them(int count, string quorum)
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(count, quorum, Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        witnessed[count - 1].Behave = Lie;
        await witnessed.RestartAsync();
        await Eventually.TrueAsync(async () => await IsHeldAsync(log), "held");
        Assert.Equal("appends", (await StatusAsync(log)).GetProperty("held").GetProperty("what").GetString());
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [3])).Status);
        Assert.False(log.Engine.HasStopped);
        Assert.False(File.Exists(Path.Combine(log.Data, "halted")));
        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        await log.StopAsync();

        string name = $"{(char)('a' + count - 1)}";
        Assert.Equal(0, await ResumeCommand.RunAsync(log.Data, null, "their store is broken", name, null, TestLog.Journal));
        await witnessed.RestartAsync();
        await log.Logged.WaitAsync(46, "their store is broken");
        await Eventually.TrueAsync(() => log.Engine.Publisher.Peers[count - 1].Feed.State.Claim is not null, "it says so again");
        Assert.False(log.Engine.HasStopped);
        Assert.False(await IsHeldAsync(log));
        Assert.True((await StatusAsync(log)).GetProperty("witnesses")[count - 1].GetProperty("distrusted").GetBoolean());
    }

    [Fact]
    public async Task N04_distrust_outlives_restarts_is_recorded_and_ends_with_trust()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g any a b\nquorum g\n", Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        witnessed[1].Behave = Lie;
        await witnessed.RestartAsync();
        await Eventually.TrueAsync(async () => await IsHeldAsync(log), "held");
        await log.StopAsync();
        Assert.Equal(0, await ResumeCommand.RunAsync(log.Data, null, "it lies", "b", null, TestLog.Journal));
        Assert.Contains("distrusted: witness b: it lies", Reasons(log));
        for (int i = 2; i <= 3; i++)
        {
            await witnessed.RestartAsync();
            await witnessed.ReadyAsync();
            await log.AddUntilAsync($"{i}", "witnessed");
            await Eventually.TrueAsync(() => log.Engine.Publisher.Peers[1].Feed.State.Claim is not null, "b says so still");
            await log.CheckLog(i);
            Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/readyz")).Status);
            Assert.Equal(("contradicting", true), (await StatusAsync(log)).GetProperty("witnesses")[1] is JsonElement b ? (b.GetProperty("condition").GetString(), b.GetProperty("distrusted").GetBoolean()) : default);
        }

        // What it can prove still halts; what is not in the list cannot be taken off it.
        await log.StopAsync();
        await Assert.ThrowsAsync<ConfigurationException>(() => ResumeCommand.RunAsync(log.Data, null, "x", null, "a", TestLog.Journal));
        await Assert.ThrowsAsync<ConfigurationException>(() => ResumeCommand.RunAsync(log.Data, null, "x", "two words", null, TestLog.Journal));
        await Assert.ThrowsAsync<StorageException>(() => ResumeCommand.RunAsync(log.Data, null, "not halted", null, null, TestLog.Journal));
        Assert.Equal(0, await ResumeCommand.RunAsync(log.Data, null, "it was repaired", null, "b", TestLog.Journal));
        Assert.Contains("trusted again: witness b: it was repaired", Reasons(log));
        Assert.False(File.Exists(Path.Combine(log.Data, DistrustedWitnesses.FileName)));
        await witnessed.RestartAsync();
        await Eventually.TrueAsync(async () => await IsHeldAsync(log), "held again");
    }

    [Fact]
    public async Task N04_a_distrusted_witness_that_proves_its_word_halts_the_log()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g any a b\nquorum g\n", Brisk);
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        await log.StopAsync();
        Assert.Equal(0, await ResumeCommand.RunAsync(log.Data, null, "it lies", "b", null, TestLog.Journal));
        witnessed[1].Shows = Sign(log, 12, MerkleHash.Leaf("another tree"u8));
        witnessed[1].Behave = StubWitness.Says(409, "12\n");
        await witnessed.RestartAsync();
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Halted, "the log halts");
        await log.Logged.WaitAsync(6, "bears this log's signature");
    }

    [Fact]
    public async Task N04_an_older_checkpoint_or_a_newer_one_of_our_own_proves_nothing()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n", settings => settings with { WitnessTimeout = TimeSpan.FromSeconds(60), WitnessTotalTimeout = TimeSpan.FromSeconds(300) });
        TestLog log = witnessed.Log;
        await log.AddAsync("one", "published");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await log.CheckLog(1)) is ["a", "b"], "both follow");
        ReadOnlyMemory<byte> older = witnessed[0].Requests[^1].Checkpoint;

        // b waits until the log has gone on, and shows the newest checkpoint, which everybody can have: larger than the one that it was asked about, and ours.
        TaskCompletionSource asked = new(), later = new();
        witnessed[1].Behave = async (context, body) =>
        {
            asked.TrySetResult();
            await later.Task;
            await Lie(context, body);
        };
        await log.AddAsync("two", "published");
        await asked.Task;
        await log.AddAsync("three", "published");
        witnessed[1].Shows = witnessed[0].Requests[^1].Checkpoint;
        later.SetResult();
        await log.Logged.WaitAsync(40, "999999999");
        await log.AddAsync("four", "published");
        Assert.Equal(EngineState.Ready, log.Engine.State);

        foreach (ReadOnlyMemory<byte> shown in (ReadOnlyMemory<byte>[])[older, "nonsense"u8.ToArray(), Foreign()])
        {
            int before = witnessed[1].RequestCount;
            witnessed[1].Shows = shown;
            await Eventually.TrueAsync(() => witnessed[1].RequestCount >= before + 2, "asked again, and compared");
            Assert.Equal(EngineState.Ready, log.Engine.State);
        }

        await log.CheckLog(4);

        static byte[] Foreign()
        {
            NoteSigner foreign = new(TestLog.Origin, Ed25519PrivateKey.Generate());
            byte[] text = new Checkpoint(TestLog.Origin, 999_999_999, MerkleHash.Leaf("another tree"u8)).ToText();
            return new Note(text, [foreign.Sign(text)]).ToBytes();
        }
    }

    [Theory]
    [InlineData(409, 7, "inconsistent")]
    [InlineData(409, 1000, "unproven")]
    [InlineData(422, 1000, "unproven")]
    public async Task N04_a_checkpoint_with_our_signature_that_we_did_not_make_halts_the_log_also_from_an_optional_witness(int status, int size, string kind)
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n");
        TestLog log = witnessed.Log;
        await log.AddBatchAsync([.. Enumerable.Range(0, 9).Select(i => BitConverter.GetBytes(i))]);
        await log.CheckLog(9);
        witnessed[1].Shows = Sign(log, size, MerkleHash.Leaf("another tree"u8));
        witnessed[1].Behave = StubWitness.Says(status, status == 409 ? "1000\n" : "no\n");
        await log.AddAsync("one more");
        await log.HaltedAsync();
        string name = Path.GetFileName(Assert.Single(Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name), "*.tlog-evidence")));
        Assert.Contains($"-{kind}-", name);
    }

    [Fact]
    public async Task N04_with_quorum_none_the_start_says_what_would_stop_a_second_copy()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        witnessed[0].Behave = Lie;
        await witnessed.ServeAsync("quorum none\n");
        await witnessed.Log.Logged.WaitAsync(47, "checkpoint with this log's signature");
        Assert.Equal(0, await witnessed.Log.AddAsync("one", "published"));
        await witnessed.Log.Logged.WaitAsync(40, "999999999");
        Assert.Equal(HttpStatusCode.OK, (await witnessed.Log.GetAsync("/readyz")).Status);
    }

    [Fact]
    public void N04_the_hold_is_logged_once_a_minute_however_often_it_goes_on()
    {
        FakeTime time = new();
        RecordedLog logged = new();
        HoldAlarm alarm = new(time, logged);
        for (int i = 0; i < 600; i++)
        {
            alarm.Raise(i % 2 == 0 ? Hold.Publication : Hold.Signing, "because");
            Assert.NotNull(alarm.State);
            time.Advance(TimeSpan.FromSeconds(0.5));
            alarm.Clear();
            Assert.Null(alarm.State);
            time.Advance(TimeSpan.FromSeconds(0.5));
        }

        Assert.Equal((10, 10), (logged.Count(41) + logged.Count(42), logged.Count(43)));
        alarm.Raise(Hold.Publication, "because");
        DateTimeOffset since = alarm.State!.Since;
        for (int i = 0; i < 600; i++)
        {
            time.Advance(TimeSpan.FromSeconds(1));
            if (alarm.RemindAt <= time.GetTimestamp()) alarm.Raise(Hold.Publication, "because");
        }

        Assert.Equal(21, logged.Count(41) + logged.Count(42));
        Assert.Equal(since, alarm.State!.Since);
    }

    private static string Reasons(TestLog log) => string.Join('\n', File.ReadAllText(Path.Combine(log.Data, "heads")).TrimEnd('\0', '\n').Split('\n')
        .Select(line => System.Text.Encoding.UTF8.GetString(Convert.FromBase64String(line.Split(' ')[3]))));
}
