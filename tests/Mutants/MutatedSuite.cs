using System.Diagnostics;
using System.Globalization;

namespace TransparencyLog.Tests.Mutants;

/// <summary>A test project with the mutated assembly beside it, in a folder of its own: each run is a process of its own, with one mutant or none.</summary>
internal sealed class MutatedSuite(string name, string folder)
{
    private readonly string _program = Path.Combine(folder, $"TransparencyLog.Tests.{name}");

    /// <summary>How a run ended.</summary>
    public enum End
    {
        Passed,
        Failed,
        OutOfTime,
    }

    /// <summary>The classes with tests.</summary>
    public string[] Classes() => [.. Lines("-list", "classes").Where(line => line.StartsWith("TransparencyLog.", StringComparison.Ordinal))];

    /// <summary>Which mutants a class comes by, and how long it takes without any. Null where it is not through after a minute, for every step is counted, or not asked: it may come by any.</summary>
    public (int[]? Mutants, TimeSpan Time) Cover(string test, bool timeAlone)
    {
        Stopwatch time = Stopwatch.StartNew();
        End end = Run([test], null, TimeSpan.FromMinutes(5), out string failed);
        if (end != End.Passed) throw new InvalidOperationException($"{test} without a mutant: {end} {failed}");
        TimeSpan took = time.Elapsed;
        if (timeAlone) return (null, took);
        string scratch = Directory.CreateTempSubdirectory("tlog-mutants-").FullName;
        try
        {
            if (Start([test], new() { ["STRYKER_COVERAGE_FILE"] = "covered.txt", ["TMPDIR"] = scratch }, TimeSpan.FromMinutes(1), out _) == End.OutOfTime) return (null, took);
            int[] covered =
            [
                .. Directory.EnumerateFiles(scratch, "covered-*.txt")
                    .SelectMany(file => File.ReadAllText(file).Split([',', ';'], StringSplitOptions.RemoveEmptyEntries))
                    .Select(id => int.Parse(id, CultureInfo.InvariantCulture))
                    .Distinct(),
            ];
            return (covered, took);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    /// <summary>Runs classes until a test fails; what failed, when one did.</summary>
    public End Run(string[] classes, int? mutant, TimeSpan limit, out string failed)
    {
        string scratch = Directory.CreateTempSubdirectory("tlog-mutants-").FullName;
        try
        {
            Dictionary<string, string> variables = new()
            {
                ["STRYKER_MUTANT_ID_CONTROL_VAR"] = "DEVTLOG_MUTANT",
                ["DEVTLOG_MUTANT"] = (mutant ?? -1).ToString(CultureInfo.InvariantCulture),
                ["TMPDIR"] = scratch,
            };
            return Start(classes, variables, limit, out failed);
        }
        finally
        {
            Directory.Delete(scratch, recursive: true);
        }
    }

    private End Start(string[] classes, Dictionary<string, string> variables, TimeSpan limit, out string failed)
    {
        // A mutant may write without end: neither files nor memory of more than this.
        ProcessStartInfo start = new("prlimit") { RedirectStandardOutput = true, RedirectStandardError = true, UseShellExecute = false };
        foreach (string argument in (string[])["--fsize=1000000000", "--core=0", "--", _program, "-noLogo", "-noColor", "-stopOnFail", .. classes.SelectMany(test => new[] { "-class", test })]) start.ArgumentList.Add(argument);
        start.Environment["DOTNET_GCHeapHardLimit"] = "0x80000000";
        start.Environment["DOTNET_TieredPGO"] = "0";
        foreach ((string variable, string value) in variables) start.Environment[variable] = value;
        using Process process = Process.Start(start)!;
        Task<string> output = process.StandardOutput.ReadToEndAsync(), errors = process.StandardError.ReadToEndAsync();
        bool ended = process.WaitForExit(limit);
        if (!ended)
        {
            using (Process stop = Process.Start("kill", ["-TERM", process.Id.ToString(CultureInfo.InvariantCulture)])) stop.WaitForExit();
            if (!process.WaitForExit(TimeSpan.FromSeconds(10))) process.Kill(entireProcessTree: true);
            process.WaitForExit();
        }

        // The disks of the sweeps are in memory, by the process that made them.
        if (Directory.Exists("/dev/shm"))
        {
            foreach (string left in Directory.EnumerateDirectories("/dev/shm", $"tlog-sweep-{process.Id.ToString(CultureInfo.InvariantCulture)}-*")) Directory.Delete(left, recursive: true);
        }

        failed = ended ? output.Result.Split('\n').FirstOrDefault(line => line.EndsWith("[FAIL]", StringComparison.Ordinal))?.Trim() ?? "" : "";
        _ = errors.Result;
        return !ended ? End.OutOfTime : process.ExitCode == 0 ? End.Passed : End.Failed;
    }

    private string[] Lines(params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(_program, arguments) { RedirectStandardOutput = true, UseShellExecute = false })!;
        string[] lines = process.StandardOutput.ReadToEnd().Split('\n', StringSplitOptions.RemoveEmptyEntries | StringSplitOptions.TrimEntries);
        process.WaitForExit();
        return lines;
    }
}
