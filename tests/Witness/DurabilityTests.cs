using System.Net.Sockets;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Witness;

/// <summary>What is answered is stored, and what is not stored is not answered: rows W-02 to W-04, TW-38, TW-43, D-06, D-19, C-03, C-09.</summary>
public sealed class DurabilityTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/durable");
    private readonly TestLog _other = new("example.com/other");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log, _other);

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public async Task TW38_W03_no_byte_of_the_answer_before_the_sync()
    {
        foreach (bool after in new[] { false, true })
        {
            long old = after ? 5 : 0;
            HeldJournal.Hold hold = after ? _witness.Journal.HoldAfter() : _witness.Journal.HoldBefore();
            using Socket socket = _witness.Connect();
            string body = _log.Request(old, old + 5);
            socket.Send(Encoding.UTF8.GetBytes($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}"));
            await hold.Reached;
            Assert.False(socket.Poll(TimeSpan.FromMilliseconds(300), SelectMode.SelectRead), "something was answered while the store had not finished");
            // Nor does a monitor see it.
            await _witness.CheckStateAsync(_log, after ? 5 : -1);
            hold.Release();
            Assert.StartsWith("HTTP/1.1 200 ", TestWitness.ReadAll(socket));
            await _witness.CheckStateAsync(_log, old + 5);
        }
    }

    [Fact]
    public async Task W03_a_crash_before_the_sync_leaves_the_old_state_and_no_cosignature()
    {
        await _witness.CosignAsync(_log, 0, 5);
        HeldJournal.Hold hold = _witness.Journal.HoldBefore();
        Task<Answer> waiting = _witness.PostAsync(_log.Request(5, 9));
        await hold.Reached;
        await using TestWitness crashed = _witness.Copy();
        await crashed.StartAsync();
        await crashed.CheckStateAsync(_log, 5);
        await crashed.CosignAsync(_log, 5, 7);
        Assert.False(waiting.IsCompleted);
        hold.Release();
        Assert.Equal(200, (await waiting).Status);
    }

    [Fact]
    public async Task W02_a_crash_between_sync_and_answer_leaves_the_new_state_and_the_log_can_go_on()
    {
        await _witness.CosignAsync(_log, 0, 5);
        HeldJournal.Hold hold = _witness.Journal.HoldAfter();
        Task<Answer> waiting = _witness.PostAsync(_log.Request(5, 9));
        await hold.Reached;
        await using TestWitness crashed = _witness.Copy();
        await crashed.StartAsync();
        await crashed.CheckStateAsync(_log, 9);
        TestWitness.CheckConflict(await crashed.PostAsync(_log.Request(5, 9)), 9);
        await crashed.CosignAsync(_log, 9, 9);
        // What the crash has stored is never taken back: another branch finds it there.
        Assert.Equal(422, (await crashed.PostAsync(_log.Fork(7).Request(9, 9))).Status);
        hold.Release();
        Assert.Equal(200, (await waiting).Status);
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task W04_TW43_D06_a_store_that_fails_halts_the_witness_and_no_signature_leaves(bool persistedButFailed)
    {
        await _witness.CosignAsync(_log, 0, 5);
        HeldJournal.Hold hold = persistedButFailed ? _witness.Journal.HoldAfter() : _witness.Journal.HoldBefore();
        Task<Answer> waiting = _witness.PostAsync(_log.Request(5, 9));
        await hold.Reached;
        hold.Fail(new StorageException("fdatasync", "journal/000000000001", 5));
        Answer failed = await waiting;
        TestWitness.CheckProblem(failed, 503, "halted");
        Assert.Equal(TimeSpan.FromSeconds(60), failed.Headers.RetryAfter?.Delta);
        Assert.DoesNotContain("fdatasync", failed.Text);

        // Halted for every log, also where nothing would have to be stored; reads go on; health is red.
        TestWitness.CheckProblem(await _witness.PostAsync(_other.Request(0, 3)), 503, "halted");
        TestWitness.CheckProblem(await _witness.PostAsync("nonsense"), 503, "halted");
        TestWitness.CheckProblem(await _witness.GetAsync("/healthz"), 503, "halted");
        TestWitness.CheckProblem(await _witness.GetAsync("/readyz"), 503, "halted");
        Assert.Contains("tlog_witness_halted 1\n", (await _witness.GetAsync("/metrics")).Text);
        Assert.Contains("halted", (await _witness.GetAsync("/")).Text);
        await _witness.CheckStateAsync(_log, 5);

        // A restart reads what is really there.
        await _witness.RestartAsync();
        long size = persistedButFailed ? 9 : 5;
        await _witness.CheckStateAsync(_log, size);
        await _witness.CosignAsync(_log, size, 12);
        await _witness.CosignAsync(_other, 0, 3);
    }

    [Fact]
    public async Task TW43_all_that_waited_for_the_failed_frame_get_503()
    {
        HeldJournal.Hold hold = _witness.Journal.HoldBefore();
        Task<Answer> first = _witness.PostAsync(_log.Request(0, 5));
        await hold.Reached;
        Task<Answer> second = _witness.PostAsync(_other.Request(0, 5));
        Task<Answer> third = _witness.PostAsync(_log.Request(0, 6));
        hold.Fail(new StorageException("pwrite", "journal/000000000001", 28));
        foreach (Answer answer in await Task.WhenAll(first, second, third)) TestWitness.CheckProblem(answer, 503, "halted");
        await _witness.RestartAsync();
        await _witness.CheckStateAsync(_log, -1);
        await _witness.CheckStateAsync(_other, -1);
    }

    [Fact]
    public async Task D19_a_disk_that_hangs_is_503_after_the_limit_and_the_origin_stays_locked()
    {
        _witness.Configure = settings => settings with { CommitTime = TimeSpan.FromMilliseconds(300) };
        await _witness.RestartAsync();
        HeldJournal.Hold hold = _witness.Journal.HoldBefore();
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(0, 5)), 503, "busy");
        // The branch that might be stored may not be overtaken by another.
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Fork(2).Request(0, 7)), 503, "busy");
        await _witness.CheckStateAsync(_log, -1);
        hold.Release();
        await Eventually(async () => (await _witness.GetAsync(_log.MonitorPath)).Status == 200);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Fork(2).Request(0, 7)), 5);
        await _witness.CosignAsync(_log, 5, 5);
    }

    [Fact]
    public async Task C09_clients_that_go_away_leave_no_lock_behind_and_their_checkpoint_is_stored()
    {
        for (int i = 0; i < 10; i++)
        {
            HeldJournal.Hold hold = _witness.Journal.HoldBefore();
            using CancellationTokenSource gone = new();
            Task<Answer> leaving = _witness.PostAsync(_log.Request(i, i + 1), gone.Token);
            await hold.Reached;
            using CancellationTokenSource goneToo = new();
            Task<Answer> queued = _witness.PostAsync(_log.Request(i, i + 2), goneToo.Token);
            await gone.CancelAsync();
            await goneToo.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => leaving);
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => queued);
            hold.Release();
            TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(100, 101)), i + 1);
        }
    }

    [Fact]
    public async Task C03_a_lock_file_that_is_removed_halts_at_the_next_commit()
    {
        await _witness.CosignAsync(_log, 0, 5);
        File.Delete(Path.Combine(_witness.Data, "lock"));
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "halted");
        await _witness.CheckStateAsync(_log, 5);
    }

    [Fact]
    public async Task State_outlives_a_restart_and_a_crash_at_any_moment()
    {
        for (int size = 1; size <= 20; size++)
        {
            await _witness.CosignAsync(_log, size - 1, size);
            if (size % 3 == 0) await _witness.CosignAsync(_other, size - 3, size);
            if (size % 5 == 0) await _witness.RestartAsync();
            await using TestWitness crashed = _witness.Copy();
            await crashed.StartAsync();
            await crashed.CheckStateAsync(_log, size);
            await crashed.CheckStateAsync(_other, size < 3 ? -1 : size / 3 * 3);
            TestWitness.CheckConflict(await crashed.PostAsync(_log.Request(size - 1, size)), size);
            Assert.Equal(422, (await crashed.PostAsync(_log.Fork(0).Request(size, size))).Status);
        }
    }

    private static async Task Eventually(Func<Task<bool>> condition)
    {
        for (long end = Environment.TickCount64 + 20_000; Environment.TickCount64 < end;)
        {
            if (await condition()) return;
            await Task.Yield();
        }

        Assert.Fail("it did not happen within 20 s");
    }
}
