using System.Diagnostics;
using System.Net;
using System.Text;
using TransparencyLog.Server;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

public sealed class WitnessQuorumTests
{
    [Fact]
    public async Task G01_G02_a_quorum_of_2_is_met_beside_one_that_hangs_and_one_that_is_dead()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(4);
        TestLog log = witnessed.Log;
        witnessed[2].Behave = StubWitness.HangAsync;
        string dead = $"witness dead {witnessed[3].Cosigners[0].Key} http://127.0.0.1:1/\n";
        string policy = $"{witnessed[0].PolicyLines("a")}{witnessed[1].PolicyLines("b")}{witnessed[2].PolicyLines("hangs")}{dead}group g 2 a b hangs dead\nquorum g\n";
        await log.ServeAsync(new LogSetup { Policy = policy, Settings = settings => settings with { WitnessTimeout = TimeSpan.FromMinutes(1), WitnessTotalTimeout = TimeSpan.FromMinutes(1) } });
        await witnessed.ReadyAsync();

        Stopwatch watch = Stopwatch.StartNew();
        for (int i = 0; i < 20; i++) Assert.Equal(i, await log.AddAsync($"entry {i}"));
        Assert.Equal(20, await log.AddAsync("witnessed", "witnessed"));
        Assert.True(watch.Elapsed < TimeSpan.FromSeconds(30), "nobody waited for the one that hangs");
        byte[] checkpoint = await log.CheckLog(21);
        Assert.Equal(["a", "b"], witnessed.WhoCosigned(checkpoint));
        await log.Logged.WaitAsync(4, "127.0.0.1:1");
    }

    [Fact]
    public async Task G01_below_the_quorum_entries_are_durable_and_nothing_is_published()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g all a b\nquorum g\n", settings => settings with { WaitLimit = TimeSpan.FromMilliseconds(300) });
        TestLog log = witnessed.Log;
        await log.AddUntilAsync("one", "witnessed");
        await log.CheckLog(1);

        witnessed[1].Behave = StubWitness.Says(500, "");
        Assert.Equal(1, await log.AddAsync("two"));
        (HttpStatusCode status, string text) = await log.PostAsync("/add?wait=published", "two"u8.ToArray());
        Assert.Equal((HttpStatusCode.Accepted, "1"), (status, text));
        (status, text) = await log.PostAsync("/add?wait=witnessed", "three"u8.ToArray());
        Assert.Equal((HttpStatusCode.Accepted, "2"), (status, text));
        await log.CheckLog(1);
        Assert.Equal(HttpStatusCode.NotFound, await log.Check.StatusAsync("/entry/1"));
        Assert.Equal(HttpStatusCode.OK, await log.Check.StatusAsync("/readyz"));

        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await log.CheckLog(3);
    }

    [Fact]
    public async Task L06_L07_tiles_that_are_stored_and_not_published_are_404()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        await log.AddAsync("one", "published");
        witnessed[0].Behave = StubWitness.Says(500, "");
        await log.AddBatchAsync([.. Enumerable.Range(0, 600).Select(i => BitConverter.GetBytes(i))]);
        await Eventually.TrueAsync(() => log.Engine.Publisher.SignedSize == 601, "all of it is sealed and signed");
        string[] beyond = ["/tile/0/000", "/tile/0/000.p/2", "/tile/0/001", "/tile/0/002.p/89", "/tile/1/000.p/1", "/tile/entries/000", "/tile/entries/000.p/2", "/entry/1"];
        foreach (string path in beyond) Assert.Equal(HttpStatusCode.NotFound, await log.Check.StatusAsync(path));
        Assert.Equal(HttpStatusCode.BadRequest, await log.Check.StatusAsync("/proof/inclusion?index=1"));
        Assert.Equal(HttpStatusCode.BadRequest, await log.Check.StatusAsync("/proof/consistency?from=1&to=601"));
        await log.CheckLog(1);
        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        await log.CheckLog(601);
        foreach (string path in beyond) Assert.Equal(HttpStatusCode.OK, await log.Check.StatusAsync(path));
    }

    [Fact]
    public async Task A_witnessed_proof_verifies_under_the_policy()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(3, "group g 2 a b c\nquorum g\n");
        byte[] entry = "entry"u8.ToArray();
        using HttpResponseMessage answer = await witnessed.Log.Http.PostAsync("/add?wait=witnessed", new ByteArrayContent(entry));
        TlogProof proof = TestLog.ParseProof(await answer.Content.ReadAsStringAsync());
        Assert.True(Policy.TryParse(Encoding.UTF8.GetBytes($"log {witnessed.Log.Key}\n{witnessed.Policy}"), out Policy? policy, out string error), error);
        Assert.True(Note.TryParse(proof.Checkpoint.Span, out Note? note));
        PolicyVerdict verdict = policy!.Verify(note!, Verifiers.TryCreate);
        Assert.Equal(PolicyFailure.None, verdict.Failure);
        Assert.True(MerkleProof.VerifyInclusion(new Hash(Rfc6962.Leaf(entry)), proof.Index, verdict.Checkpoint!.Size, [.. proof.Hashes], verdict.Checkpoint.Root));
    }

    [Fact]
    public async Task G12_a_late_cosignature_joins_the_public_checkpoint()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(2);
        TaskCompletionSource later = new();
        witnessed[1].Behave = async (context, body) =>
        {
            await later.Task;
            await witnessed[1].HonestlyAsync(context, body);
        };
        await witnessed.ServeAsync("group g 1 a b\nquorum g\n", settings => settings with { WitnessTimeout = TimeSpan.FromSeconds(20) });
        await witnessed.ReadyAsync();
        Assert.Equal(["a"], witnessed.WhoCosigned(await witnessed.Log.CheckLog(0)));
        later.SetResult();
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await witnessed.Log.CheckLog(0)).Count == 2, "the late line is public");
    }

    [Fact]
    public async Task With_quorum_none_witnesses_are_asked_all_the_same_and_nobody_waits_for_them()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        TaskCompletionSource later = new();
        witnessed[0].Behave = async (context, body) =>
        {
            await later.Task;
            await witnessed[0].HonestlyAsync(context, body);
        };
        await witnessed.ServeAsync("quorum none\n", settings => settings with { WitnessTimeout = TimeSpan.FromSeconds(20) });
        Assert.Equal(0, await witnessed.Log.AddAsync("one", "published"));
        Assert.Equal(HttpStatusCode.BadRequest, (await witnessed.Log.PostAsync("/add?wait=witnessed", [1])).Status);
        Assert.Empty(witnessed.WhoCosigned(await witnessed.Log.CheckLog(1)));
        later.SetResult();
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await witnessed.Log.CheckLog(1)).Count == 1, "its line joins");

        // After a restart the lines that were public stay so.
        witnessed[0].Behave = StubWitness.HangAsync;
        await witnessed.RestartAsync();
        Assert.Equal(["a"], witnessed.WhoCosigned(await witnessed.Log.CheckLog(1)));
    }

    [Fact]
    public async Task Two_keys_at_one_prefix_are_asked_with_one_request_and_both_lines_are_public()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1, keys: 2);
        await witnessed.ServeAsync("group g all a a-1\nquorum g\n");
        await witnessed.ReadyAsync();
        Assert.Equal(["a", "a-1"], witnessed.WhoCosigned(await witnessed.Log.CheckLog(0)));
        Assert.Equal(1, witnessed[0].RequestCount);
    }

    [Fact]
    public async Task Cosignatures_are_renewed_while_nothing_is_appended()
    {
        FakeTime time = new();
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        await witnessed.ServeAsync("quorum a\n", time: time);
        await witnessed.ReadyAsync();
        byte[] before = await witnessed.Log.CheckLog(0);
        for (int round = 1; round <= 3; round++)
        {
            await Eventually.TrueAsync(() => time.Waiting > 0, "the renewal waits for its time");
            time.Advance(new Settings { Data = "" }.RenewInterval);
            await Eventually.TrueAsync(() => witnessed[0].RequestCount == 1 + round, "the witness is asked again");
            await Eventually.TrueAsync(async () => !(await witnessed.Log.CheckLog(0)).AsSpan().SequenceEqual(before), "a newer line is public");
            AddCheckpointRequest request = witnessed[0].Requests[^1];
            Assert.Equal((0L, 0), (request.OldSize, request.Proof.Count));
            byte[] after = await witnessed.Log.CheckLog(0);
            Assert.Equal(LinesOf(before)[..5], LinesOf(after)[..5]);
            before = after;
        }
    }

    private static string[] LinesOf(byte[] note) => Encoding.UTF8.GetString(note).Split('\n');
}
