// `make mutants`: every change that dotnet-stryker makes to a project, one at a time, under the tests of that project. Explicit, as it takes an hour: `make test` does not run it.
//
//   artifacts/mutants/NAME/    the test project NAME with the mutated assembly, and Stryker's list of the mutants (tests/mutants puts them there)
//   DEVTLOG_MUTANTS="NAME"        which
//   DEVTLOG_MUTANTS_FILES="A.cs"  only those of these files; all by default
//   DEVTLOG_MUTANTS_TESTS="A B"   only these classes of tests, each for every change: where others are slow, or which they come by takes long to find out
//   DEVTLOG_MUTANTS_LIVED="file"  and those that lived, of a table of an earlier run
//   DEVTLOG_MUTANTS_MINUTES=20    no more are begun after that; in an order by chance, so that those that were tried are a sample
//
// The table, and each mutant that lived, go to artifacts/mutants/NAME.md. A mutant that lives is a test that is missing, or has to be explained in explained.txt.

using System.Collections.Concurrent;
using System.Diagnostics;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.Mutants;

/// <summary>The long run.</summary>
public sealed class MutationCampaign(ITestOutputHelper output)
{
    private static readonly TimeSpan Quick = TimeSpan.FromSeconds(6);

    private enum Fate
    {
        Killed,
        TimedOut,
        Survived,
        Uncovered,
    }

    [Fact(Explicit = true)]
    public void Every_mutant_fails_a_test_or_is_explained()
    {
        string name = Environment.GetEnvironmentVariable("DEVTLOG_MUTANTS")!, root = Path.Combine(Repository.Root, "artifacts/mutants"), folder = Path.Combine(root, name);
        string[] files = Environment.GetEnvironmentVariable("DEVTLOG_MUTANTS_FILES")?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
        (Mutant[] mutants, int uncompiled, int covered, int same) = Mutant.Read(Path.Combine(folder, "mutation-report.json"));
        HashSet<(string File, string Original, string Replacement)> lived = Lived(Environment.GetEnvironmentVariable("DEVTLOG_MUTANTS_LIVED"));
        if (files.Length + lived.Count > 0) mutants = [.. mutants.Where(mutant => files.Contains(mutant.File, StringComparer.Ordinal) || lived.Contains((mutant.File, mutant.Original, mutant.Replacement)))];
        string[] unknown = [.. files.Except(mutants.Select(mutant => mutant.File), StringComparer.Ordinal)];
        Assert.True(unknown.Length == 0, $"nothing is changed in {string.Join(", ", unknown)}");
        MutatedSuite suite = new(name, folder);
        string[] given = Environment.GetEnvironmentVariable("DEVTLOG_MUTANTS_TESTS")?.Split(' ', StringSplitOptions.RemoveEmptyEntries) ?? [];
        string[] tests = [.. suite.Classes().Where(test => given.Length == 0 || given.Contains(test[(test.LastIndexOf('.') + 1)..], StringComparer.Ordinal))];

        ConcurrentDictionary<string, (HashSet<int>? Mutants, TimeSpan Time)> classes = new(StringComparer.Ordinal);
        ParallelOptions both = new() { MaxDegreeOfParallelism = Environment.ProcessorCount };
        Parallel.ForEach(tests, both, test =>
        {
            (int[]? found, TimeSpan time) = suite.Cover(test, given.Length > 0);
            classes[test] = (found is null ? null : [.. found], time);
        });
        output.WriteLine($"{mutants.Length} mutants, {classes.Count} classes of tests");

        ConcurrentDictionary<Mutant, Fate> fates = [];
        int done = 0;
        TimeSpan budget = Environment.GetEnvironmentVariable("DEVTLOG_MUTANTS_MINUTES") is { Length: > 0 } minutes ? TimeSpan.FromMinutes(double.Parse(minutes, CultureInfo.InvariantCulture)) : TimeSpan.MaxValue;
        Stopwatch time = Stopwatch.StartNew();
        if (budget < TimeSpan.MaxValue) Random.Shared.Shuffle(mutants);
        Parallel.ForEach(Partitioner.Create(mutants, EnumerablePartitionerOptions.NoBuffering), both, mutant =>
        {
            if (time.Elapsed > budget) return;
            Fate fate = fates[mutant] = Try(suite, classes, mutant);
            int tried = Interlocked.Increment(ref done);
            if (fate is Fate.Survived or Fate.Uncovered) output.WriteLine($"{tried} of {mutants.Length}: {fate} {mutant}");
        });

        int untried = mutants.Length - fates.Count;
        mutants = [.. fates.Keys];
        Assert.NotEmpty(mutants);
        List<Explained> explained = [.. Explained.Read()];
        Mutant[] alive = [.. fates.Where(pair => pair.Value is Fate.Survived or Fate.Uncovered).Select(pair => pair.Key).OrderBy(mutant => mutant.File, StringComparer.Ordinal).ThenBy(mutant => mutant.Id)];
        Mutant[] open = [.. alive.Where(mutant => !Excuse(mutant))];
        StringBuilder table = new();
        table.Append("| file | mutants | killed | out of time | explained | lived | score |\n|---|---:|---:|---:|---:|---:|---:|\n");
        foreach (IGrouping<string, Mutant> file in mutants.GroupBy(mutant => mutant.File).OrderBy(file => file.Key, StringComparer.Ordinal)) table.Append(Row($"`{file.Key}`", [.. file]));
        table.Append(Row("all", mutants));
        table.Append(CultureInfo.InvariantCulture, $"\nNot counted: {uncompiled} that do not compile, {covered} that another of the same block stands for, {same} that shift without a sign what has none, {untried} that there was no time for.\n\n");
        foreach (Mutant mutant in open) table.Append(CultureInfo.InvariantCulture, $"{mutant}{(fates[mutant] == Fate.Uncovered ? "\n(no test comes by)" : "")}\n");
        File.WriteAllText(Path.Combine(root, $"{name}.md"), table.ToString());
        output.WriteLine(table.ToString());
        Assert.True(open.Length == 0, $"{open.Length} mutants live and are not explained in tests/Mutants/explained.txt");

        // Each explanation is of one place: another one with the same text has to be killed, or to stand there as well.
        bool Excuse(Mutant mutant)
        {
            int at = explained.FindIndex(explanation => explanation.Is(mutant));
            if (at >= 0) explained.RemoveAt(at);
            return at >= 0;
        }

        string Row(string what, Mutant[] some)
        {
            int killed = some.Count(mutant => fates[mutant] == Fate.Killed), late = some.Count(mutant => fates[mutant] == Fate.TimedOut), unexplained = some.Count(open.Contains);
            return string.Create(CultureInfo.InvariantCulture, $"| {what} | {some.Length} | {killed} | {late} | {some.Length - killed - late - unexplained} | {unexplained} | {100.0 * (killed + late) / some.Length:F1} % |\n");
        }
    }

    private static HashSet<(string File, string Original, string Replacement)> Lived(string? table)
    {
        HashSet<(string File, string Original, string Replacement)> lived = [];
        string[] lines = table is { Length: > 0 } ? File.ReadAllLines(table) : [];
        for (int i = 0; i + 2 < lines.Length; i++)
        {
            if (lines[i + 1].StartsWith("- ", StringComparison.Ordinal) && lines[i + 2].StartsWith("+ ", StringComparison.Ordinal)) lived.Add((lines[i][..lines[i].LastIndexOf(':')], lines[i + 1][2..], lines[i + 2][2..]));
        }

        return lived;
    }

    /// <summary>First the classes that are quick, of those that come by the mutant; then the others, one by one.</summary>
    private static Fate Try(MutatedSuite suite, ConcurrentDictionary<string, (HashSet<int>? Mutants, TimeSpan Time)> classes, Mutant mutant)
    {
        KeyValuePair<string, (HashSet<int>? Mutants, TimeSpan Time)>[] coming = [.. classes.Where(test => test.Value.Mutants?.Contains(mutant.Id) != false).OrderBy(test => test.Value.Time)];
        if (coming.Length == 0) return Fate.Uncovered;
        string[] quick = [.. coming.Where(test => test.Value.Time < Quick).Select(test => test.Key)];
        IEnumerable<(string[] Classes, TimeSpan Limit)> runs = coming.Where(test => test.Value.Time >= Quick).Select(test => ((string[])[test.Key], (4 * test.Value.Time) + TimeSpan.FromSeconds(20)));
        if (quick.Length > 0) runs = runs.Prepend((quick, TimeSpan.FromSeconds(30)));
        foreach ((string[] some, TimeSpan limit) in runs)
        {
            MutatedSuite.End end = suite.Run(some, mutant.Id, limit, out _);
            if (end != MutatedSuite.End.Passed) return end == MutatedSuite.End.Failed ? Fate.Killed : Fate.TimedOut;
        }

        return Fate.Survived;
    }
}
