using System.Net;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

public sealed class StartTests
{
    [Fact]
    public async Task With_a_quorum_to_meet_nothing_is_appended_or_signed_until_it_has_answered()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        TestLog log = witnessed.Log;
        await AppendToJournalAsync(log, 3);
        witnessed[0].Behave = StubWitness.Says(500, "");
        await witnessed.ServeAsync("quorum a\n");
        await Eventually.TrueAsync(() => witnessed[0].RequestCount > 0, "the witness is asked");

        (HttpStatusCode status, string text) = await log.PostAsync("/add", [1]);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Contains("starting", text);
        using (HttpResponseMessage answer = await log.Http.GetAsync("/readyz"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.NotEmpty(answer.Headers.GetValues("Retry-After"));
        }

        using (HttpResponseMessage answer = await log.Http.GetAsync("/checkpoint"))
        {
            Assert.Equal(HttpStatusCode.ServiceUnavailable, answer.StatusCode);
            Assert.NotEmpty(answer.Headers.GetValues("Retry-After"));
        }

        Assert.Equal(HttpStatusCode.OK, await log.Check.StatusAsync("/healthz"));
        Assert.Equal(HttpStatusCode.NotFound, await log.Check.StatusAsync("/entry/0"));
        Assert.Equal(HttpStatusCode.BadRequest, await log.Check.StatusAsync("/proof/inclusion?index=0"));

        // The empty tree is all that was signed: nothing can contradict it, and without a signature no witness can be asked.
        Assert.Equal((0L, 3L), (log.Engine.Publisher.SignedSize, log.Engine.Size));
        Assert.All(witnessed[0].Requests, request => Assert.Contains("\n0\n", System.Text.Encoding.UTF8.GetString(request.Checkpoint.Span)));

        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        await witnessed.ReadyAsync();
        await log.CheckLog(3);
        Assert.Equal(3, await log.AddAsync("four", "witnessed"));
        await log.CheckLog(4);
        Assert.Equal(HttpStatusCode.OK, await log.Check.StatusAsync("/readyz"));
    }

    [Fact]
    public async Task D11_a_restart_offers_the_very_checkpoint_that_was_signed_before_it_signs_another()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        witnessed[0].Behave = StubWitness.Says(500, "");
        await log.AddAsync("signed, not published");
        await Eventually.TrueAsync(() => log.Engine.Publisher.SignedSize == 1, "size 1 is signed");
        await log.AddAsync("durable, not signed");
        await log.CheckLog(0);
        byte[] signed = witnessed[0].Requests[^1].Checkpoint.ToArray();

        witnessed[0].Behave = StubWitness.Says(500, "");
        await witnessed.RestartAsync();
        int before = witnessed[0].RequestCount;
        await log.CheckLog(0);
        await Eventually.TrueAsync(() => witnessed[0].RequestCount > before, "the witness is asked again");
        Assert.Equal(signed, witnessed[0].Requests[^1].Checkpoint.ToArray());
        Assert.Equal(1, log.Engine.Publisher.SignedSize);

        witnessed[0].Behave = witnessed[0].HonestlyAsync;
        await log.CheckLog(2);
        Assert.Equal(signed, witnessed[0].Requests.Select(request => request.Checkpoint.ToArray()).First(bytes => log.Check.Open(bytes).Size == 1));
    }

    [Fact]
    public async Task D11_without_witnesses_a_restart_publishes_the_same_bytes()
    {
        await using TestLog log = await TestLog.StartAsync();
        for (int i = 0; i < 3; i++) await log.AddAsync($"{i}");
        byte[] before = await log.CheckLog(3);
        await log.RestartAsync();
        Assert.Equal(before, await log.CheckLog(3));
    }

    [Fact]
    public async Task D16_what_the_journal_holds_beyond_the_signed_head_is_signed_after_a_restart()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddAsync("one");
        await log.CheckLog(1);
        await log.StopAsync();
        await AppendToJournalAsync(log, 300);
        await log.ServeAsync(new LogSetup());
        await log.CheckLog(301);
    }

    [Fact]
    public async Task G11_a_restart_submits_the_same_size_without_proof_and_gets_fresh_cosignatures()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        await witnessed.Log.AddAsync("one", "published");
        byte[] before = await witnessed.Log.CheckLog(1);
        int asked = witnessed[0].RequestCount;
        await witnessed.RestartAsync();
        await witnessed.ReadyAsync();
        byte[] after = await witnessed.Log.CheckLog(1);
        AddCheckpointRequest request = Assert.Single(witnessed[0].Requests.Skip(asked));
        Assert.Equal((1L, 0), (request.OldSize, request.Proof.Count));
        Assert.NotEqual(before, after);
        Assert.Equal(["a"], witnessed.WhoCosigned(after));
    }

    [Fact]
    public async Task While_the_witnesses_are_asked_again_readers_see_what_was_public()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        await witnessed.Log.AddAsync("one", "published");
        byte[] before = await witnessed.Log.CheckLog(1);
        witnessed[0].Behave = StubWitness.HangAsync;
        await witnessed.RestartAsync();
        Assert.Equal(EngineState.Starting, witnessed.Log.Engine.State);
        Assert.Equal(before, await witnessed.Log.CheckLog(1));
    }

    [Fact]
    public async Task The_copy_of_what_was_public_is_believed_no_more_than_a_stranger()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        await witnessed.Log.AddAsync("one", "published");
        byte[] good = await witnessed.Log.CheckLog(1);
        witnessed[0].Behave = StubWitness.HangAsync;
        string path = Path.Combine(witnessed.Log.Data, "published");
        byte[] flipped = [.. good];
        flipped[^20] ^= 1;
        foreach (byte[] bad in (byte[][])[flipped, [], good[..^1], new byte[2 * 1024 * 1024], [.. witnessed[0].Requests[^1].Checkpoint.Span]])
        {
            await witnessed.Log.StopAsync();
            await File.WriteAllBytesAsync(path, bad);
            await witnessed.RestartAsync();
            Assert.Equal(HttpStatusCode.ServiceUnavailable, await witnessed.Log.Check.StatusAsync("/checkpoint"));
        }
    }

    [Fact]
    public async Task An_agreeing_guard_opens_the_log_at_once()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        await witnessed.ServeAsync("quorum a\n", guard: true);
        await witnessed.ReadyAsync();
        await witnessed.Log.AddAsync("one", "published");
        witnessed[0].Behave = StubWitness.HangAsync;
        await witnessed.RestartAsync();
        Assert.Equal(EngineState.Ready, witnessed.Log.Engine.State);
        Assert.Equal(1, await witnessed.Log.AddAsync("two"));
        await witnessed.Log.CheckLog(1);
    }

    [Fact]
    public async Task R01_a_guard_that_is_ahead_refuses_the_start()
    {
        await using TestLog log = TestLog.Create();
        LogSetup guarded = new() { Guard = true };
        await log.ServeAsync(guarded);
        await log.AddAsync("one", "published");
        await log.StopAsync();
        string older = Path.Combine(log.Root, "older");
        CopyDirectory(log.Data, older);
        await log.ServeAsync(guarded);
        await log.AddAsync("two", "published");
        await log.StopAsync();
        Directory.Delete(log.Data, recursive: true);
        Directory.Move(older, log.Data);
        StorageException refusal = await Assert.ThrowsAnyAsync<StorageException>(() => log.ServeAsync(guarded));
        Assert.Contains("size 2", refusal.Message);
        Assert.Contains("size 1", refusal.Message);
    }

    [Fact]
    public async Task R02_a_witness_that_is_ahead_at_the_start_holds_the_log()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        TestLog log = witnessed.Log;
        await witnessed.ServeAsync("quorum a\n");
        await witnessed.ReadyAsync();
        await log.AddAsync("one", "published");
        await log.StopAsync();
        string older = Path.Combine(log.Root, "older");
        CopyDirectory(log.Data, older);
        await witnessed.RestartAsync();
        await witnessed.ReadyAsync();
        await log.AddAsync("two", "published");
        await log.StopAsync();
        Directory.Delete(log.Data, recursive: true);
        Directory.Move(older, log.Data);

        await witnessed.RestartAsync();
        await Eventually.TrueAsync(async () => (await log.GetAsync("/status")).Text.Contains("\"held\"", StringComparison.Ordinal) && log.Engine.Publisher.Peers[0].Feed.State.Claim is not null, "the log is held");
        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", [1])).Status);
        Assert.Equal(2, witnessed[0].Honest.Size);
    }

    [Fact]
    public async Task O01_another_key_or_another_origin_is_refused()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.StopAsync();
        string key = Path.Combine(log.Data, "key.pem"), identity = Path.Combine(log.Data, "log");
        byte[] keyBytes = await File.ReadAllBytesAsync(key), identityBytes = await File.ReadAllBytesAsync(identity);
        File.Delete(key);
        TransparencyLog.Signing.KeyFile.Create(key, TestLog.Origin, VerifierKey.Ed25519, TransparencyLog.Signing.Ed25519PrivateKey.Generate());
        Assert.Contains("another key", (await Assert.ThrowsAnyAsync<StorageException>(() => log.ServeAsync(new LogSetup()))).Message);

        await File.WriteAllBytesAsync(key, keyBytes);
        string text = System.Text.Encoding.UTF8.GetString(identityBytes);
        await File.WriteAllTextAsync(identity, text.Replace("origin " + TestLog.Origin, "origin example.com/other"));
        await Assert.ThrowsAnyAsync<Exception>(() => log.ServeAsync(new LogSetup()));

        await File.WriteAllBytesAsync(identity, identityBytes);
        await log.ServeAsync(new LogSetup());
        await log.CheckLog(0);
    }

    /// <summary>What a crash between a frame and the signature leaves: entries in the journal that no head covers.</summary>
    private static async Task AppendToJournalAsync(TestLog log, int count)
    {
        await using Journal journal = Journal.Open(Path.Combine(log.Data, "journal"), TestLog.Journal, long.MaxValue);
        JournalFrame frame = new();
        for (int i = 0; i < count; i++) Assert.True(frame.TryAdd(System.Text.Encoding.UTF8.GetBytes($"journalled {i}")));
        await journal.AppendAsync(frame, CancellationToken.None);
    }

    internal static void CopyDirectory(string from, string to)
    {
        Directory.CreateDirectory(to);
        foreach (string file in Directory.GetFiles(from)) File.Copy(file, Path.Combine(to, Path.GetFileName(file)));
        foreach (string folder in Directory.GetDirectories(from)) CopyDirectory(folder, Path.Combine(to, Path.GetFileName(folder)));
    }
}
