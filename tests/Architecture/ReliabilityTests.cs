using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.Architecture;

/// <summary>
/// The rows of spec/reliability.md against the tests. A line of a table is a row when its first cell is one of the letters D, I, C, R, T, W, K, O, G, H, L, P, N, a hyphen, and two digits. Its last
/// cell names tests as `Class.Test`, or says why there is none: "reason: " and the reason, or a dash where the row is held by none yet.
/// </summary>
public sealed partial class ReliabilityTests
{
    private static readonly (string Letter, int First, int Last)[] Expected =
    [
        ("D", 1, 25), ("I", 1, 12), ("C", 1, 13), ("R", 1, 10), ("T", 1, 6), ("W", 1, 20), ("K", 17, 17), ("O", 1, 11), ("G", 1, 13), ("H", 1, 17), ("L", 1, 14), ("P", 1, 25), ("N", 1, 23),
    ];

    private static readonly string Page = File.ReadAllText(Path.Combine(Repository.Root, "spec/reliability.md"));

    [Fact]
    public void Every_row_is_there_once_and_held_by_tests_that_exist_or_by_a_reason()
    {
        List<string> faults = Faults(Page);
        Assert.True(faults.Count == 0, string.Join('\n', faults));
        Assert.InRange(RowPattern().Count(Page), 190, 190);
    }

    /// <summary>Each way for the page to be wrong is noticed: the page as it is, with one change.</summary>
    [Theory]
    [InlineData("| D-15 |", "| D-26 |", "D-15 is missing", "D-26 is not expected")]
    [InlineData("| C-04 |", "| C-05 |", "C-04 is missing", "C-05 is there twice")]
    [InlineData("`HaltTests.D10_a_register_that_fails", "`HaltTests.D10_no_register_that_fails", "there is no test HaltTests.D10_no_register_that_fails_stops_the_log_and_the_entries_stay")]
    [InlineData("reason: they write", "they write", "O-08 has neither a test nor a reason")]
    [InlineData("reason: they write to standard output and standard error only; no file of text is theirs", "reason: none", "O-08 has neither a test nor a reason")]
    public void A_page_that_is_wrong_in_one_place_is_noticed(string before, string after, params string[] faults)
    {
        int at = Page.IndexOf(before, StringComparison.Ordinal);
        Assert.InRange(at, 0, Page.Length);
        Assert.Equal(faults, Faults(Page[..at] + after + Page[(at + before.Length)..]));
    }

    private static List<string> Faults(string page)
    {
        List<string> faults = [];
        HashSet<string> expected = [.. Expected.SelectMany(list => Enumerable.Range(list.First, list.Last - list.First + 1).Select(number => $"{list.Letter}-{number:00}"))];
        Dictionary<string, string> rows = [];
        foreach (Match row in RowPattern().Matches(page))
        {
            if (!rows.TryAdd(row.Groups[1].Value, row.Groups[2].Value)) faults.Add($"{row.Groups[1].Value} is there twice");
        }

        faults.InsertRange(0, expected.Except(rows.Keys).Select(id => $"{id} is missing"));
        faults.AddRange(rows.Keys.Except(expected).Select(id => $"{id} is not expected"));
        foreach ((string id, string heldBy) in rows)
        {
            string[] named = [.. TestPattern().Matches(heldBy).Select(test => test.Groups[1].Value)];
            faults.AddRange(named.Where(test => !ConformanceTests.Tests.Contains(test)).Select(test => $"there is no test {test}"));

            // A reason says something: a dozen letters at least.
            bool reasoned = heldBy == "—" || (heldBy.StartsWith("reason: ", StringComparison.Ordinal) && heldBy.Length >= 20);
            if (named.Length == 0 && !reasoned) faults.Add($"{id} has neither a test nor a reason");
        }

        return faults;
    }

    [GeneratedRegex("^\\| ([DICRTWKOGHLPN]-[0-9]{2}) \\|[^|\\n]+\\|[^|\\n]+\\| ([^|\\n]*) \\|$", RegexOptions.CultureInvariant | RegexOptions.Multiline)]
    private static partial Regex RowPattern();

    [GeneratedRegex("`([A-Z][A-Za-z0-9]+\\.[A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+)`", RegexOptions.CultureInvariant)]
    private static partial Regex TestPattern();
}
