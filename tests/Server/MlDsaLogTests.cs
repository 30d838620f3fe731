using System.Net;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>A log with an ML-DSA-44 key beside its Ed25519 key.</summary>
public sealed class MlDsaLogTests
{
    [Fact]
    public async Task CP11_every_checkpoint_has_an_Ed25519_line_and_then_an_ML_DSA_44_line()
    {
        await using TestLog log = await TestLog.StartAsync(new LogSetup { MlDsa = true });
        List<byte[]> seen = [];
        for (int size = 0; size <= 3; size++)
        {
            if (size > 0) await log.AddAsync($"entry {size}", "published");
            seen.Add(await log.CheckLog(size));
            CheckLines(log, seen[^1], size);
        }

        // A start signs nothing anew: what is public is what was signed, byte for byte.
        await log.RestartAsync();
        Assert.Equal(seen[^1], await log.CheckLog(3));
        await log.AddAsync("more", "published");
        CheckLines(log, await log.CheckLog(4), 4);
        Assert.All(new[] { log.Key, log.MlDsaKey! }, key => Assert.Contains(WebUtility.HtmlEncode(key.ToString()), log.GetAsync("/").Result.Text, StringComparison.Ordinal));

        await log.StopAsync();
        DirectoryReport report = await DirectoryCheck.RunAsync(log.Data, Verifiers.TryCreate, new CheckOptions { Journal = TestLog.Journal });
        Assert.Equal((4, 0), (report.Head!.Size, report.Notes.Count));
    }

    [Fact]
    public async Task CP11_a_second_signature_that_cannot_be_made_stops_the_log_and_the_first_does_not_leave_alone()
    {
        BreakingCosigner? cosigner = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { MlDsa = true, Replace = parts => parts with { Cosigner = cosigner = new BreakingCosigner(parts.Cosigner!) } });
        await log.AddAsync("one", "published");
        byte[] checkpoint = await log.CheckLog(1);
        cosigner!.Broken = true;
        Assert.Equal(1, await log.AddAsync("two"));
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Failed, "the engine stops");
        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        Assert.Equal(checkpoint, await log.CheckLog(1));
        await log.RestartAsync();
        CheckLines(log, await log.CheckLog(2), 2);
    }

    [Fact]
    public async Task N03_a_clock_that_goes_back_while_the_log_runs_holds_its_statements_until_it_is_back()
    {
        ShiftedClock clock = new();
        await using TestLog log = await TestLog.StartAsync(new LogSetup { MlDsa = true, Time = clock });
        ulong before = CheckLines(log, await log.CheckLog(0), 0);
        clock.Shift = TimeSpan.FromHours(1);
        await log.AddAsync("one", "published");
        ulong ahead = CheckLines(log, await log.CheckLog(1), 1);
        Assert.InRange(ahead, before + 3600, before + 3660);

        // Entries are taken, and nothing is signed.
        clock.Shift = TimeSpan.Zero;
        Assert.Equal(1, await log.AddAsync("two"));
        await CheckTroubleAsync(log, "behind", until: ahead);
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/healthz")).Status);
        Assert.Equal(1, log.Engine.Publisher.SignedSize);

        clock.Shift = TimeSpan.FromHours(1);
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size == 2, "what was held is published");
        Assert.InRange(CheckLines(log, await log.CheckLog(2), 2), ahead, before + 3720);
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/readyz")).Status);
    }

    [Fact]
    public async Task N03_a_clock_behind_the_newest_stamp_at_a_start_is_noticed_and_an_operator_can_accept_it_once()
    {
        ShiftedClock clock = new() { Shift = TimeSpan.FromDays(20) };
        LogSetup setup = new() { MlDsa = true, Time = clock };
        await using TestLog log = await TestLog.StartAsync(setup);
        await log.AddAsync("one", "published");
        ulong ahead = CheckLines(log, await log.CheckLog(1), 1);
        await log.StopAsync();

        clock.Shift = TimeSpan.Zero;
        await log.ServeAsync(setup);
        await log.AddAsync("two");
        await CheckTroubleAsync(log, "behind", until: ahead);
        await log.StopAsync();
        Assert.StartsWith("accepted", await ClockCommand.AcceptAsync(log.Data, null, "the clock was ahead", clock, TestLog.Journal), StringComparison.Ordinal);
        ClockAcceptance kept = Assert.Single(ClockAcceptances.Read(log.Data));
        Assert.Equal(("the clock was ahead", ahead), (kept.Reason, Assert.Single(kept.Permissions).Stamp));
        Assert.Contains(Convert.ToBase64String("clock accepted: the clock was ahead"u8), Encoding.ASCII.GetString(await File.ReadAllBytesAsync(Path.Combine(log.Data, "heads"))), StringComparison.Ordinal);

        await log.ServeAsync(setup);
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size == 2, "what was held is published");
        ulong back = CheckLines(log, await log.CheckLog(2), 2);
        Assert.InRange(back, ahead - (21 * 86_400), ahead - (19 * 86_400));
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/readyz")).Status);

        // Once: the head that was signed with it has another note.
        await log.StopAsync();
        clock.Shift = TimeSpan.FromHours(-1);
        await log.ServeAsync(setup);
        await log.AddAsync("three");
        await CheckTroubleAsync(log, "behind", until: back);
        Assert.Equal(2, log.Engine.Publisher.SignedSize);
        await log.StopAsync();
        DirectoryReport report = await DirectoryCheck.RunAsync(log.Data, Verifiers.TryCreate, new CheckOptions { Journal = TestLog.Journal });
        Assert.Equal((2, 0), (report.Head!.Size, report.Notes.Count));
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public async Task N03_a_clock_a_year_ahead_at_a_start_signs_nothing_where_the_log_states_a_time(bool mlDsa)
    {
        ShiftedClock clock = new();
        LogSetup setup = new() { MlDsa = mlDsa, Time = clock };
        await using TestLog log = await TestLog.StartAsync(setup);
        await log.AddAsync("one", "published");
        DateTimeOffset known = Heartbeat.Read(log.Data)!.Value;
        await log.StopAsync();

        clock.Shift = TimeSpan.FromDays(366);
        await log.ServeAsync(setup);
        if (!mlDsa)
        {
            // It states no time, says so once, and goes on.
            await log.AddAsync("two", "published");
            Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/readyz")).Status);
            Assert.InRange(Heartbeat.Read(log.Data)!.Value, known.AddDays(365), known.AddDays(367));
            return;
        }

        await log.AddAsync("two");
        await CheckTroubleAsync(log, "ahead", until: null);
        Assert.Equal(known, Heartbeat.Read(log.Data)!.Value);
        await log.StopAsync();
        await Assert.ThrowsAsync<ConfigurationException>(() => ClockCommand.AcceptAsync(log.Data, null, "", clock, TestLog.Journal));
        await ClockCommand.AcceptAsync(log.Data, null, "it was in a box for a year", clock, TestLog.Journal);
        await Assert.ThrowsAsync<StorageException>(() => ClockCommand.AcceptAsync(log.Data, null, "again", new ShiftedClock(), TestLog.Journal));
        await log.ServeAsync(setup);
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size == 2, "what was held is published");
        CheckLines(log, await log.CheckLog(2), 2);
    }

    [Fact]
    public async Task N03_a_new_log_whose_clock_is_ahead_signs_its_first_checkpoint_when_the_clock_is_right()
    {
        ShiftedClock clock = new() { Shift = TimeSpan.FromDays(366) };
        await using TestLog log = TestLog.Create(mlDsa: true);
        SigningClock.Begin(log.Data, TimeProvider.System);
        await log.ServeAsync(new LogSetup { MlDsa = true, Time = clock });
        await CheckTroubleAsync(log, "ahead", until: null);
        Assert.Null(log.Engine.Publisher.Current);
        clock.Shift = TimeSpan.Zero;
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current is not null, "the empty tree is signed");
        CheckLines(log, await log.CheckLog(0), 0);
    }

    private static async Task CheckTroubleAsync(TestLog log, string state, ulong? until)
    {
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/readyz")).Status);
        using JsonDocument status = JsonDocument.Parse((await log.GetAsync("/status")).Text);
        JsonElement clock = status.RootElement.GetProperty("clock");
        Assert.Equal(state, clock.GetProperty("state").GetString());
        Assert.Equal(until is ulong stamp ? SigningClock.Format(DateTimeOffset.FromUnixTimeSeconds((long)stamp)) : null, clock.GetProperty("until").GetString());
        Assert.Contains("tlog_clock_right 0\n", (await log.GetAsync("/metrics")).Text, StringComparison.Ordinal);
    }

    [Fact]
    public async Task A_witness_is_sent_the_two_lines_of_the_log_and_no_others()
    {
        await using TestLog log = TestLog.Create(mlDsa: true);
        await using StubWitness witness = await StubWitness.StartAsync(log.MlDsaKey!, "example.com/witness", logLines: 2);
        await log.ServeAsync(new LogSetup { Policy = witness.PolicyLines("w") + "quorum w\n" });
        await Eventually.TrueAsync(() => log.Engine.TakesEntries, "the log is ready");
        await log.AddAsync("one", "published");
        await log.AddAsync("two", "published");
        byte[] checkpoint = await log.CheckLog(2);
        Assert.True(Note.TryParse(checkpoint, out Note? note));
        Assert.Equal([log.Key.KeyId, log.MlDsaKey!.KeyId, witness.Cosigners[0].Key.KeyId], note!.Signatures.Select(line => line.KeyId));
        Assert.NotEmpty(witness.Requests);

        // After a restart the public checkpoint is taken from the cache when both own lines hold, and only then.
        await log.RestartAsync(new LogSetup { Policy = witness.PolicyLines("w") + "quorum w\n" });
        Assert.Equal(2, log.Engine.Publisher.Current!.Size);
        await log.StopAsync();
        string cache = Path.Combine(log.Data, "published");
        File.WriteAllBytes(cache, new Note(note.Text, [note.Signatures[0], note.Signatures[2]]).ToBytes());
        DamageException failure = await Assert.ThrowsAsync<DamageException>(() => DirectoryCheck.RunAsync(log.Data, Verifiers.TryCreate, new CheckOptions { Journal = TestLog.Journal }));
        Assert.Equal(("signature", cache, $"a signature by {log.MlDsaKey}", "no line of that key"), (failure.Damage.Kind, failure.Damage.Place, failure.Damage.Expected, failure.Damage.Found));
        witness.Behave = StubWitness.HangAsync;
        await log.ServeAsync(new LogSetup { Policy = witness.PolicyLines("w") + "quorum w\n" });
        Assert.Null(log.Engine.Publisher.Current);
    }

    [Fact]
    public async Task A_log_whose_second_key_is_missing_another_or_has_not_signed_does_not_start()
    {
        await using TestLog log = await TestLog.StartAsync(new LogSetup { MlDsa = true });
        await log.AddAsync("one", "published");
        await log.StopAsync();
        string key = Path.Combine(log.Data, "key-ml-dsa.pem"), identity = Path.Combine(log.Data, "log");
        byte[] right = File.ReadAllBytes(key);
        File.Delete(key);
        Assert.Contains("no such file", (await Assert.ThrowsAsync<KeyFileException>(() => log.ServeAsync(new LogSetup()))).Message, StringComparison.Ordinal);

        using MlDsa44PrivateKey other = MlDsa44PrivateKey.Generate();
        KeyFile.Create(key, TestLog.Origin, other);
        Assert.Contains("another key", (await Assert.ThrowsAsync<StorageException>(() => log.ServeAsync(new LogSetup()))).Message, StringComparison.Ordinal);

        // The identity says the other one as well: what is signed was not signed by it.
        string text = File.ReadAllText(identity);
        VerifierKey otherKey = new MlDsa44Cosigner(TestLog.Origin, other).Key;
        File.WriteAllText(identity, text.Replace(log.MlDsaKey!.ToString(), otherKey.ToString(), StringComparison.Ordinal));
        DamageException refusal = await Assert.ThrowsAsync<DamageException>(() => log.ServeAsync(new LogSetup()));
        Assert.Contains("signed by both of its keys", refusal.Message, StringComparison.Ordinal);
        refusal = await Assert.ThrowsAsync<DamageException>(() => DirectoryCheck.RunAsync(log.Data, Verifiers.TryCreate, new CheckOptions { Journal = TestLog.Journal }));
        Assert.Equal(("signature", $"a signature by {otherKey}", "no line of that key"), (refusal.Damage.Kind, refusal.Damage.Expected, refusal.Damage.Found));

        File.WriteAllText(identity, text);
        File.Delete(key);
        File.WriteAllBytes(key, right);
        File.SetUnixFileMode(key, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        await log.ServeAsync(new LogSetup());
        await log.CheckLog(1);
    }

    [Fact]
    public void A_policy_may_name_either_key_of_the_log_and_neither_as_a_witness()
    {
        using Ed25519PrivateKey first = Ed25519PrivateKey.Generate();
        using MlDsa44PrivateKey second = MlDsa44PrivateKey.Generate();
        VerifierKey[] own = [new NoteSigner(TestLog.Origin, first).Key, new MlDsa44Cosigner(TestLog.Origin, second).Key];
        LogIdentity identity = new(TestLog.Origin, own[0].ToString(), "key.pem", MlDsa44: new LogKey(own[1].ToString(), "key-ml-dsa.pem"));
        foreach (VerifierKey key in own) Assert.NotNull(Read($"log {key}\nquorum none\n"));
        string witness = $"witness w {new MlDsa44Cosigner("example.com/w", second).Key} http://127.0.0.1:1/\nquorum w\n";
        Assert.Contains("has the key of this log", Assert.Throws<ConfigurationException>(() => Read(witness)).Message, StringComparison.Ordinal);
        Assert.NotNull(WitnessOnly(witness));

        Policy? Read(string policy) => ReadAs(identity, policy);
        Policy? WitnessOnly(string policy) => ReadAs(identity with { MlDsa44 = null }, policy);

        static Policy? ReadAs(LogIdentity log, string policy)
        {
            string path = Path.GetTempFileName();
            try
            {
                File.WriteAllText(path, policy);
                return WitnessPolicy.Read(path, log);
            }
            finally
            {
                File.Delete(path);
            }
        }
    }

    /// <summary>Requires the two lines, each by its key; the time that the second states.</summary>
    private static ulong CheckLines(TestLog log, byte[] bytes, long size)
    {
        Assert.True(Note.TryParse(bytes, out Note? note));
        Assert.True(Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint));
        Assert.Equal((TestLog.Origin, size), (checkpoint!.Origin, checkpoint.Size));
        Assert.Equal([log.Key.KeyId, log.MlDsaKey!.KeyId], note.Signatures.Select(line => line.KeyId));
        foreach (VerifierKey key in new[] { log.Key, log.MlDsaKey }) Assert.Equal(NoteStatus.Verified, note.Verify([Verifiers.TryCreate(key)!]).Status);
        return note.Verify([Verifiers.TryCreate(log.MlDsaKey)!]).Verified.Single().Timestamp;
    }

    private sealed class BreakingCosigner(ICosigner inner) : ICosigner
    {
        public bool Broken { get; set; }

        public VerifierKey Key => inner.Key;

        public NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, ulong timestamp) =>
            Broken ? throw new CryptographicException($"the cosignature made by the key {Key.Name} does not verify and was dropped") : inner.Cosign(checkpointText, timestamp);
    }

    private sealed class ShiftedClock : TimeProvider
    {
        public TimeSpan Shift { get; set; }

        public override DateTimeOffset GetUtcNow() => System.GetUtcNow() + Shift;
    }
}
