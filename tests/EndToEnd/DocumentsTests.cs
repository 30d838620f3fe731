using System.Globalization;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The commands that documents show are run, and what they link to is there.</summary>
public sealed partial class DocumentsTests
{
    [Fact]
    public async Task The_tour_of_the_readme_runs_as_it_is_printed()
    {
        string readme = await File.ReadAllTextAsync(Path.Combine(Programs.Root, "README.md"));
        string[] blocks = [.. ShellBlock().Matches(readme).Select(match => match.Groups[1].Value)];
        Assert.Equal(6, blocks.Length);
        Assert.Equal(await File.ReadAllTextAsync(Path.Combine(Programs.Root, "samples/Append/Program.cs")), CSharpBlock().Match(readme).Groups[1].Value);

        // The C# runs where the text says: before the last line of the first block.
        const string Last = "kill $first; wait $first\n";
        Assert.EndsWith(Last, blocks[0], StringComparison.Ordinal);
        blocks[0] = blocks[0][..^Last.Length] + $"'{Programs.Root}/artifacts/bin/TransparencyLog.Samples.Append/release/sample-append' http://127.0.0.1:2025\n{Last}";
        string script = string.Concat(blocks)
            .Replace("127.0.0.1:2025", $"127.0.0.1:{Ports.Take().ToString(CultureInfo.InvariantCulture)}", StringComparison.Ordinal)
            .Replace("127.0.0.1:2026", $"127.0.0.1:{Ports.Take().ToString(CultureInfo.InvariantCulture)}", StringComparison.Ordinal);
        using Scratch scratch = new();
        Directory.CreateDirectory(scratch["house"]);
        foreach (string name in new[] { "bin", "README.md", "LICENSE" }) File.CreateSymbolicLink(Path.Combine(scratch["house"], name), Path.Combine(Programs.Root, name));

        // Whatever happens, what the script started ends with it.
        string guarded = $"set -euo pipefail\ncd '{scratch["house"]}'\ntrap 'kill -9 $(jobs -p) 2> /dev/null || true' EXIT\n{script}";
        Ended ended = await Programs.RunAsync("/bin/bash", "-c", guarded);
        Assert.True(ended.ExitCode == 0, ended.ToString());
        Assert.Contains("refused, as it must be", ended.Output, StringComparison.Ordinal);
        Assert.Contains("c2sp.org/tlog-proof@v1", ended.Output, StringComparison.Ordinal);
        Assert.Contains("index 1, size 2, origin log.example/first\n", ended.Output, StringComparison.Ordinal);
        Assert.Contains("\n1001\n", ended.Output, StringComparison.Ordinal);
        Assert.Equal(4, Regex.Count(ended.Output, "^entries 1002$", RegexOptions.Multiline | RegexOptions.NonBacktracking));
    }

    [Fact]
    public async Task Make_run_starts_both_and_a_second_one_continues_the_same_log()
    {
        using Scratch scratch = new();
        string first = await RunAsync(scratch), second = await RunAsync(scratch);
        Assert.Contains("\n— log.example/demo ", first, StringComparison.Ordinal);
        Assert.Contains("\n— witness.example/demo ", first, StringComparison.Ordinal);
        Assert.Contains("index 0\nsize 1\norigin log.example/demo\n", first, StringComparison.Ordinal);
        Assert.Contains("index 0\nsize 1\norigin log.example/demo\n", second, StringComparison.Ordinal);

        // The same key signs the same head: Ed25519 is deterministic.
        Assert.Equal(LineOf(first, "— log.example/demo "), LineOf(second, "— log.example/demo "));
    }

    [Fact]
    public void Every_link_of_the_documents_leads_somewhere()
    {
        string[] documents = [Path.Combine(Programs.Root, "README.md"), Path.Combine(Programs.Root, "CONTRIBUTING.md"), .. Directory.GetFiles(Path.Combine(Programs.Root, "spec"), "*.md", SearchOption.AllDirectories)];
        int links = 0;
        foreach (string document in documents)
        {
            foreach (Match link in Link().Matches(File.ReadAllText(document)))
            {
                string target = link.Groups[1].Value.Split('#')[0];
                if (target.StartsWith("http", StringComparison.Ordinal) || target.Length == 0) continue;
                string path = Path.Combine(Path.GetDirectoryName(document)!, target);
                Assert.True(File.Exists(path) || Directory.Exists(path), $"{document}: {target}");
                links++;
            }
        }

        Assert.InRange(links, 15, int.MaxValue);
    }

    private static async Task<string> RunAsync(Scratch scratch)
    {
        Dictionary<string, string> settings = new(StringComparer.Ordinal)
        {
            ["DEVTLOG_RUN_DIR"] = scratch["run"],
            ["DEVTLOG_RUN_PORT"] = Ports.TakePair().ToString(CultureInfo.InvariantCulture),
        };
        await using RunningProgram run = RunningProgram.Start(Path.Combine(Programs.Root, "src/run"), [], settings);
        bool complete = await Until.TrueAsync(() => Task.FromResult(run.HasEnded || run.Output.Contains("Stop: Ctrl-C.", StringComparison.Ordinal)), Until.Patience);
        string output = run.Output;
        Assert.True(complete && !run.HasEnded, $"{output}{run.Errors}");
        Ended ended = await run.StopAsync();
        Assert.Equal(143, ended.ExitCode);
        return output;
    }

    private static string LineOf(string text, string start) => text.Split('\n').First(line => line.StartsWith(start, StringComparison.Ordinal));

    [GeneratedRegex("```sh\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex ShellBlock();

    [GeneratedRegex("```csharp\n(.*?)```", RegexOptions.Singleline)]
    private static partial Regex CSharpBlock();

    [GeneratedRegex(@"\]\(([^)\s]+)\)", RegexOptions.NonBacktracking)]
    private static partial Regex Link();
}
