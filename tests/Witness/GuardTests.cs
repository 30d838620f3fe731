using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>R-06, R-07: a memory that went back is noticed, and a lost one is not made up for by trust on first use.</summary>
public sealed class GuardTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/guarded");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync()
    {
        _witness = TestWitness.Create(_log);
        _witness.UsesGuard = true;
        await _witness.StartAsync();
    }

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    private string GuardFile => Directory.GetFiles(_witness.Guard, "*.????????????????????.witness").Max(StringComparer.Ordinal)!;

    private async Task RefusesAsync(string word)
    {
        StorageException refusal = await Assert.ThrowsAnyAsync<StorageException>(_witness.StartAsync);
        Assert.Contains(word, refusal.Message);
        // Refusing leaves the lock free and everything as it was: it refuses again.
        Assert.Equal(refusal.Message, (await Assert.ThrowsAnyAsync<StorageException>(_witness.StartAsync)).Message);
    }

    private async Task ReplaceDataAsync(TestWitness by)
    {
        await _witness.StopAsync();
        Directory.Delete(_witness.Data, recursive: true);
        TestWitness.CopyDirectory(by.Data, _witness.Data);
    }

    [Fact]
    public async Task R06_an_older_copy_of_the_store_is_refused()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await using TestWitness backup = _witness.Copy();
        await _witness.CosignAsync(_log, 5, 9);
        await ReplaceDataAsync(backup);
        await RefusesAsync("older copy");
    }

    [Fact]
    public async Task R06_the_empty_store_of_before_is_refused()
    {
        await using TestWitness backup = _witness.Copy();
        await _witness.CosignAsync(_log, 0, 1);
        await ReplaceDataAsync(backup);
        await RefusesAsync("older copy");
    }

    [Fact]
    public async Task R06_without_its_guard_it_is_refused_and_with_it_it_starts()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
        string guard = _witness.Guard;
        Directory.Move(guard, guard + ".away");
        await RefusesAsync("is missing");
        _witness.UsesGuard = false;
        await RefusesAsync("--guard");
        _witness.UsesGuard = true;
        Directory.Move(guard + ".away", guard);
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 5, 6);
    }

    [Fact]
    public async Task R06_a_damaged_guard_is_refused()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
        byte[] good = await File.ReadAllBytesAsync(GuardFile);
        for (int bit = 0; bit < good.Length * 8; bit += 11)
        {
            byte[] bad = [.. good];
            bad[bit / 8] ^= (byte)(1 << (bit % 8));
            await File.WriteAllBytesAsync(GuardFile, bad);
            Assert.Contains("guard", (await Assert.ThrowsAnyAsync<StorageException>(_witness.StartAsync)).Message);
        }

        await File.WriteAllBytesAsync(GuardFile, []);
        await RefusesAsync("damaged");
    }

    [Fact]
    public async Task R06_a_guard_behind_by_the_frame_of_a_crash_is_brought_up_to_date()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.CosignAsync(_log, 5, 9);
        byte[] after = await File.ReadAllBytesAsync(GuardFile);
        await _witness.StopAsync();
        File.Delete(GuardFile);
        await _witness.StartAsync();
        Assert.Equal(after, await File.ReadAllBytesAsync(GuardFile));
        await _witness.CheckStateAsync(_log, 9);
    }

    [Fact]
    public async Task R06_two_copies_that_went_different_ways_are_told_apart()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await using TestWitness other = _witness.Copy();
        await _witness.CosignAsync(_log, 5, 9);
        // Its operator gives the guard up, and goes on from the copy: the same number of updates, another update.
        File.Delete(Path.Combine(other.Data, "guarded"));
        await other.StartAsync();
        await other.CosignAsync(_log, 5, 8);
        await other.StopAsync();
        await ReplaceDataAsync(other);
        await RefusesAsync("different ways");
    }

    [Fact]
    public async Task N02_without_its_guard_the_witness_answers_503_and_cosigns_again_when_it_is_back()
    {
        await _witness.CosignAsync(_log, 0, 5);
        _witness.Configure = settings => settings with { CommitTime = TimeSpan.FromSeconds(2) };
        await _witness.RestartAsync();
        Directory.Move(_witness.Guard, _witness.Guard + ".away");
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "guard-unavailable");
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "guard-unavailable");
        Assert.Equal(503, (await _witness.GetAsync("/readyz")).Status);
        long asked = Environment.TickCount64;
        while (!(await _witness.GetAsync("/status")).Text.Contains("guard-unavailable", StringComparison.Ordinal))
        {
            Assert.InRange(Environment.TickCount64 - asked, 0, 60_000);
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        Directory.Move(_witness.Guard + ".away", _witness.Guard);
        long begun = Environment.TickCount64;
        while ((await _witness.GetAsync("/readyz")).Status != 200)
        {
            Assert.InRange(Environment.TickCount64 - begun, 0, 60_000);
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }

        // What waited was stored when the guard came back, or was never begun.
        Answer answer = await _witness.PostAsync(_log.Request(5, 9));
        Assert.True(answer.Status is 200 or 409, answer.Text);
        await _witness.RestartAsync();
        await _witness.CheckStateAsync(_log, 9);
    }

    [Fact]
    public async Task R06_the_guard_is_moved_before_the_answer()
    {
        for (int size = 1; size < 6; size++)
        {
            await _witness.CosignAsync(_log, size - 1, size);
            Assert.True(Guard.TryParse(await File.ReadAllBytesAsync(GuardFile, TestContext.Current.CancellationToken), out long index, out _));
            Assert.Equal(size, index);
        }
    }

    [Fact]
    public async Task N02_a_second_copy_of_a_witness_is_refused_and_names_the_holder()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await using TestWitness copy = _witness.CopyData();
        for (int start = 0; start < 20; start++)
        {
            string refusal = (await Assert.ThrowsAsync<DirectoryInUseException>(copy.StartAsync)).Message;
            Assert.Contains($"is in use by process {Environment.ProcessId} on {Environment.MachineName}, for {_witness.Data}", refusal);
        }

        await _witness.CosignAsync(_log, 5, 6);
    }

    [Fact]
    public async Task N02_of_two_live_copies_of_a_witness_that_lost_its_lock_one_is_fenced_and_keeps_what_it_found()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await using TestWitness copy = _witness.CopyData();
        File.Delete(Directory.GetFiles(_witness.Guard, "*.lock").Single());
        await copy.StartAsync();
        await copy.CosignAsync(_log, 5, 8);
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "halted");
        string kept = await File.ReadAllTextAsync(Path.Combine(_witness.Data, "guard-changes"), TestContext.Current.CancellationToken);
        Assert.Contains("fenced", kept);
        Assert.Contains(copy.Data, kept);
        Assert.Contains("2 updates", kept);
        await _witness.StopAsync();
        await copy.CosignAsync(_log, 8, 9);
        await copy.StopAsync();
        await RefusesAsync("older copy");
    }

    [Fact]
    public async Task N02_a_guard_is_replaced_and_dropped_by_word_and_both_are_recorded()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
        Directory.Delete(_witness.Guard, recursive: true);
        await RefusesAsync("is missing");
        using (WitnessDirectory directory = WitnessDirectory.Open(_witness.Data)) Guard.Change(directory, _witness.Guard, "its disk was lost", TimeProvider.System, TestWitness.JournalFileBytes);
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 5, 9);
        await _witness.StopAsync();
        using (WitnessDirectory directory = WitnessDirectory.Open(_witness.Data)) Guard.Change(directory, null, "no disk for it", TimeProvider.System);
        _witness.UsesGuard = false;
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 9, 10);
        await _witness.CosignAsync(_log, 10, 11);
        await _witness.StopAsync();
        _witness.UsesGuard = true;
        await RefusesAsync("too far apart");
        string kept = await File.ReadAllTextAsync(Path.Combine(_witness.Data, "guard-changes"), TestContext.Current.CancellationToken);
        Assert.Contains($"guard replaced (it was in {_witness.Guard}) by {_witness.Guard}: its disk was lost\n", kept);
        Assert.Contains("guard dropped", kept);
    }

    [Fact]
    public async Task N02_a_guard_of_the_version_before_becomes_a_row()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
        string old = Directory.GetFiles(_witness.Guard, "*.witness").Single(path => Path.GetFileName(path).Length == 64 + ".witness".Length);
        byte[] line = await File.ReadAllBytesAsync(GuardFile, TestContext.Current.CancellationToken);
        foreach (string file in Directory.GetFiles(_witness.Guard)) File.Delete(file);
        await File.WriteAllBytesAsync(old, line, TestContext.Current.CancellationToken);
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 5, 9);
        Assert.EndsWith(".00000000000000000002.witness", GuardFile);
        byte[] kept = await File.ReadAllBytesAsync(old, TestContext.Current.CancellationToken);
        Assert.False(Guard.TryParse(kept, out _, out _));
        Assert.InRange(kept.Length, 1, 256);
    }

    [Fact]
    public async Task N21_an_emptied_guarded_is_named_as_damage()
    {
        await _witness.StopAsync();
        await File.WriteAllTextAsync(Path.Combine(_witness.Data, "guarded"), "", TestContext.Current.CancellationToken);
        await RefusesAsync("guarded is damaged");
        _witness.UsesGuard = false;
        await RefusesAsync("guarded is damaged");
    }

    [Theory]
    [InlineData("snapshot", "memory of this witness is lost")]
    [InlineData("journal", "journal")]
    [InlineData("journal/000000000001", "journal")]
    [InlineData("witness", "is not a witness")]
    public async Task R07_D17_a_store_with_a_part_lost_is_refused(string part, string word)
    {
        foreach (bool guard in new[] { true, false })
        {
            await using TestWitness witness = TestWitness.Create(_log);
            witness.UsesGuard = guard;
            await witness.StartAsync();
            await witness.CosignAsync(_log, 0, 5);
            await witness.StopAsync();
            string path = Path.Combine(witness.Data, part);
            if (Directory.Exists(path)) Directory.Delete(path, recursive: true);
            else File.Delete(path);
            string[] before = Directory.GetFileSystemEntries(witness.Data);
            Assert.Contains(word, (await Assert.ThrowsAnyAsync<StorageException>(witness.StartAsync)).Message);
            Assert.Equal(before, Directory.GetFileSystemEntries(witness.Data));
        }
    }

    [Fact]
    public async Task R07_D17_an_empty_directory_is_refused_and_stays_empty()
    {
        await _witness.StopAsync();
        Directory.Delete(_witness.Data, recursive: true);
        await RefusesAsync("does not exist");
        Directory.CreateDirectory(_witness.Data);
        await RefusesAsync("is not a witness");
        Assert.Empty(Directory.GetFileSystemEntries(_witness.Data));
    }
}
