using System.Formats.Tar;
using System.IO.Compression;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// Files of the build before Ed25519 came from libsodium and ML-DSA-44 from BouncyCastle (tests/vectors/earlier): logs with one key and with two,
/// a witness that cosigned both, key files, proofs, and evidence of a fork. They open, verify and go on.
/// </summary>
public sealed class EarlierVersionTests
{
    [Theory]
    [InlineData("log", 304)]
    [InlineData("two", 3)]
    public async Task Proofs_of_the_version_before_verify(string log, int size)
    {
        using Scratch files = Unpacked();
        Ended verified = await Programs.RunAsync(Programs.Tool, "verify", files[$"{log}.proof"], "--entry", files[$"{log}.entry"], "--policy", files["policy"]);
        Assert.True(verified.ExitCode == 0, verified.ToString());
        Assert.Contains($"\nsize {size}\n", verified.Output);
        // Both keys of the witness: Ed25519 and ML-DSA-44.
        Assert.Contains("\nwitness w1 ", verified.Output);
        Assert.Contains("\nwitness w2 ", verified.Output);

        await File.AppendAllTextAsync(files[$"{log}.entry"], "x", TestContext.Current.CancellationToken);
        Assert.Equal(1, (await Programs.RunAsync(Programs.Tool, "verify", files[$"{log}.proof"], "--entry", files[$"{log}.entry"], "--policy", files["policy"])).ExitCode);
    }

    [Fact]
    public async Task Evidence_of_the_version_before_convinces()
    {
        using Scratch files = Unpacked();
        Ended convinced = await Programs.RunAsync(Programs.Tool, "evidence", "verify", files["fork.tlog-evidence"], "--policy", files["policy"]);
        Assert.True(convinced.ExitCode == 0, convinced.ToString());
        Assert.Contains("fork", convinced.Output);
        Assert.Contains("earlier.example/log", convinced.Output);
    }

    [Fact]
    public async Task Key_files_of_the_version_before_are_read_and_are_the_same_keys()
    {
        using Scratch files = Unpacked();
        string ed25519 = await VkeyAsync(files, "ed25519"), mlDsa = await VkeyAsync(files, "ml-dsa-44");
        Ended created = await Programs.RunAsync(
            Programs.Server, "create", "--data", files["new"], "--origin", "earlier.example/key", "--key", files["ed25519.pem"], "--ml-dsa-key", files["ml-dsa-44.pem"]);
        Assert.True(created.ExitCode == 0, created.ToString());
        Assert.Equal($"{ed25519}\n{mlDsa}\n", created.Output);

        // The test key of Go's note package, as every version has read it.
        await File.WriteAllTextAsync(files["go"], "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n", TestContext.Current.CancellationToken);
        File.SetUnixFileMode(files["go"], UnixFileMode.UserRead | UnixFileMode.UserWrite);
        created = await Programs.RunAsync(Programs.Server, "create", "--data", files["of-go"], "--origin", "PeterNeumann", "--key", files["go"]);
        Assert.True(created.ExitCode == 0, created.ToString());
        Assert.Equal("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW\n", created.Output);
    }

    [Fact]
    public async Task Logs_and_a_witness_of_the_version_before_go_on_and_all_keys_sign()
    {
        using Scratch files = Unpacked();
        foreach (string data in new[] { "log", "log-ml-dsa" })
        {
            Ended whole = await Programs.RunAsync(Programs.Tool, "fsck", files[data]);
            Assert.True(whole.ExitCode == 0, whole.ToString());
        }

        await using RunningProgram witness = RunningProgram.Start(Programs.Witness, ["serve", "--data", files["witness"], "--listen", "http://127.0.0.1:0", "--logs", files["logs"]]);
        string url = (await witness.ListeningAsync()).ToString().TrimEnd('/');
        string policy = string.Concat((await File.ReadAllLinesAsync(files["policy"], TestContext.Current.CancellationToken)).Select(line =>
            line.StartsWith("witness ", StringComparison.Ordinal) ? $"{line[..line.LastIndexOf(' ')]} {url}\n" : line.StartsWith("group ", StringComparison.Ordinal) ? "group w all w1 w2\n" : $"{line}\n"));
        await File.WriteAllTextAsync(files["policy"], policy, TestContext.Current.CancellationToken);

        foreach ((string data, string name, int size, int lines) in new[] { ("log", "log", 304, 3), ("log-ml-dsa", "two", 3, 4) })
        {
            await using RunningProgram log = Programs.Serve(files[data], null, "--policy", files["policy"]);
            Uri at = await log.ListeningAsync();
            using LogClient client = new(at);

            // It grows under the witness's own memory of it, and every key of log and witness signs the new checkpoint.
            AddAnswer added = await client.AddAsync("of the version after"u8.ToArray(), "?wait=published");
            Assert.True(added.IsAcknowledged, added.Body);
            string checkpoint = Encoding.UTF8.GetString(await client.GetAsync("checkpoint"));
            Assert.Equal($"{size + 1}", checkpoint.Split('\n')[1]);
            Assert.Equal(lines, checkpoint.Split('\n').Count(line => line.StartsWith("— ", StringComparison.Ordinal)));
            await File.WriteAllTextAsync(files["proof"], added.Body, TestContext.Current.CancellationToken);
            await File.WriteAllTextAsync(files["entry"], "of the version after", TestContext.Current.CancellationToken);
            Ended verified = await Programs.RunAsync(Programs.Tool, "verify", files["proof"], "--entry", files["entry"], "--policy", files["policy"]);
            Assert.True(verified.ExitCode == 0, verified.ToString());
            Ended grown = await Programs.RunAsync(Programs.Tool, "fsck", at.ToString(), "--policy", files["policy"]);
            Assert.True(grown.ExitCode == 0, grown.ToString());
            Assert.Equal(0, (await log.StopAsync()).ExitCode);
        }

        Assert.Equal(0, (await witness.StopAsync()).ExitCode);
    }

    private static async Task<string> VkeyAsync(Scratch files, string name) => (await File.ReadAllTextAsync(files[$"{name}.vkey"], TestContext.Current.CancellationToken)).TrimEnd('\n');

    private static Scratch Unpacked()
    {
        Scratch files = new();
        using FileStream archive = File.OpenRead(Path.Combine(Programs.Root, "tests/vectors/earlier/version-0.1.tar.gz"));
        using GZipStream tar = new(archive, CompressionMode.Decompress);
        // With the modes of the keys.
        TarFile.ExtractToDirectory(tar, files[""], overwriteFiles: false);
        return files;
    }
}
