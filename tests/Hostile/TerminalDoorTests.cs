// N-08: the same hostile texts on their way to a person: the log of the servers, their lines on standard error, and everything that tlog prints.

using System.Text;
using Microsoft.Extensions.Logging;
using TransparencyLog.Hosting;
using TransparencyLog.Tests.Cli;

namespace TransparencyLog.Tests.Hostile;

/// <summary>Every door through which foreign text reaches a log or a terminal.</summary>
public sealed class TerminalDoorTests : IDisposable
{
    /// <summary>What a terminal obeys, what turns or hides text, what ends a line, and letters that look like others.</summary>
    private static readonly string[] Texts =
    [
        "\u009b2J", "\u001b[2J\u001b]0;title\a", "\u202egnp.exe", "\u2066a\u2069", "\u0085next", "\u007f\u007f", "a\nb", "a\r\nb", "\ttab", "\u2028\u2029", "\ufeff\u200b\u00ad\u200f", "\ue000", "\uff0e\u0430\u0435",
        "\U000e0041\U0001f600", "\ud800", "\udc00x", "\u0000",
    ];

    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(1);

    private readonly string _root = Directory.CreateTempSubdirectory("tlog-terminal-").FullName;
    private readonly Words _words = new();

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public void N08_the_log_of_the_servers_prints_arguments_sources_and_exceptions_as_ASCII()
    {
        StringBuilder written = new();
        LineQueue queue = new(bytes => written.Append(Encoding.UTF8.GetString(bytes)));
        using ConsoleLog log = new(queue, TimeProvider.System);
        foreach (string text in Texts)
        {
            log.CreateLogger($"source {text}").Log(LogLevel.Warning, new EventId(1, text), text, new InvalidOperationException(text, new IOException(text)), (state, failure) => $"{state} of {failure?.Message}");
        }

        Assert.True(queue.Flush(Patience));
        string[] lines = written.ToString().TrimEnd('\n').Split('\n');
        Assert.Equal(Texts.Length, lines.Length);
        Assert.All(lines, AssertPrintable);
    }

    [Fact]
    public void N08_the_lines_of_the_servers_print_messages_as_ASCII()
    {
        foreach (string text in Texts)
        {
            string line = StandardStreams.LineOf("tlog-server", $"config: no such file: {text}");
            AssertPrintable(line);
            Assert.StartsWith("tlog-server: config: no such file: ", line, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task N08_tlog_prints_names_paths_options_and_answers_as_ASCII()
    {
        string entry = Path.Combine(_root, "entry");
        await File.WriteAllBytesAsync(entry, _words.Log.Entries[0]);
        int printed = 0;
        foreach (string text in Texts)
        {
            bool isName = text.IndexOfAny(['\n', '\r', '\t', '\0']) < 0;
            byte[] policy = Encoding.UTF8.GetBytes(_words.Policy(witnessed: true).Replace("witness w", $"witness {(isName ? text : "w")}", StringComparison.Ordinal));
            string[][] commands =
            [
                ["policy", "check", Path.Combine(_root, "absent", text.Replace("\0", "", StringComparison.Ordinal))],
                ["verify", $"{_root}/absent {text.Replace("\0", "", StringComparison.Ordinal)}", "--entry", entry, "--policy", "none"],
                ["fsck", $"{_root}/absent {text.Replace("\0", "", StringComparison.Ordinal)}"],
                ["get", "http://127.0.0.1:1", text],
                ["get", $"http://host.invalid/{text}", "0"],
                [$"--{text}"],
                ["policy", text],
                ["verify", "a", "b", text],
                ["evidence", "verify", "-", "--vkey", text],
            ];
            foreach (string[] command in commands)
            {
                Tlog run = await Tlog.RunAsync(Encoding.UTF8.GetBytes($"c2sp.org/tlog-evidence@v1\n{text}\n"), command);
                Assert.NotEqual(0, run.Code);
                AssertLines(run);
                printed++;
            }

            Tlog check = await Tlog.RunAsync(policy, ["policy", "check", "-"]);
            AssertLines(check);
            if (check.Code == 0) printed++;
        }

        Assert.InRange(printed, 9 * Texts.Length, 10 * Texts.Length);
    }

    private static void AssertLines(Tlog run)
    {
        foreach (string line in run.Out.Split('\n').Concat(run.Error.Split('\n'))) AssertPrintable(line);
    }

    private static void AssertPrintable(string line) => Assert.False(line.AsSpan().ContainsAnyExceptInRange(' ', '~'), $"not printable ASCII: {PrintableText.Escape(line)}");
}
