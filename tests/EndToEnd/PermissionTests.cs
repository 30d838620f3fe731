namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What a user who is not root is told of a directory that is closed to that user (N-01): path, mode and user, and never that a new log or witness may be made there.</summary>
public sealed class PermissionTests : IDisposable
{
    private const string Nobody = "65534";

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task N01_another_user_is_told_path_mode_and_user_and_never_to_create()
    {
        if (!Environment.IsPrivilegedProcess || FileSystem.Find("setpriv") is not string setpriv)
        {
            Privileges.Skip("another user needs root and setpriv");
            return;
        }

        // The programs where any user may read them.
        string bin = _scratch["bin"], log = _scratch["log"], witness = _scratch["witness"], logs = _scratch["logs"];
        Scratch.Copy(Path.GetDirectoryName(Programs.Server)!, bin);
        foreach (string path in Directory.EnumerateFileSystemEntries(bin, "*", SearchOption.AllDirectories).Append(bin).Append(Path.GetDirectoryName(bin)!)) File.SetUnixFileMode(path, (UnixFileMode)0b111_101_101);
        string vkey = await Programs.CreateLogAsync(log);
        await File.WriteAllTextAsync(logs, $"log {vkey.Split('\n')[0]}\n");
        Assert.Equal(0, (await Programs.RunAsync(Programs.Witness, "create", "--data", witness, "--name", "witness.example/w")).ExitCode);
        (string Program, string[] Arguments, string Closed)[] commands =
        [
            ("tlog-server", ["serve", "--data", log, "--listen", "http://127.0.0.1:0"], log),
            ("tlog-server", ["resume", "--data", log, "--reason", "a test"], log),
            ("tlog", ["fsck", log], log),
            ("tlog", ["backup", log, Path.Combine("/tmp", $"tlog-{Guid.NewGuid():N}")], log),
            ("tlog-witness", ["serve", "--data", witness, "--logs", logs, "--listen", "http://127.0.0.1:0"], witness),
        ];
        foreach ((string program, string[] arguments, string closed) in commands)
        {
            File.SetUnixFileMode(closed, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
            Ended ended = await Programs.RunAsync(setpriv, [$"--reuid={Nobody}", $"--regid={Nobody}", "--clear-groups", Path.Combine(bin, program), .. arguments]);
            Assert.True(ended.ExitCode == 3, $"{program} {string.Join(' ', arguments)}: {ended}");
            Assert.Contains(closed, ended.Errors, StringComparison.Ordinal);
            Assert.Contains($"runs as user {Nobody}", ended.Errors, StringComparison.Ordinal);
            Assert.Contains($"{closed} has mode 0700", ended.Errors, StringComparison.Ordinal);
            Assert.DoesNotContain("create", ended.Errors, StringComparison.Ordinal);
        }
    }
}
