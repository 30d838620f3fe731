using System.Diagnostics;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>"Does not exist" and "cannot be read" are different answers (N-01): only ENOENT is absence.</summary>
public sealed class PathsTests : IDisposable
{
    private const int NotDirectory = 20;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void N01_only_ENOENT_is_absence()
    {
        string none = _scratch["none"], below = Path.Combine(none, "file");
        foreach (string path in (string[])[none, below])
        {
            Assert.False(Paths.Exists(path));
            Assert.False(Paths.FileExists(path));
            Assert.False(Paths.DirectoryExists(path));
            Assert.Null(Paths.VersionOf(path));
            Assert.False(DurableFile.TryRead(path, 10, out _));
        }

        Assert.Equal(2, Assert.Throws<StorageException>(() => Paths.NamesIn(none)).Errno);
    }

    [Theory]
    [InlineData(FaultScope.Io)]
    [InlineData(FaultScope.Access)]
    [InlineData(FaultScope.Loop)]
    [InlineData(NotDirectory)]
    [InlineData(FaultScope.TooManyFiles)]
    public void N01_any_other_error_is_no_absence(int errno)
    {
        string path = _scratch["file"];
        Directory.CreateDirectory(_scratch["folder"]);
        using FaultScope scope = FaultScope.On(_scratch.Root, (call, _) => call is "statx" or "open" or "readdir" ? FaultScope.Fail(errno) : FaultScope.None);
        Action[] questions =
        [
            () => Paths.Exists(path), () => Paths.FileExists(path), () => Paths.DirectoryExists(path), () => Paths.VersionOf(path), () => Paths.NamesIn(_scratch["folder"]),
            () => DurableFile.TryRead(path, 10, out _), () => DurableFile.CreateDirectory(path),
        ];
        foreach (Action question in questions)
        {
            StorageException failure = Assert.Throws<StorageException>(question);
            Assert.Equal(errno, failure.Errno);
            Assert.Contains(_scratch.Root, failure.Message, StringComparison.Ordinal);
        }
    }

    [Fact]
    public void N01_a_loop_of_links_a_file_above_and_a_link_to_nothing_are_refused_by_name()
    {
        string loop = _scratch["loop"], file = _scratch["file"], dangling = _scratch["dangling"];
        File.CreateSymbolicLink(loop, loop);
        File.WriteAllText(file, "x");
        File.CreateSymbolicLink(dangling, _scratch["gone"]);
        Assert.Equal(FaultScope.Loop, Assert.Throws<StorageException>(() => Paths.FileExists(loop)).Errno);
        Assert.Equal(FaultScope.Loop, Assert.Throws<StorageException>(() => DurableFile.TryRead(loop, 10, out _)).Errno);
        Assert.Equal(NotDirectory, Assert.Throws<StorageException>(() => Paths.Exists(Path.Combine(file, "below"))).Errno);
        Assert.Equal(NotDirectory, Assert.Throws<StorageException>(() => DurableFile.TryRead(Path.Combine(file, "below"), 10, out _)).Errno);
        foreach (Action question in (Action[])[() => Paths.FileExists(dangling), () => DurableFile.TryRead(dangling, 10, out _), () => DurableFile.CreateDirectory(dangling)])
        {
            Assert.Contains($"{dangling} is a symbolic link whose target is missing", Assert.Throws<StorageException>(question).Message, StringComparison.Ordinal);
        }

        Assert.True(Paths.Exists(dangling));
    }

    [Fact]
    public void N01_what_is_no_regular_file_is_refused_by_its_type_and_never_waited_for()
    {
        string fifo = _scratch["fifo"], folder = _scratch["folder"], file = _scratch["file"];
        using (Process made = Process.Start("mkfifo", [fifo])) made.WaitForExit();
        Directory.CreateDirectory(folder);
        File.WriteAllText(file, "x");
        Assert.Equal($"{fifo} is a named pipe, not a file", Assert.Throws<StorageException>(() => DurableFile.TryRead(fifo, 10, out _)).Message);
        Assert.Equal($"{fifo} is a named pipe, not a file", Assert.Throws<StorageException>(() => Paths.FileExists(fifo)).Message);
        Assert.Equal($"{folder} is a directory, not a file", Assert.Throws<StorageException>(() => DurableFile.TryRead(folder, 10, out _)).Message);
        Assert.Equal($"{file} is a file, not a directory", Assert.Throws<StorageException>(() => Paths.DirectoryExists(file)).Message);
        Assert.Equal($"{file} is a file, not a directory", Assert.Throws<StorageException>(() => DurableFile.CreateDirectory(file)).Message);
        Assert.Throws<StorageException>(() => JournalScan.Load(fifo, new byte[4096], 4096));
    }

    [Fact]
    public void N01_a_file_has_another_version_after_each_change()
    {
        string path = _scratch["file"];
        File.WriteAllText(path, "x");
        FileVersion? first = Paths.VersionOf(path);
        Assert.NotNull(first);
        Assert.Equal(first, Paths.VersionOf(path));
        DurableFile.Replace(path, "y"u8);
        Assert.NotEqual(first, Paths.VersionOf(path));
        FileVersion? second = Paths.VersionOf(path);
        File.AppendAllText(path, "z");
        Assert.NotEqual(second, Paths.VersionOf(path));
        Assert.Equal(File.GetLastWriteTimeUtc(path), DateTime.UnixEpoch.AddTicks(Paths.VersionOf(path)!.Value.Modified / 100));
    }

    [Fact]
    public void N21_what_a_file_system_keeps_in_its_root_does_not_make_a_directory_used()
    {
        foreach (string name in (string[])["lost+found", ".snapshot", ".nfs000000000123456700000001"]) Directory.CreateDirectory(_scratch[name]);
        Assert.Null(Paths.FirstIn(_scratch.Root));
        LogDirectory.RequireEmpty(_scratch.Root);
        File.WriteAllText(_scratch[".hidden"], "x");
        Assert.Equal(".hidden", Paths.FirstIn(_scratch.Root));
        Assert.Null(Paths.FirstIn(_scratch.Root, ".hidden"));
        Assert.Throws<StorageException>(() => LogDirectory.RequireEmpty(_scratch.Root));
    }
}
