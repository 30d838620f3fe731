// The short run: the inputs that are kept, and a moment of fuzzing from them. The seed is fixed, so that a run that fails can be repeated; DEVTLOG_FUZZ_SEED takes another.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Every parser of foreign bytes, from inputs that take every edge that was ever taken.</summary>
[Collection("one map of edges")]
public sealed class FuzzTests(ITestOutputHelper output)
{
    private const int Seed = 1;

    /// <summary>For each target: all targets together stay below some seconds.</summary>
    private static readonly TimeSpan Moment = TimeSpan.FromMilliseconds(80);

    public static TheoryData<string> Names => [.. Targets.Names];

    [Theory]
    [MemberData(nameof(Names))]
    public void P25_only_the_parsers_own_refusal_in_time_and_memory_and_what_it_accepts_is_what_it_writes(string target)
    {
        ulong seed = ulong.Parse(Environment.GetEnvironmentVariable("DEVTLOG_FUZZ_SEED") ?? Seed.ToString(CultureInfo.InvariantCulture), CultureInfo.InvariantCulture);
        FuzzResult result = Instrumented.Fuzz(new FuzzRun(target) { Corpus = Corpus.Read(Corpus.Kept, target), Seed = seed, Time = Moment });
        output.WriteLine($"seed {seed}\n{FuzzResult.Header}\n{result}");
        Assert.True(result.Findings.Count == 0, Describe(target, seed, result.Findings));

        // The inputs that are kept reach most of the parser: otherwise nothing was looked at.
        Assert.InRange(result.Covered, result.Known / 5, result.Known);
    }

    /// <summary>A finding in words, with its input in hexadecimal.</summary>
    internal static string Describe(string target, ulong seed, IEnumerable<Finding> findings) =>
        new StringBuilder().AppendJoin('\n', findings.Select(finding => $"{target}, seed {seed}: {finding.What}\n  input {Convert.ToHexStringLower(finding.Input)}")).ToString();
}
