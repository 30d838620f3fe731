using TransparencyLog.Storage;

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

    private string GuardFile => Assert.Single(Directory.GetFiles(_witness.Guard));

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
        string guard = GuardFile;
        File.Move(guard, guard + ".away");
        await RefusesAsync("is missing");
        _witness.UsesGuard = false;
        await RefusesAsync("--guard");
        _witness.UsesGuard = true;
        File.Move(guard + ".away", guard);
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
        byte[] before = await File.ReadAllBytesAsync(GuardFile);
        await _witness.CosignAsync(_log, 5, 9);
        byte[] after = await File.ReadAllBytesAsync(GuardFile);
        await _witness.StopAsync();
        await File.WriteAllBytesAsync(GuardFile, before);
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
    public async Task R06_the_guard_is_moved_before_the_answer()
    {
        await _witness.CosignAsync(_log, 0, 5);
        string guard = GuardFile;
        // The guard's disk is gone: no answer, and a halt.
        Directory.Move(_witness.Guard, _witness.Guard + ".away");
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(5, 9)), 503, "halted");
        Directory.Move(_witness.Guard + ".away", _witness.Guard);
        Assert.True(File.Exists(guard));
        // The frame was stored, the guard had not seen it: as after a crash between the two.
        await _witness.RestartAsync();
        await _witness.CheckStateAsync(_log, 9);
    }

    [Fact]
    public async Task A_guard_can_be_given_up_and_begun_anew_by_hand()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
        File.Delete(Path.Combine(_witness.Data, "guarded"));
        _witness.UsesGuard = false;
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 5, 9);
        await _witness.StopAsync();
        _witness.UsesGuard = true;
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 9, 10);
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
