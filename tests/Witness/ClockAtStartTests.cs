using System.Text.Json;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;
using TransparencyLog.Tests.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>N-03: a clock that is wrong at a start is noticed, and an operator can accept it. spec/conformance.md section 8, point 7.</summary>
public sealed class ClockAtStartTests : IAsyncLifetime
{
    private const long Day = 86_400, Year = 366 * Day;

    private readonly TestLog _log = new("example.com/clock"), _other = new("example.com/other");
    private readonly FakeTime _time = new();
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync()
    {
        _witness = TestWitness.Create(_log, _other);
        _witness.Time = _time;
        await _witness.StartAsync();
    }

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    private string HeartbeatPath => Path.Combine(_witness.Data, Heartbeat.Name);

    private string Accept(string reason = "tested", params string[] origins) => ClockCommand.Accept(_witness.Data, reason, origins, _time, TestWitness.JournalFileBytes);

    private async Task StartAtAsync(long unix)
    {
        await _witness.StopAsync();
        _time.Unix = unix;
        await _witness.StartAsync();
    }

    private async Task<JsonElement> ClockStatusAsync() => JsonDocument.Parse((await _witness.GetAsync("/status")).Text).RootElement.GetProperty("clock");

    /// <summary>As the version before did: a cosignature of a clock that is ahead. It has no heartbeat that could say so.</summary>
    private async Task<ulong> CosignAheadAsync(TestLog log, long old, long size, long ahead)
    {
        long now = _time.Unix;
        await _witness.StopAsync();
        File.Delete(HeartbeatPath);
        _time.Unix = now + ahead;
        await _witness.StartAsync();
        ulong stamp = await _witness.CosignAsync(log, old, size);
        await _witness.StopAsync();
        File.Delete(HeartbeatPath);
        _time.Unix = now;
        return stamp;
    }

    [Theory]
    [InlineData(30 * Day, true)]
    [InlineData((30 * Day) + 1, false)]
    [InlineData(Year, false)]
    public async Task N03_a_start_more_than_30_days_ahead_of_the_heartbeat_signs_nothing(long ahead, bool right)
    {
        long before = _time.Unix;
        await StartAtAsync(before + ahead);
        Answer answer = await _witness.PostAsync(_log.Request(0, 5));
        if (right)
        {
            Assert.Equal(200, answer.Status);
            return;
        }

        TestWitness.CheckProblem(answer, 503, "clock");
        TestWitness.CheckProblem(await _witness.GetAsync("/readyz"), 503, "clock");
        TestWitness.CheckProblem(await _witness.GetAsync("/healthz"), 503, "clock");
        Assert.Equal("ahead", (await ClockStatusAsync()).GetProperty("state").GetString());
        Assert.Equal(SigningClock.Format(DateTimeOffset.FromUnixTimeSeconds(before)), (await ClockStatusAsync()).GetProperty("lastKnown").GetString());
        await _witness.CheckStateAsync(_log, -1);

        // Another start changes nothing, and the heartbeat stays.
        await _witness.RestartAsync();
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(0, 5)), 503, "clock");
        Assert.Equal(before, Heartbeat.Read(_witness.Data)!.Value.ToUnixTimeSeconds());

        // The clock is set right: it needs no start, and has not jumped.
        _time.Unix = before + 1;
        Assert.Equal((ulong)before + 1, await _witness.CosignAsync(_log, 0, 5));
        Assert.Equal(200, (await _witness.GetAsync("/readyz")).Status);
    }

    [Fact]
    public async Task N03_a_witness_that_was_off_for_40_days_signs_once_its_operator_has_accepted_the_clock()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await StartAtAsync(_time.Unix + (40 * Day));
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        Assert.Contains("stop the witness first", Assert.Throws<DirectoryInUseException>(() => Accept()).Message, StringComparison.Ordinal);
        await _witness.StopAsync();
        Assert.StartsWith("accepted", Accept("moved to another building"), StringComparison.Ordinal);
        await _witness.StartAsync();
        Assert.Equal((ulong)_time.Unix, await _witness.CosignAsync(_log, 5, 9));
        ClockAcceptance kept = Assert.Single(ClockAcceptances.Read(_witness.Data));
        Assert.Equal((_time.Unix, "moved to another building"), (kept.Seconds, kept.Reason));
        Assert.Empty(kept.Permissions);
        await _witness.StopAsync();
        Assert.Contains("nothing to accept", Assert.Throws<StorageException>(() => Accept()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N03_the_limit_is_a_setting()
    {
        _witness.Configure = settings => settings with { ClockLimit = TimeSpan.FromDays(400) };
        await StartAtAsync(_time.Unix + Year);
        await _witness.CosignAsync(_log, 0, 5);
        _witness.Configure = settings => settings with { ClockLimit = TimeSpan.FromDays(1) };
        await StartAtAsync(_time.Unix + Day + 1);
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
    }

    [Fact]
    public async Task N03_an_origin_whose_last_stamp_is_a_year_ahead_waits_and_is_named_and_others_go_on()
    {
        ulong stamp = await CosignAheadAsync(_log, 0, 5, Year);
        await _witness.StartAsync();
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        await _witness.CosignAsync(_other, 0, 5);
        Assert.Equal(200, (await _witness.GetAsync("/healthz")).Status);
        TestWitness.CheckProblem(await _witness.GetAsync("/readyz"), 503, "clock");
        JsonElement clock = await ClockStatusAsync();
        Assert.Equal(("behind", 1), (clock.GetProperty("state").GetString(), clock.GetProperty("waitingLogs").GetInt32()));
        JsonElement waiting = Assert.Single(clock.GetProperty("waiting").EnumerateArray());
        Assert.Equal((_log.Origin, SigningClock.Format(DateTimeOffset.FromUnixTimeSeconds((long)stamp))), (waiting.GetProperty("origin").GetString(), waiting.GetProperty("until").GetString()));
        Assert.Contains("tlog_witness_logs_waiting_for_clock 1\n", (await _witness.GetAsync("/metrics")).Text, StringComparison.Ordinal);

        // What is off the list waits for nobody.
        _witness.SetLogs(_other);
        await _witness.RestartAsync();
        Assert.Equal(200, (await _witness.GetAsync("/readyz")).Status);
    }

    [Theory]
    [InlineData(2, 200)]
    [InlineData(3, 503)]
    public async Task N03_two_seconds_behind_are_waited_for_and_three_make_readiness_red(long seconds, int status)
    {
        await _witness.CosignAsync(_log, 0, 5);
        await StartAtAsync(_time.Unix - seconds);
        Assert.Equal(status, (await _witness.GetAsync("/readyz")).Status);
        Assert.Equal(status, (await _witness.PostAsync(_log.Request(5, 9))).Status);
    }

    [Fact]
    public async Task N03_TW42_an_accepted_clock_lets_the_time_of_an_origin_go_back_once()
    {
        ulong stamp = await CosignAheadAsync(_log, 0, 5, Year);
        Assert.Contains($"goes back once for 1 of 1 logs that wait: {_log.Origin}", Accept(), StringComparison.Ordinal);
        await _witness.StartAsync();
        Assert.Equal(200, (await _witness.GetAsync("/readyz")).Status);

        // Not below the moment of the acceptance, and the permission is still there.
        long accepted = _time.Unix;
        _time.Unix = accepted - 3;
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        _time.Unix = accepted + 60;

        // It survives a start and a crash.
        await _witness.RestartAsync();
        await using (TestWitness copy = _witness.Copy())
        {
            copy.Time = _time;
            await copy.StartAsync();
            Assert.Equal((ulong)accepted + 60, await copy.CosignAsync(_log, 5, 9));
        }

        ulong back = await _witness.CosignAsync(_log, 5, 9);
        Assert.Equal((ulong)accepted + 60, back);
        Assert.True(back < stamp);

        // Once: from here on the time only grows, after a start too, and with the same clock as before.
        _time.Unix -= 30;
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(9, 13)), 503, "clock");
        await _witness.RestartAsync();
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(9, 13)), 503, "clock");
        _time.Unix += 30;
        Assert.Equal(back, await _witness.CosignAsync(_log, 9, 13));
        await _witness.CheckStateAsync(_log, 13);
    }

    [Fact]
    public async Task N03_a_permission_ends_with_any_new_note_also_with_one_of_a_later_time()
    {
        ulong stamp = await CosignAheadAsync(_log, 0, 5, 10 * Day);
        Accept();
        await _witness.StartAsync();
        _time.Unix = (long)stamp + 1;
        await _witness.RestartAsync();
        await _witness.CosignAsync(_log, 5, 9);
        _time.Unix -= 60;
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(9, 13)), 503, "clock");
    }

    [Fact]
    public async Task N03_only_the_named_origins_go_back_and_one_that_does_not_wait_is_refused()
    {
        await CosignAheadAsync(_log, 0, 5, Year);
        long now = _time.Unix;
        await CosignAheadAsync(_other, 0, 5, Year);
        _time.Unix = now;
        Assert.Contains("example.com/none does not wait", Assert.Throws<ConfigurationException>(() => Accept("why", "example.com/none")).Message, StringComparison.Ordinal);
        Assert.Empty(ClockAcceptances.Read(_witness.Data));
        Accept("why", _other.Origin);
        await _witness.StartAsync();
        await _witness.CosignAsync(_other, 5, 9);
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "clock");
        TestWitness.CheckProblem(await _witness.GetAsync("/readyz"), 503, "clock");
        await _witness.StopAsync();
        Accept("and the other");
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 5, 9);
        Assert.Equal(["why", "and the other"], ClockAcceptances.Read(_witness.Data).Select(one => one.Reason));
    }

    [Theory]
    [InlineData("")]
    [InlineData(1001)]
    public async Task N03_an_acceptance_has_a_reason(object reason)
    {
        await CosignAheadAsync(_log, 0, 5, Year);
        Assert.Throws<ConfigurationException>(() => Accept(reason as string ?? new string('x', (int)reason)));
        Assert.Empty(ClockAcceptances.Read(_witness.Data));
    }

    [Fact]
    public async Task N03_a_clock_that_cannot_be_right_is_not_accepted()
    {
        await _witness.StopAsync();
        _time.Unix = 1_000;
        Assert.Contains("set it first", Assert.Throws<ConfigurationException>(() => Accept()).Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N03_the_heartbeat_is_written_at_a_start_and_follows_the_clock_while_it_is_right()
    {
        Assert.Equal(_time.Unix, Heartbeat.Read(_witness.Data)!.Value.ToUnixTimeSeconds());
        await StartAtAsync(_time.Unix + Day);
        Assert.Equal(_time.Unix, Heartbeat.Read(_witness.Data)!.Value.ToUnixTimeSeconds());
        await _witness.StopAsync();

        SigningClock clock = SigningClock.Open(_witness.Data, TimeSpan.FromDays(30), _time);
        Assert.Equal(ClockState.Right, clock.State);
        long before = _time.Unix;
        _time.Unix += 3600;
        clock.Beat();
        Assert.Equal(before + 3600, Heartbeat.Read(_witness.Data)!.Value.ToUnixTimeSeconds());
        _time.Unix += 2 * Day;
        Assert.Equal(ClockState.Jumped, clock.State);
        clock.Beat();
        _time.Unix += 40 * Day;
        Assert.Equal(ClockState.Ahead, clock.State);
        clock.Beat();
        _time.Unix = 1_000;
        Assert.Equal(ClockState.Early, clock.State);
        clock.Beat();
        Assert.Equal(before + 3600, Heartbeat.Read(_witness.Data)!.Value.ToUnixTimeSeconds());
    }

    [Fact]
    public async Task N03_a_directory_of_the_version_before_has_no_heartbeat_and_opens()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
        File.Delete(HeartbeatPath);
        _time.Unix += 400 * Day;
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 5, 9);
        Assert.Equal(_time.Unix, Heartbeat.Read(_witness.Data)!.Value.ToUnixTimeSeconds());
    }

    [Theory]
    [InlineData("heartbeat")]
    [InlineData("clock-accepted")]
    public async Task N03_a_damaged_file_refuses_the_start_and_is_named(string name)
    {
        await CosignAheadAsync(_log, 0, 5, Year);
        Accept();
        string path = Path.Combine(_witness.Data, name);
        byte[] bytes = await File.ReadAllBytesAsync(path);
        bytes[^3] ^= 1;
        await File.WriteAllBytesAsync(path, bytes);
        DamageException refused = await Assert.ThrowsAsync<DamageException>(_witness.StartAsync);
        Assert.Contains(path, refused.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task N03_while_the_clock_is_ahead_no_subtree_is_signed_either()
    {
        string note = _log.Checkpoint(5) + (await _witness.PostAsync(_log.Request(0, 5))).Text;
        string body = TestLog.SubtreeBody("0 4", _log.Subtree(0, 4), _log.SubtreeProof(0, 4, 5), note);
        Assert.Equal(200, (await _witness.SendAsync(HttpMethod.Post, "/sign-subtree", body)).Status);
        await StartAtAsync(_time.Unix + Year);
        TestWitness.CheckProblem(await _witness.SendAsync(HttpMethod.Post, "/sign-subtree", body), 503, "clock");
    }

    /// <summary>Every storage call of an acceptance, going wrong in every way: it is recorded as a whole or not at all, and what was acknowledged is there.</summary>
    [Fact]
    public async Task N03_an_acceptance_is_recorded_as_a_whole_or_not_at_all()
    {
        const int Steps = 3;
        FakeTime time = new();
        ClockPermission permission = ClockPermission.Of("example.com/swept", 1_900_000_000, "a note"u8);
        using DiskSweep sweep = new(new SweptWork(
            Prepare: root =>
            {
                Directory.CreateDirectory(root);
                Heartbeat.Write(root, DateTimeOffset.FromUnixTimeSeconds(1_700_000_000));
                return Task.CompletedTask;
            },
            Run: async (root, story) =>
            {
                for (int step = 1; step <= Steps; step++)
                {
                    string reason = $"{step}";
                    // What failed once is told again: a command is a process of its own, and the next one begins with what is on the disk.
                    if (story.Failure is null) await story.DoAsync(() => Task.Run(() => SigningClock.Open(root, TimeSpan.FromDays(30), time).Accept(reason, [permission])));
                }
            },
            Check: (root, story) =>
            {
                IReadOnlyList<ClockAcceptance> read = ClockAcceptances.Read(root);
                Assert.True(read.Count == story.Acknowledged || read.Count == story.Tried, $"{read.Count} acceptances");
                Assert.Equal(Enumerable.Range(1, read.Count).Select(step => $"{step}"), read.Select(one => one.Reason));
                Assert.All(read, one => Assert.Equal(permission, Assert.Single(one.Permissions)));
                long heartbeat = Heartbeat.Read(root)!.Value.ToUnixTimeSeconds();
                // In this order: a clock that is believed was accepted.
                Assert.True(heartbeat == 1_700_000_000 ? story.Acknowledged == 0 : heartbeat == 1_800_000_000 && read.Count > 0, $"heartbeat {heartbeat}");
                SigningClock.Open(root, TimeSpan.FromDays(30), time).Accept("last", []);
                Assert.Equal("last", ClockAcceptances.Read(root)[^1].Reason);
                return Task.CompletedTask;
            }));
        SweptVerdict[] verdicts = await sweep.RunAsync();
        SweptVerdict[] wrong = sweep.Wrong(verdicts);
        Assert.True(wrong.Length == 0, $"{DiskSweep.Table(verdicts)}{string.Join('\n', wrong.Take(40))}");
    }
    [Fact]
    public void N03_a_full_disk_hides_neither_a_halt_nor_a_silent_guard_nor_a_clock_that_is_ahead_from_subtrees()
    {
        foreach (ClockState clock in Enum.GetValues<ClockState>())
        {
            foreach ((bool halted, bool guard) in new[] { (false, false), (false, true), (true, false), (true, true) })
            {
                Unavailability? expected = halted ? Unavailability.Halted : guard ? Unavailability.GuardUnavailable : clock == ClockState.Ahead ? Unavailability.ClockAhead : null;
                Assert.Equal(expected, CheckpointWitness.SilenceOf(halted, guard, clock));
                Unavailability? full = CheckpointWitness.HindranceOf(halted, guard, diskLow: true, clock);
                Assert.Equal(halted ? Unavailability.Halted : guard ? Unavailability.GuardUnavailable : Unavailability.DiskFull, full);
                Unavailability? room = CheckpointWitness.HindranceOf(halted, guard, diskLow: false, clock);
                Assert.Equal(expected ?? (clock == ClockState.Right ? null : Unavailability.ClockWrong), room);
            }
        }
    }
}
