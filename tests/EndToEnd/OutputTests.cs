namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What the real tlog does where --out names something else than a file of its user: N-15.</summary>
public sealed class OutputTests
{
    /// <summary>In a mount namespace with a /dev of its own, so that the machine keeps its /dev/null whatever happens. $1 a folder, $2 tlog, $3 the log.</summary>
    private const string Devices = """
        set -e
        mount --make-rprivate /
        mount -t tmpfs none "$1"
        cp -a /dev/null /dev/urandom /dev/random /dev/zero "$1"
        ln -s /proc/self/fd/1 "$1/stdout"; ln -s /proc/self/fd "$1/fd"
        mount --bind "$1" /dev
        "$2" prove "$3" 0 --out /dev/null
        [ -c /dev/null ] && echo "null is a device"
        "$2" prove "$3" 0 --out /dev/stdout | cat
        [ -L /dev/stdout ] && echo "stdout is a link"
        "$2" prove "$3" 0 --out /dev/fd/3 3>&1 >/dev/null | tail -n 1
        { echo before; "$2" prove "$3" 0 --out /dev/stdout; echo after; } > "$1/redirected"
        head -n 1 "$1/redirected"; tail -n 2 "$1/redirected"
        ls -A /dev
        """;

    [Fact]
    public async Task N15_devices_and_the_standard_output_are_written_to_and_never_replaced()
    {
        await Privileges.RequireAsync("a /dev of its own");
        using Scratch scratch = new();
        await using RunningProgram log = await ServeAsync(scratch);
        string url = (await log.ListeningAsync()).ToString();
        string proof = (await Programs.RunAsync(Programs.Tool, "prove", url, "0", "--out", "-")).Output;
        Assert.StartsWith("c2sp.org/tlog-proof", proof);

        // Not in /dev/shm, which the other /dev hides.
        string folder = Directory.CreateTempSubdirectory("tlog-output-").FullName;
        try
        {
            Ended ended = await Programs.RunAsync("unshare", "--mount", "sh", "-c", Devices, "sh", folder, Programs.Tool, url);
            string last = proof.TrimEnd('\n').Split('\n')[^1];
            Assert.Equal(
                new Ended(0, $"0\nnull is a device\n{proof}0\nstdout is a link\n{last}\nbefore\n0\nafter\nfd\nnull\nrandom\nredirected\nstdout\nurandom\nzero\n", ""), ended);
        }
        finally
        {
            Directory.Delete(folder, recursive: true);
        }
    }

    [Fact]
    public async Task N15_a_file_of_another_owner_is_replaced_and_nobody_more_may_read_it()
    {
        await Privileges.RequireAsync("a second user");
        string[] nobody = ["--reuid", "65534", "--regid", "65534", "--clear-groups", Programs.Tool];
        if (FileSystem.Find("setpriv") is not string setpriv || (await Programs.RunAsync(setpriv, [.. nobody, "--version"])).ExitCode != 0) Privileges.Skip("another user cannot start the programs");
        using Scratch scratch = new();
        await using RunningProgram log = await ServeAsync(scratch);
        string url = (await log.ListeningAsync()).ToString();
        Directory.CreateDirectory(scratch["open"], (UnixFileMode)0b111_111_111);
        File.SetUnixFileMode(scratch["open"], (UnixFileMode)0b111_111_111);
        string proof = scratch["open/proof"];
        await File.WriteAllTextAsync(proof, "old");
        File.SetUnixFileMode(proof, (UnixFileMode)0b110_110_000);

        // Its group, root's, cannot be given to a file of nobody: so the group of nobody gets what others had, which is nothing.
        Ended ended = await Programs.RunAsync("setpriv", [.. nobody, "prove", url, "0", "--out", proof]);
        Assert.Equal(new Ended(0, "0\n", ""), ended);
        Assert.Equal((UnixFileMode)0b110_000_000, File.GetUnixFileMode(proof));
        Assert.StartsWith("c2sp.org/tlog-proof", await File.ReadAllTextAsync(proof));

        // Where the folder may not be written the message names it, and the file stays.
        File.SetUnixFileMode(scratch["open"], (UnixFileMode)0b111_101_101);
        ended = await Programs.RunAsync("setpriv", [.. nobody, "prove", url, "0", "--out", proof]);
        Assert.Equal(new Ended(2, "", $"tlog: {proof} cannot be written: this user may not create files in the folder {scratch["open"]}\n"), ended);
        Assert.Equal([proof], Directory.GetFileSystemEntries(scratch["open"]));
    }

    private static async Task<RunningProgram> ServeAsync(Scratch scratch)
    {
        await Programs.CreateLogAsync(scratch["log"]);
        RunningProgram log = Programs.Serve(scratch["log"]);
        await File.WriteAllTextAsync(scratch["entry"], "hello");
        Ended added = await Programs.RunAsync(Programs.Tool, "add", (await log.ListeningAsync()).ToString(), scratch["entry"], "--wait", "published");
        Assert.True(added.ExitCode == 0, added.ToString());
        return log;
    }
}
