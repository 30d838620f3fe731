using System.Runtime.InteropServices;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What `make build` leaves in bin/ is all that the programs need of it.</summary>
public sealed class BinTests
{
    private static readonly string Bin = Path.GetDirectoryName(Programs.Tool)!;

    // The names that .NET has for this system, as x64.
    private static readonly string Sodium = Path.Combine("runtimes", $"linux-{RuntimeInformation.OSArchitecture.ToString().ToLowerInvariant()}", "native", "libsodium.so");

    [Fact]
    public async Task Programs_run_from_bin_with_an_empty_home_in_any_folder()
    {
        foreach (string library in new[] { "NSec.Cryptography.dll", "BouncyCastle.Cryptography.dll", Sodium }) Assert.True(File.Exists(Path.Combine(Bin, library)), library);
        Assert.All(Directory.EnumerateDirectories(Path.Combine(Bin, "runtimes")), folder => Assert.StartsWith("linux", Path.GetFileName(folder)));

        using Scratch scratch = new();
        Directory.CreateDirectory(scratch["home"]);
        Directory.CreateDirectory(scratch["elsewhere"]);
        foreach (string[] command in new string[][]
        {
            [Programs.Tool, "keygen", "--origin", "example.com/k", "--out", "ed25519.pem"],
            [Programs.Tool, "keygen", "--origin", "example.com/k", "--type", "ml-dsa-44", "--out", "ml-dsa-44.pem"],
            [Programs.Server, "create", "--data", "log", "--origin", "example.com/k", "--key", "ed25519.pem", "--ml-dsa-key", "ml-dsa-44.pem"],
            [Programs.Witness, "create", "--data", "witness", "--name", "example.com/w"],
            [Programs.Tool, "fsck", "log"],
        })
        {
            Ended ended = await Programs.RunAsync("/usr/bin/env", ["-C", scratch["elsewhere"], $"HOME={scratch["home"]}", .. command]);
            Assert.True(ended.ExitCode == 0, $"{string.Join(' ', command)}: {ended}");
        }

        Assert.Empty(Directory.EnumerateFileSystemEntries(scratch["home"]));
    }

    [Fact]
    public async Task A_libcrypto_without_the_functions_leaves_the_hashes_to_the_base_library()
    {
        // The loader finds this one before that of the system. It is a library, and has no SHA-256 of OpenSSL.
        using Scratch scratch = new();
        Scratch.Copy(Bin, scratch["bin"]);
        foreach (string program in new[] { "tlog", "tlog-server" }) File.SetUnixFileMode(Path.Combine(scratch["bin"], program), File.GetUnixFileMode(Programs.Tool));
        File.Copy(Path.Combine(Bin, Sodium), Path.Combine(scratch["bin"], "libcrypto.so.3"));
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using (RunningProgram log = RunningProgram.Start(Path.Combine(scratch["bin"], "tlog-server"), ["serve", "--data", scratch["log"], "--listen", "http://127.0.0.1:0"]))
        {
            using LogClient client = new(await log.ListeningAsync());
            for (int i = 0; i < 5; i++) Assert.True((await client.AddAsync([(byte)i], "?wait=published")).IsAcknowledged);
            Assert.Equal(0, (await log.StopAsync()).ExitCode);
        }

        // The root is the one that libcrypto computes, and the other program computes it too; its loader says which libcrypto it was given.
        Ended with = await Programs.RunAsync(Programs.Tool, "fsck", scratch["log"]);
        await using RunningProgram checking = RunningProgram.Start(Path.Combine(scratch["bin"], "tlog"), ["fsck", scratch["log"]], new Dictionary<string, string> { ["LD_DEBUG"] = "files" });
        Ended without = await checking.EndAsync();
        Assert.True(with.ExitCode == 0 && without.ExitCode == 0, $"{with}{without.ExitCode}");
        Assert.Contains($"file={Path.Combine(scratch["bin"], "libcrypto.so.3")} ", without.Errors);
        Assert.Contains("\nsize 5\n", with.Output);
        Assert.Equal(Root(with), Root(without));

        static string Root(Ended ended) => ended.Output.Split('\n').Single(line => line.StartsWith("root ", StringComparison.Ordinal));
    }
}
