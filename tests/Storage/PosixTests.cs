using Microsoft.Win32.SafeHandles;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>The calls of libc tell their errors. .NET's own do not: its fsync succeeds on EIO, ENOSPC and EROFS (D-06).</summary>
public sealed class PosixTests : IDisposable
{
    private const int BadDescriptor = 9, IsDirectory = 21, Invalid = 22, NoSpace = 28, ReadOnlySystem = 30, Loop = 40;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void D06_a_sync_that_fails_throws_with_errno()
    {
        // What cannot be synced: a file of the kernel's, and a character device.
        foreach (string path in (string[])["/proc/self/status", "/dev/null"])
        {
            using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly);
            foreach (Action<SafeFileHandle, string> sync in (Action<SafeFileHandle, string>[])[Posix.SyncData, Posix.Sync])
            {
                StorageException failure = Assert.Throws<StorageException>(() => sync(file, path));
                Assert.Contains(failure.Errno, (int[])[Invalid, ReadOnlySystem]);
                Assert.Contains(path, failure.Message, StringComparison.Ordinal);
                Assert.Contains($"errno {failure.Errno}", failure.Message, StringComparison.Ordinal);
            }
        }
    }

    [Fact]
    public void D08_a_write_to_a_full_device_throws_with_errno()
    {
        using SafeFileHandle file = Posix.Open("/dev/full", Posix.ReadWrite);
        Assert.Equal(NoSpace, Assert.Throws<StorageException>(() => Posix.Write(file, [1], 0, "/dev/full")).Errno);
    }

    [Fact]
    public void D05_a_write_that_fails_throws_with_errno_and_a_read_ends_at_the_end_of_the_file()
    {
        string path = _scratch["file"];
        File.WriteAllBytes(path, [1, 2, 3]);
        using SafeFileHandle file = Posix.Open(path, Posix.ReadOnly);
        Assert.Equal(BadDescriptor, Assert.Throws<StorageException>(() => Posix.Write(file, [1], 0, path)).Errno);
        byte[] read = new byte[8];
        Assert.Equal(3, Posix.Read(file, read, 0, path));
        Assert.Equal(0, Posix.Read(file, read, 3, path));
        Assert.Equal([1, 2, 3, 0, 0, 0, 0, 0], read);
    }

    [Fact]
    public void A_link_in_the_place_of_a_file_is_not_followed()
    {
        string target = _scratch["target"], link = _scratch["link"];
        File.WriteAllText(target, "bytes");
        File.CreateSymbolicLink(link, target);
        Assert.Equal(Loop, Assert.Throws<StorageException>(() => Posix.Open(link, Posix.ReadWrite | Posix.NoFollow)).Errno);
        Assert.Equal(IsDirectory, Assert.Throws<StorageException>(() => Posix.Open(_scratch.Root, Posix.ReadWrite)).Errno);
        Assert.Throws<StorageException>(() => Posix.Open(target, Posix.ReadOnly | Posix.Directory));
    }

    [Fact]
    public void Directories_can_be_synced_and_absent_ones_cannot()
    {
        Posix.SyncDirectory(_scratch.Root);
        Assert.Equal(2, Assert.Throws<StorageException>(() => Posix.SyncDirectory(_scratch["none"])).Errno);
    }

    [Fact]
    public void A_file_is_replaced_as_a_whole_bytes_before_name()
    {
        string path = _scratch["file"];
        List<string> calls = [];
        using (FaultScope.Watch(_scratch.Root, (call, at) => calls.Add($"{call} {Path.GetFileName(at)}"))) DurableFile.Replace(path, [1, 2]);
        Assert.Equal(["pwrite file.new", "fsync file.new", "rename file.new", $"fsync {Path.GetFileName(Path.GetDirectoryName(path))}"], calls);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(path));
        Assert.True(DurableFile.TryRead(path, 2, out byte[] bytes));
        Assert.Equal([1, 2], bytes);
        Assert.Throws<StorageException>(() => DurableFile.TryRead(path, 1, out _));
        Assert.False(DurableFile.TryRead(_scratch["none"], 1, out _));

        // A crash before the rename left a longer one behind.
        File.WriteAllBytes(path + ".new", new byte[100]);
        DurableFile.Replace(path, [3]);
        Assert.Equal([3], File.ReadAllBytes(path));
    }

    [Fact]
    public void D09_each_new_directory_is_synced_into_its_parent()
    {
        List<string> synced = [];
        using (FaultScope.Watch(_scratch.Root, (call, path) => synced.Add($"{call} {Path.GetFileName(path)}"))) DurableFile.CreateDirectory(_scratch["a/b/c"]);
        Assert.Equal(["mkdir a", $"fsync {new DirectoryInfo(_scratch["a"]).Parent!.Name}", "mkdir b", "fsync a", "mkdir c", "fsync b"], synced);
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute, File.GetUnixFileMode(_scratch["a/b"]));
    }
}
