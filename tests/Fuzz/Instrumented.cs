// The code under test, instrumented and loaded beside the code as it is. This assembly is loaded a second time with it, so that its targets are bound
// to the instrumented parsers; the fuzzer runs there, and only types of the base library cross over.

using System.Reflection;
using System.Runtime.Loader;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>What the fuzzer knows of the instrumented code: for each edge its outermost type, and the constants with the first edge of their method.</summary>
internal sealed record Instrumentation(IReadOnlyList<string> Edges, IReadOnlyList<(int Edge, byte[] Word)> Words);

/// <summary>One fuzzing of one target.</summary>
/// <param name="Target">Its name.</param>
internal sealed record FuzzRun(string Target)
{
    /// <summary>Inputs to begin with, beside the target's own.</summary>
    public IReadOnlyList<byte[]> Corpus { get; init; } = [];

    /// <summary>Of the chance.</summary>
    public ulong Seed { get; init; } = 1;

    /// <summary>How many runs at most.</summary>
    public long Executions { get; init; } = long.MaxValue;

    /// <summary>How long at most.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromSeconds(20);

    /// <summary>Called with each input before it is run; null for nothing.</summary>
    public Action<byte[]>? Before { get; init; }

    /// <summary>Whether the first finding ends it.</summary>
    public bool StopAtFinding { get; init; }

    /// <summary>Whether the fewest and shortest inputs are wanted that take every edge that was taken.</summary>
    public bool Minimise { get; init; }
}

/// <summary>What it came to.</summary>
internal sealed record FuzzResult(string Target, long Executions, double Seconds, int Covered, int Known, int Everywhere, int Corpus, IReadOnlyList<Finding> Findings, IReadOnlyList<byte[]> Minimal)
{
    public static string Header => "| target | executions | per second | edges covered | of known | everywhere | corpus | findings |\n|---|---:|---:|---:|---:|---:|---:|---:|";

    public override string ToString() =>
        FormattableString.Invariant($"| {Target} | {Executions:#,0} | {Executions / Math.Max(Seconds, 0.001):#,0} | {Covered} | {Known} | {Everywhere} | {Corpus} | {Findings.Count} |");
}

/// <summary>Copies of our assemblies in which every edge is counted.</summary>
internal sealed class Instrumented : AssemblyLoadContext
{
    private static readonly string[] UnderTest = ["TransparencyLog", "TransparencyLog.Signing", "TransparencyLog.Storage", "TransparencyLog.Client", "tlog-server", "tlog-witness"];

    private static readonly Lazy<Instrumented> Loaded = new(() => new Instrumented());

    private readonly Dictionary<string, byte[]> _assemblies = new(StringComparer.Ordinal);
    private readonly MethodInfo _run;

    private Instrumented() : base("instrumented")
    {
        Instrumenter instrumenter = new();
        string own = typeof(Instrumented).Assembly.GetName().Name!;
        foreach (string name in UnderTest) _assemblies[name] = instrumenter.Instrument(PathOf(name), _ => true);

        // Of this assembly only the planted parsers.
        _assemblies[own] = instrumenter.Instrument(PathOf(own), type => type == typeof(PlantedParsers).FullName);
        Type border = LoadFromAssemblyName(new AssemblyName(own)).GetType(typeof(Border).FullName!)!;
        border.GetMethod(nameof(Border.Begin))!.Invoke(null, [instrumenter.Edges.ToArray(), instrumenter.Words.Select(word => word.Edge).ToArray(), instrumenter.Words.Select(word => word.Word).ToArray()]);
        _run = border.GetMethod(nameof(Border.Run))!;
    }

    /// <summary>Fuzzes one target in the instrumented code, one at a time.</summary>
    public static FuzzResult Fuzz(FuzzRun run)
    {
        lock (Loaded)
        {
            object[] result = (object[])Loaded.Value._run.Invoke(
                null, BindingFlags.DoNotWrapExceptions, null, [run.Target, run.Corpus.ToArray(), run.Seed, run.Executions, run.Time, run.Before, run.StopAtFinding, run.Minimise], null)!;
            (string What, byte[] Input)[] findings = ((string, byte[])[])result[6];
            return new FuzzResult(
                run.Target, (long)result[0], (double)result[1], (int)result[2], (int)result[3], (int)result[4], (int)result[5],
                [.. findings.Select(finding => new Finding(finding.What, finding.Input))], (byte[][])result[7]);
        }
    }

    protected override Assembly? Load(AssemblyName assemblyName) =>
        _assemblies.TryGetValue(assemblyName.Name!, out byte[]? bytes) ? LoadFromStream(new MemoryStream(bytes)) : null;

    private static string PathOf(string name) => Path.Combine(AppContext.BaseDirectory, $"{name}.dll");
}

/// <summary>The side of the border where everything is instrumented. Called by reflection.</summary>
internal static class Border
{
    private static Instrumentation? _code;

    public static void Begin(string[] edges, int[] wordEdges, byte[][] words) => _code = new Instrumentation(edges, [.. wordEdges.Zip(words)]);

    public static object[] Run(string target, byte[][] corpus, ulong seed, long executions, TimeSpan time, Action<byte[]>? before, bool stopAtFinding, bool minimise)
    {
        Target made = Targets.Make(target);
        Fuzzer fuzzer = new(made, _code!, seed) { Before = before, MaxFindings = stopAtFinding ? 1 : 20 };
        foreach (byte[] input in made.Seeds.Concat(corpus)) fuzzer.Add(input);
        long start = System.Diagnostics.Stopwatch.GetTimestamp(), already = fuzzer.Executions;
        fuzzer.Run(executions, time);
        double seconds = System.Diagnostics.Stopwatch.GetElapsedTime(start).TotalSeconds;
        (int covered, int known, int everywhere) = fuzzer.Edges();
        long done = fuzzer.Executions - already;
        return [done, seconds, covered, known, everywhere, fuzzer.Corpus.Count, fuzzer.Findings.Select(finding => (finding.What, finding.Input)).ToArray(), minimise ? fuzzer.Minimal().ToArray() : []];
    }
}
