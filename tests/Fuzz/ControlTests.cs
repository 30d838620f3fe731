// The fuzzer finds what it is there for, and says nothing where nothing is.

using System.Text;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Planted mistakes, each of which must be found, by the oracle that is there for it.</summary>
[Collection("one map of edges")]
public sealed class ControlTests
{
    private const long Many = 400_000;

    [Theory]
    [InlineData("planted-read", "exception: IndexOutOfRangeException in PlantedParsers.ReadOutside")]
    [InlineData("planted-word", "exception: IndexOutOfRangeException in PlantedParsers.ReadOutsideBehindWord")]
    [InlineData("planted-allocation", "memory: ")]
    [InlineData("planted-time", "time: longer than allowed")]
    [InlineData("planted-number", "oracle: a size: accepted, and formatted to other bytes")]
    [InlineData("planted-checksum", "exception: IndexOutOfRangeException in PlantedParsers.BehindChecksum")]
    public void A_planted_mistake_is_found(string target, string what)
    {
        FuzzResult result = Instrumented.Fuzz(new FuzzRun(target) { Executions = Many, StopAtFinding = true });
        Finding finding = Assert.Single(result.Findings);
        Assert.StartsWith(what, finding.What, StringComparison.Ordinal);

        // Made smaller while it was the same: a few bytes, but for the one whose length is the matter.
        if (target != "planted-time") Assert.InRange(finding.Input.Length, 4, 20);
    }

    [Fact]
    public void What_lies_behind_a_checksum_is_only_reached_by_inputs_that_are_mended()
    {
        FuzzResult result = Instrumented.Fuzz(new FuzzRun("planted-checksum-as-it-is") { Executions = Many / 4 });
        Assert.Empty(result.Findings);
        Assert.InRange(result.Executions, Many / 4, long.MaxValue);
    }

    [Fact]
    public void The_same_seed_gives_the_same_inputs_and_another_seed_gives_others()
    {
        Assert.Equal(Inputs(7), Inputs(7));
        Assert.NotEqual(Inputs(7), Inputs(8));

        static string Inputs(ulong seed)
        {
            StringBuilder all = new();
            Instrumented.Fuzz(new FuzzRun("tile-path") { Seed = seed, Executions = 2000, Before = input => all.AppendLine(Convert.ToHexString(input)) });
            return all.ToString();
        }
    }

    [Fact]
    public void Fuzzing_takes_edges_that_the_first_inputs_do_not_take_and_the_minimal_corpus_takes_them_all()
    {
        FuzzRun first = new("tile-path") { Executions = 0 }, longer = first with { Executions = 20_000, Minimise = true };
        FuzzResult before = Instrumented.Fuzz(first), after = Instrumented.Fuzz(longer);
        Assert.InRange(after.Covered, before.Covered + 1, after.Known);
        Assert.Equal(after.Covered, Instrumented.Fuzz(first with { Corpus = after.Minimal }).Covered);
        Assert.InRange(after.Minimal.Count, 1, after.Corpus);
    }
}
