using System.Diagnostics;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>Output at a path that a user names: only a regular file is ever replaced.</summary>
public sealed class OutputFileTests : IDisposable
{
    private const UnixFileMode Shared = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead | UnixFileMode.OtherRead;

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public void N15_a_new_file_has_the_mode_that_the_umask_leaves_and_no_other_name_is_left()
    {
        File.WriteAllText(_scratch["made by .NET"], "");
        OutputFile.Write(_scratch["proof"], "new"u8);
        Assert.Equal("new", File.ReadAllText(_scratch["proof"]));
        Assert.Equal(File.GetUnixFileMode(_scratch["made by .NET"]), File.GetUnixFileMode(_scratch["proof"]));
        Assert.Equal(["made by .NET", "proof"], Names());
    }

    [Fact]
    public void N15_a_regular_file_is_replaced_as_a_whole_and_keeps_its_mode()
    {
        foreach (UnixFileMode mode in (UnixFileMode[])[Shared, UnixFileMode.UserRead, Shared | UnixFileMode.GroupWrite | UnixFileMode.OtherExecute, (UnixFileMode)0b110_000_000])
        {
            File.WriteAllText(_scratch["proof"], "old, and longer than the new");
            File.SetUnixFileMode(_scratch["proof"], mode);
            using FileStream reader = File.OpenRead(_scratch["proof"]);
            OutputFile.Write(_scratch["proof"], "new"u8);
            Assert.Equal(mode, File.GetUnixFileMode(_scratch["proof"]));
            Assert.Equal("new", File.ReadAllText(_scratch["proof"]));

            // Who had it open reads the old content to its end.
            using StreamReader text = new(reader);
            Assert.Equal("old, and longer than the new", text.ReadToEnd());
            File.Delete(_scratch["proof"]);
        }
    }

    [Fact]
    public void N15_owner_and_group_stay_where_they_may_be_set()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "not on this machine: changing an owner needs root");
        File.WriteAllText(_scratch["proof"], "old");
        File.SetUnixFileMode(_scratch["proof"], Shared);
        using (Process chown = Process.Start("chown", ["1234:4321", _scratch["proof"]]))
        {
            chown.WaitForExit();
            Assert.Equal(0, chown.ExitCode);
        }

        OutputFile.Write(_scratch["proof"], "new"u8);
        PathInfo now = Posix.Stat(_scratch["proof"])!;
        Assert.Equal((1234u, 4321u, (int)Shared), (now.UserId, now.GroupId, now.Mode));
        Assert.Equal("new", File.ReadAllText(_scratch["proof"]));
    }

    [Fact]
    public void N15_links_stay_and_what_they_lead_to_is_replaced()
    {
        Directory.CreateDirectory(_scratch["site"]);
        File.WriteAllText(_scratch["site/proof"], "old");
        File.SetUnixFileMode(_scratch["site/proof"], Shared);
        File.CreateSymbolicLink(_scratch["absolute"], _scratch["site/proof"]);
        File.CreateSymbolicLink(_scratch["site/relative"], "../absolute");
        Directory.CreateSymbolicLink(_scratch["folder"], "site");
        foreach (string name in (string[])["absolute", "site/relative", "folder/relative", "folder/proof"])
        {
            OutputFile.Write(_scratch[name], Encoding.UTF8.GetBytes(name));
            Assert.Equal(name, File.ReadAllText(_scratch["site/proof"]));
        }

        Assert.Equal(Shared, File.GetUnixFileMode(_scratch["site/proof"]));
        Assert.Equal((_scratch["site/proof"], "../absolute", "site"), (new FileInfo(_scratch["absolute"]).LinkTarget, new FileInfo(_scratch["site/relative"]).LinkTarget, new FileInfo(_scratch["folder"]).LinkTarget));
        Assert.Equal(["absolute", "folder", "site", "site/proof", "site/relative"], Names());
    }

    [Fact]
    public void N15_a_link_whose_target_is_missing_makes_the_target_and_a_loop_is_refused()
    {
        File.CreateSymbolicLink(_scratch["link"], "missing");
        OutputFile.Write(_scratch["link"], "new"u8);
        Assert.Equal("new", File.ReadAllText(_scratch["missing"]));
        Assert.Equal("missing", new FileInfo(_scratch["link"]).LinkTarget);

        File.CreateSymbolicLink(_scratch["one"], "two");
        File.CreateSymbolicLink(_scratch["two"], "one");
        Assert.Contains("too many symbolic links", Assert.Throws<OutputFileException>(() => OutputFile.Write(_scratch["one"], "new"u8)).Message);
        Assert.Equal(["link", "missing", "one", "two"], Names());
    }

    [Fact]
    public async Task N15_a_fifo_is_written_to_and_stays_one()
    {
        using (Process mkfifo = Process.Start("mkfifo", [_scratch["fifo"]]))
        {
            await mkfifo.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, mkfifo.ExitCode);
        }

        File.CreateSymbolicLink(_scratch["link"], "fifo");
        byte[] large = new byte[300_000]; // more than a pipe holds
        Random.Shared.NextBytes(large);
        Task<byte[]> reading = Task.Run(() => File.ReadAllBytes(_scratch["fifo"]));
        OutputFile.Write(_scratch["link"], large);
        Assert.Equal(large, await reading);
        Assert.Equal(PathKind.Fifo, Posix.Stat(_scratch["fifo"])!.Kind);
        Assert.Equal(["fifo", "link"], Names());
    }

    [Fact]
    public void N15_a_path_of_a_descriptor_is_written_to_where_it_stands()
    {
        using FileStream file = new(_scratch["redirected"], FileMode.CreateNew, FileAccess.Write, FileShare.ReadWrite, bufferSize: 0);
        int descriptor = (int)file.SafeFileHandle.DangerousGetHandle();
        File.CreateSymbolicLink(_scratch["link"], $"/proc/self/fd/{descriptor}");
        OutputFile.Write($"/dev/fd/{descriptor}", "one "u8);
        OutputFile.Write($"/proc/{Environment.ProcessId}/fd/{descriptor}", "two "u8);
        OutputFile.Write(_scratch["link"], "three"u8);
        Assert.Equal("one two three", File.ReadAllText(_scratch["redirected"]));
        Assert.Equal(["link", "redirected"], Names());
    }

    [Fact]
    public void N15_files_of_somebody_else_next_to_it_stay()
    {
        foreach (string name in (string[])["proof.new", "proof.tmp", ".proof.tmp", "proof~"]) File.WriteAllText(_scratch[name], "not ours");
        OutputFile.Write(_scratch["proof"], "new"u8);
        foreach (string name in (string[])["proof.new", "proof.tmp", ".proof.tmp", "proof~"]) Assert.Equal("not ours", File.ReadAllText(_scratch[name]));
        Assert.Equal([".proof.tmp", "proof", "proof.new", "proof.tmp", "proof~"], Names());
    }

    [Fact]
    public void N15_a_failure_leaves_the_old_file_and_no_temporary_one()
    {
        File.WriteAllText(_scratch["proof"], "old");
        foreach (string failing in (string[])["pwrite", "fsync", "rename"])
        {
            using FaultScope full = FaultScope.On(_scratch.Root, (call, _) => call == failing ? FaultScope.Fail(FaultScope.NoSpace) : FaultScope.None);
            OutputFileException failure = Assert.Throws<OutputFileException>(() => OutputFile.Write(_scratch["proof"], "new"u8));
            Assert.Equal((FaultScope.NoSpace, true), (failure.Errno, failure.MayPass));
            Assert.Contains($"{_scratch["proof"]} cannot be written: ", failure.Message);
            Assert.Equal("old", File.ReadAllText(_scratch["proof"]));
            Assert.Equal(["proof"], Names());
        }
    }

    [Fact]
    public void N15_what_cannot_be_written_is_refused_by_name()
    {
        Directory.CreateDirectory(_scratch["folder"]);
        File.CreateSymbolicLink(_scratch["link"], "folder");
        Refuses(_scratch["folder"], "it is a directory");
        Refuses(_scratch["link"], "it is a directory");
        Refuses(_scratch["folder/"], "it is a directory");
        Refuses(_scratch["nothing/"], "not the name of a file");
        Refuses("", "not the name of a file");
        Refuses(_scratch["no/proof"], $"no such folder: {_scratch["no"]}");
        Assert.Equal(["folder", "link"], Names());

        static void Refuses(string path, string because)
        {
            OutputFileException refusal = Assert.Throws<OutputFileException>(() => OutputFile.Write(path, "new"u8));
            Assert.Contains(because, refusal.Message);
            Assert.StartsWith(path, refusal.Message);
        }
    }

    [Fact]
    public void N15_a_long_name_is_no_obstacle()
    {
        string name = new('ü', 127); // 254 bytes
        OutputFile.Write(_scratch[name], "new"u8);
        Assert.Equal([name], Names());
    }

    private IEnumerable<string> Names() =>
        Directory.EnumerateFileSystemEntries(_scratch.Root, "*", SearchOption.AllDirectories).Where(path => !path.StartsWith(_scratch["folder/"], StringComparison.Ordinal)).Select(path => Path.GetRelativePath(_scratch.Root, path)).Order(StringComparer.Ordinal);
}
