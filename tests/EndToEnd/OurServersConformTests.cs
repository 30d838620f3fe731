using System.Globalization;
using System.Text;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The conformance tester on our own programs: every gate that can be seen holds.</summary>
public sealed partial class OurServersConformTests
{
    [Fact]
    public async Task The_example_of_the_manual_runs_as_it_is_printed()
    {
        string manual = await File.ReadAllTextAsync(Path.Combine(Programs.Root, "spec/conformance-tester.md"));
        string[] blocks = [.. ShellBlock().Matches(manual).Select(match => match.Groups[1].Value)];
        Assert.Equal(2, blocks.Length);
        string logPort = Ports.Take().ToString(CultureInfo.InvariantCulture), witnessPort = Ports.Take().ToString(CultureInfo.InvariantCulture);
        string script = string.Concat(blocks)
            .Replace("127.0.0.1:2025", $"127.0.0.1:{logPort}", StringComparison.Ordinal)
            .Replace("127.0.0.1:2026", $"127.0.0.1:{witnessPort}", StringComparison.Ordinal)
            .Replace("127.0.0.1/2026", $"127.0.0.1/{witnessPort}", StringComparison.Ordinal);
        using Scratch scratch = new();
        Directory.CreateDirectory(scratch["house"]);
        File.CreateSymbolicLink(Path.Combine(scratch["house"], "bin"), Path.Combine(Programs.Root, "bin"));
        Ended ended = await Programs.RunAsync("/bin/bash", "-c", $"set -euo pipefail\ncd '{scratch["house"]}'\ntrap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT\n{script}");
        Assert.True(ended.ExitCode == 0, ended.ToString());
        Assert.Equal(2, Regex.Count(ended.Output, "^gates [0-9]+ pass, 0 fail, ", RegexOptions.Multiline | RegexOptions.NonBacktracking));
        Assert.Contains("pass          TW-23  M    sent: the right old size and a checkpoint of a smaller one; expected: 400; came: 400\n", ended.Output, StringComparison.Ordinal);
    }

    /// <summary>A log that grows while it is looked at: every row that a log answers for is observed, and holds.</summary>
    [Fact]
    public async Task A_log_that_grows_while_it_is_watched_holds_every_row_of_logs()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram server = Programs.Serve(scratch["log"]);
        Uri url = await server.ListeningAsync();
        using LogClient client = new(url);
        Assert.True((await client.AddBatchAsync(Entries(0, 1300))).IsAcknowledged && await client.WaitPublishedAsync(1300));
        Task<Ended> conform = Programs.RunAsync(Programs.Tool, "conform", "log", url.ToString(), "--vkey", vkey, "--watch", "3", "--json");
        for (int size = 1300; !conform.IsCompleted && size < 60_000; size += 37)
        {
            Assert.True((await client.AddBatchAsync(Entries(size, 37))).IsAcknowledged);
            await Task.WhenAny(conform, Task.Delay(TimeSpan.FromMilliseconds(50)));
        }

        Ended ended = await conform;
        Assert.True(ended.ExitCode == 0, ended.ToString());
        using JsonDocument report = JsonDocument.Parse(ended.Output);
        Dictionary<string, string> verdicts = report.RootElement.GetProperty("rows").EnumerateArray().ToDictionary(row => row.GetProperty("id").GetString()!, row => row.GetProperty("verdict").GetString()!);
        string[] asked = ["TT-01", "TT-02", "TT-03", "TT-04", "TT-06", "TT-07", "TT-09", "TT-10", "TT-11", "TT-12", "TT-13", "TT-14", "TT-19", "TT-23", "TT-24", "TT-25", "TT-26", "TT-34", "TT-40", "TT-41", "CP-05", "CP-06", "CP-09", "CP-10", "CP-14", "SN-10", "SN-20"];
        Assert.All(asked, id => Assert.Equal((id, "pass"), (id, verdicts[id])));
        Assert.Matches("^[3-9] sizes|^1[0-9] sizes", report.RootElement.GetProperty("rows").EnumerateArray().Single(row => row.GetProperty("id").GetString() == "CP-09").GetProperty("came").GetString());
    }

    private static byte[][] Entries(int from, int count) => [.. Enumerable.Range(from, count).Select(i => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"an entry with the number {i}")))];

    [GeneratedRegex("```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex ShellBlock();
}
