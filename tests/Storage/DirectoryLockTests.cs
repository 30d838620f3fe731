using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>One holder of a directory at a time (C-01, C-03).</summary>
public sealed class DirectoryLockTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch.Root;

    [Fact]
    public void C01_a_second_lock_is_refused_and_names_the_holder()
    {
        using (DirectoryLock held = DirectoryLock.Acquire(Folder))
        {
            // An flock belongs to the open file: a second descriptor of this process is as strange as another process.
            DirectoryInUseException refusal = Assert.Throws<DirectoryInUseException>(() => DirectoryLock.Acquire(Folder));
            Assert.Contains($"process {Environment.ProcessId}", refusal.Message, StringComparison.Ordinal);
            Assert.True(held.IsHeld);
        }

        using DirectoryLock again = DirectoryLock.Acquire(Folder);
        Assert.True(again.IsHeld);
    }

    [Theory]
    [InlineData("pwrite")]
    [InlineData("open")]
    public void D05_a_lock_that_could_not_be_taken_keeps_nobody_out(string failing)
    {
        using (FaultScope.On(Folder, (call, _) => call == failing ? FaultScope.Fail(FaultScope.NoSpace) : FaultScope.None))
        {
            Assert.Equal(FaultScope.NoSpace, Assert.Throws<StorageException>(() => DirectoryLock.Acquire(Folder)).Errno);
        }

        using DirectoryLock again = DirectoryLock.Acquire(Folder);
        Assert.True(again.IsHeld);
    }

    [Fact]
    public async Task C01_of_twenty_that_start_at_once_one_gets_it()
    {
        using Barrier barrier = new(20);
        DirectoryLock?[] locks = await Task.WhenAll(Enumerable.Range(0, 20).Select(_ => Task.Factory.StartNew(
            () =>
            {
                barrier.SignalAndWait();
                try
                {
                    return DirectoryLock.Acquire(Folder);
                }
                catch (DirectoryInUseException)
                {
                    return null;
                }
            },
            CancellationToken.None,
            TaskCreationOptions.LongRunning,
            TaskScheduler.Default)));
        Assert.Single(locks.OfType<DirectoryLock>()).Dispose();
    }

    [Fact]
    public void C03_a_lock_whose_file_was_removed_or_replaced_is_not_held_any_more()
    {
        using DirectoryLock held = DirectoryLock.Acquire(Folder);
        string file = Path.Combine(Folder, "lock");
        File.Delete(file);
        Assert.False(held.IsHeld);
        File.WriteAllText(file, "");
        Assert.False(held.IsHeld);
    }

    [Fact]
    public void C03_who_removes_the_lock_file_meets_the_lock_on_the_directory()
    {
        using (DirectoryLock held = DirectoryLock.Acquire(Folder))
        {
            File.Delete(Path.Combine(Folder, "lock"));
            Assert.Contains("was removed or replaced", Assert.Throws<DirectoryInUseException>(() => DirectoryLock.Acquire(Folder)).Message, StringComparison.Ordinal);
            Assert.False(held.IsHeld);
        }

        using DirectoryLock again = DirectoryLock.Acquire(Folder);
        Assert.True(again.IsHeld);
        File.Move(Path.Combine(Folder, "lock"), Path.Combine(Folder, "lock.moved"));
        Assert.False(again.IsHeld);
    }

    [Fact]
    public void A_directory_that_is_not_there_and_a_link_as_lock_file_are_refused()
    {
        Assert.Throws<StorageException>(() => DirectoryLock.Acquire(_scratch["none"]));
        File.CreateSymbolicLink(Path.Combine(Folder, "lock"), _scratch["elsewhere"]);
        Assert.Throws<StorageException>(() => DirectoryLock.Acquire(Folder));
        Assert.False(File.Exists(_scratch["elsewhere"]));
    }
}
