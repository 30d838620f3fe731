using System.Globalization;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>One system call of a traced program.</summary>
/// <param name="Begin">Its place in the order of all begins and returns of all threads.</param>
/// <param name="End">The place of its return; the largest number when it did not return.</param>
/// <param name="Seconds">When it began, since 1970.</param>
/// <param name="Name">As <c>fdatasync</c>.</param>
/// <param name="Arguments">As strace writes them: a descriptor with its file behind it, <c>7&lt;/path&gt;</c>.</param>
/// <param name="Result">The number returned.</param>
internal sealed record SystemCall(int Begin, int End, double Seconds, string Name, string Arguments, long Result)
{
    /// <summary>Whether the first argument is a descriptor of this file.</summary>
    public bool IsOn(string path) => Regex.IsMatch(Arguments, $"^\\d+<{Regex.Escape(path)}>", RegexOptions.None, TimeSpan.FromSeconds(1));

    public override string ToString() => $"{Name}({Arguments}) = {Result}";
}

/// <summary>Programs under strace: every system call of the chosen kinds, in the order in which they happened.</summary>
internal static partial class Trace
{
    private const string Kinds = "openat,creat,mkdir,mkdirat,rename,renameat,renameat2,pwrite64,fsync,fdatasync,sendto,sendmsg,write,writev";

    /// <summary>Why nothing can be traced here; null when it can.</summary>
    public static async Task<string?> WhyNotAsync()
    {
        try
        {
            Ended ended = await Programs.RunAsync("strace", "-D", "-o", "/dev/null", "true");
            return ended.ExitCode == 0 ? null : $"strace may not trace here: {ended.Errors}";
        }
        catch (System.ComponentModel.Win32Exception)
        {
            return "strace is not installed (make deps)";
        }
    }

    /// <summary>Starts a program with strace beside it: the process is the program itself. The trace is whole once it has ended.</summary>
    public static RunningProgram Start(string file, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null) =>
        RunningProgram.Start("strace", ["-D", "-f", "-q", "-y", "-ttt", "-s", "600", "-e", "trace=" + Kinds, "-e", "signal=none", "-o", file, program, .. arguments], environment);

    /// <summary>Reads the trace of a program that has ended.</summary>
    public static async Task<List<SystemCall>> ReadAsync(string file)
    {
        // The tracer writes its last lines when the program is gone already.
        int processes = 0;
        await Until.TrueAsync(() => Task.FromResult(File.ReadLines(file).LastOrDefault()?.Contains("+++ exited with", StringComparison.Ordinal) == true && processes == (processes = File.ReadLines(file).Count())), Until.Patience);
        List<SystemCall> calls = [];
        Dictionary<string, (int Begin, double Seconds, string Text)> open = [];
        string[] lines = await File.ReadAllLinesAsync(file);
        for (int i = 0; i < lines.Length; i++)
        {
            Match line = Line().Match(lines[i]);
            if (!line.Success) continue;
            string thread = line.Groups["thread"].Value, text = line.Groups["text"].Value;
            double seconds = double.Parse(line.Groups["time"].Value, CultureInfo.InvariantCulture);
            if (text.EndsWith(" <unfinished ...>", StringComparison.Ordinal))
            {
                open[thread] = (i, seconds, text[..^" <unfinished ...>".Length]);
                continue;
            }

            int begin = i;
            if (Resumed().Match(text) is { Success: true } resumed && open.Remove(thread, out (int Begin, double Seconds, string Text) first))
            {
                (begin, seconds, text) = (first.Begin, first.Seconds, first.Text + text[resumed.Length..]);
            }

            if (Call().Match(text) is { Success: true } call)
            {
                calls.Add(new SystemCall(begin, i, seconds, call.Groups["name"].Value, call.Groups["arguments"].Value, long.Parse(call.Groups["result"].Value, CultureInfo.InvariantCulture)));
            }
        }

        calls.AddRange(open.Values.Select(never => new SystemCall(never.Begin, int.MaxValue, never.Seconds, never.Text.Split('(')[0], never.Text, -1)));
        return [.. calls.OrderBy(call => call.Begin)];
    }

    [GeneratedRegex(@"^(?<thread>\d+)\s+(?<time>\d+\.\d+) (?<text>.*)$", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Line();

    [GeneratedRegex(@"^<\.\.\. \w+ resumed>", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Resumed();

    [GeneratedRegex(@"^(?<name>\w+)\((?<arguments>.*)\)\s+= (?<result>-?\d+)", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 1000)]
    private static partial Regex Call();
}
