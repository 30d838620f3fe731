using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.Architecture;

/// <summary>
/// spec/conformance.md against the tests and the code. A line of a table is a row when its first cell is an ID: two capitals, a hyphen, two digits
/// (chapters 1 to 7), or one capital (failures). Its last cell names tests as `Class.Test`, or begins with the word of a reason.
/// </summary>
public sealed partial class ConformanceTests
{
    /// <summary>Every row there is, by prefix and the first and last number.</summary>
    private static readonly (string Prefix, int First, int Last)[] Expected =
    [
        ("SN", 1, 28), ("CP", 1, 14), ("TT", 1, 42), ("CO", 1, 25), ("TW", 1, 12), ("TW", 20, 43), ("TW", 50, 64), ("TW", 70, 78), ("ST", 1, 4), ("PR", 1, 10), ("PO", 1, 20),
    ];

    private static readonly string[] ExpectedFailures = ["D-01", "D-06", "D-14", "D-15", "D-17", "I-09", "C-01", "R-01", "R-05", "W-01", "W-03", "W-05", "G-04", "G-07"];

    private static readonly string[] Levels = ["M", "MN", "m", "D", "S", "SN", "MAY"];

    private static readonly string[] ReasonWords = ["not yet: ", "others: ", "reason: "];

    private static readonly string Page = File.ReadAllText(Path.Combine(Repository.Root, "spec/conformance.md"));

    /// <summary>Every test there is, as Class.Method.</summary>
    internal static readonly HashSet<string> Tests = [.. FilesIn("tests").SelectMany(file => TestsIn(File.ReadAllLines(file)))];

    [Fact]
    public void Every_row_is_there_once_and_held_by_a_test_that_exists_or_by_a_written_reason()
    {
        Assert.InRange(Tests.Count, 300, 100_000);
        List<string> faults = Faults(Page, Tests);
        Assert.True(faults.Count == 0, string.Join('\n', faults));
    }

    [Fact]
    public void Comments_in_the_code_name_rows_that_exist()
    {
        HashSet<string> rows = [.. RowsOf(Page).Select(row => row.Id)];
        List<string> cited = [];
        foreach (string file in FilesIn("src").Concat(FilesIn("witness")))
        {
            foreach (Match comment in CommentPattern().Matches(File.ReadAllText(file)))
            {
                cited.Add(comment.Groups[1].Value);
                Assert.True(rows.Contains(comment.Groups[1].Value), $"{file}: {comment.Value}");
            }
        }

        Assert.InRange(cited.Count, 80, 10_000);
    }

    [Fact]
    public void Names_of_tests_name_rows_that_exist()
    {
        HashSet<string> rows = [.. RowsOf(Page).Select(row => row.Id)];
        string[] named = [.. Tests.SelectMany(test => NamePattern().Matches(test)).Select(name => $"{name.Groups[1].Value}-{name.Groups[2].Value}").Distinct()];
        Assert.InRange(named.Length, 60, 10_000);
        Assert.Empty(named.Except(rows));
    }

    /// <summary>Each way for the page to be wrong is noticed: the page as it is, with one change.</summary>
    [Theory]
    [InlineData("| TW-23 | M |", "| TW-19 | M |", "TW-23 is missing", "TW-19 is not expected")]
    [InlineData("| TW-24 | D |", "| TW-23 | D |", "TW-23 is there twice", "TW-24 is missing")]
    [InlineData("| SN-11 | M |", "| SN-11 | MUST |", "SN-11 has no level")]
    [InlineData("`StatusTests.TW23_old_size_above_checkpoint_size_is_400` |\n| TW-24", "`StatusTests.TW23_no_such_test` |\n| TW-24", "there is no test StatusTests.TW23_no_such_test")]
    [InlineData("`StatusTests.TW23_old_size_above_checkpoint_size_is_400` |\n| TW-24", "obviously |\n| TW-24", "TW-23 has neither")]
    [InlineData("`StatusTests.TW23_old_size_above_checkpoint_size_is_400` |\n| TW-24", " |\n| TW-24", "TW-23 has neither")]
    [InlineData("reason: none is ever stored; a partial tile is the beginning of the full one, so all of them stay available", "reason: none", "TT-20 has neither")]
    [InlineData("| W-05 |", "| W-06 |", "W-05 is missing", "W-06 is not expected", "W-06 has no test with its number")]
    [InlineData("`StatusTests.W05_a_forged_line_with_our_name_is_not_stored_and_blocks_nothing`", "reason: it has been like this for ages", "W-05 has no test with its number")]
    public void A_page_that_is_wrong_in_one_place_is_noticed(string before, string after, params string[] faults)
    {
        Assert.Contains(before, Page, StringComparison.Ordinal);
        int at = Page.IndexOf(before, StringComparison.Ordinal);
        List<string> found = [.. Faults(Page[..at] + after + Page[(at + before.Length)..], Tests).Except(Faults(Page, Tests))];
        Assert.Equal(faults.Length, found.Count);
        foreach (string fault in faults) Assert.Contains(found, one => one.StartsWith(fault, StringComparison.Ordinal));
    }

    private sealed record Row(string Id, string Level, string HeldBy)
    {
        public string[] Named => [.. TestPattern().Matches(HeldBy).Select(test => test.Groups[1].Value)];
    }

    private static List<string> Faults(string page, HashSet<string> tests)
    {
        List<string> faults = [];
        List<Row> rows = RowsOf(page);
        HashSet<string> expected = [.. Expected.SelectMany(range => Enumerable.Range(range.First, range.Last - range.First + 1).Select(number => $"{range.Prefix}-{number:00}")), .. ExpectedFailures];
        Dictionary<string, int> counts = rows.CountBy(row => row.Id).ToDictionary();
        faults.AddRange(expected.Except(counts.Keys).Select(id => $"{id} is missing"));
        faults.AddRange(counts.Keys.Except(expected).Select(id => $"{id} is not expected"));
        faults.AddRange(counts.Where(count => count.Value > 1).Select(count => $"{count.Key} is there twice"));
        faults.AddRange(TestPattern().Matches(page).Select(test => test.Groups[1].Value).Distinct().Where(test => !tests.Contains(test)).Select(test => $"there is no test {test}"));
        foreach (Row row in rows)
        {
            if (IsFailure(row))
            {
                string number = row.Id.Replace("-", "", StringComparison.Ordinal) + "_";
                if (!row.Named.Any(test => test.Contains(number, StringComparison.Ordinal))) faults.Add($"{row.Id} has no test with its number in its name");
                continue;
            }

            if (!Levels.Contains(row.Level)) faults.Add($"{row.Id} has no level, but '{row.Level}'");

            // A reason says something: "reason: " and a dozen letters at least.
            bool reasoned = ReasonWords.Any(word => row.HeldBy.StartsWith(word, StringComparison.Ordinal) && row.HeldBy.Length >= word.Length + 12);
            if (row.Named.Length == 0 && !reasoned) faults.Add($"{row.Id} has neither a test nor a reason: '{row.HeldBy}'");
        }

        return faults;
    }

    private static bool IsFailure(Row row) => row.Id[1] == '-';

    private static List<Row> RowsOf(string page)
    {
        List<Row> rows = [];
        foreach (string line in page.Split('\n'))
        {
            string[] cells = [.. line.Split('|').Select(cell => cell.Trim())];
            if (cells.Length < 2 || !RowPattern().IsMatch(cells[1])) continue;
            bool failure = cells[1][1] == '-';
            Assert.True(cells.Length == (failure ? 5 : 6), $"a row has {(failure ? 3 : 4)} cells: {line}");
            rows.Add(new Row(cells[1], failure ? "" : cells[2], cells[^2]));
        }

        return rows;
    }

    /// <summary>Class.Method of every method behind a [Fact] or a [Theory].</summary>
    private static IEnumerable<string> TestsIn(string[] lines)
    {
        string type = "";
        bool marked = false;
        foreach (string line in lines)
        {
            if (ClassPattern().Match(line) is { Success: true } found) type = found.Groups[1].Value;
            marked |= MarkPattern().IsMatch(line);
            if (!marked || MethodPattern().Match(line) is not { Success: true } method) continue;
            marked = false;
            yield return $"{type}.{method.Groups[1].Value}";
        }
    }

    private static IEnumerable<string> FilesIn(string folder) =>
        Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal);

    [GeneratedRegex("^[A-Z]{1,2}-[0-9]{2}$", RegexOptions.CultureInvariant)]
    private static partial Regex RowPattern();

    [GeneratedRegex("`([A-Z][A-Za-z0-9]+\\.[A-Z][A-Za-z0-9]*_[A-Za-z0-9_]+)`", RegexOptions.CultureInvariant)]
    private static partial Regex TestPattern();

    [GeneratedRegex("SPEC ([A-Z]{2}-[0-9]+)", RegexOptions.CultureInvariant)]
    private static partial Regex CommentPattern();

    [GeneratedRegex("(?<![A-Za-z0-9])(SN|CP|TT|CO|TW|ST|PR|PO)([0-9]{2})(?=_)", RegexOptions.CultureInvariant)]
    private static partial Regex NamePattern();

    [GeneratedRegex("^(?:public |internal )(?:sealed |static |partial |abstract )*class ([A-Za-z0-9]+)", RegexOptions.CultureInvariant)]
    private static partial Regex ClassPattern();

    [GeneratedRegex("^\\s+\\[(?:Fact|Theory)[,(\\]]", RegexOptions.CultureInvariant)]
    private static partial Regex MarkPattern();

    [GeneratedRegex("^\\s+public (?:async )?(?:void|Task|ValueTask) ([A-Za-z0-9_]+)\\(", RegexOptions.CultureInvariant)]
    private static partial Regex MethodPattern();
}
