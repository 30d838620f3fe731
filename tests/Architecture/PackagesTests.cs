using System.Text.RegularExpressions;
using System.Xml.Linq;

namespace TransparencyLog.Tests.Architecture;

/// <summary>Packages are pinned, used, and have a reason; decisions have a date and a status.</summary>
public sealed partial class PackagesTests
{
    private static readonly string Decisions = Path.Combine(Repository.Root, "spec/decisions");

    [Fact]
    public void Every_pinned_package_is_used_and_stands_with_its_version_in_the_decision()
    {
        (string Name, string Version)[] pinned = [.. XDocument.Load(Path.Combine(Repository.Root, "Directory.Packages.props")).Descendants("PackageVersion")
            .Select(package => (package.Attribute("Include")!.Value, package.Attribute("Version")!.Value))];
        Assert.NotEmpty(pinned);
        HashSet<string> used = [.. Projects().SelectMany(file => XDocument.Load(file).Descendants("PackageReference")).Select(reference => reference.Attribute("Include")!.Value)];
        Assert.Equal(pinned.Select(package => package.Name).Order(StringComparer.Ordinal), used.Order(StringComparer.Ordinal));

        // The first word of a row, without what comes with it.
        string[] rows = [.. File.ReadAllLines(Path.Combine(Decisions, "packages.md"))];
        foreach ((string name, string version) in pinned)
        {
            Assert.Matches(Exact(), version);
            Assert.True(rows.Count(row => row.StartsWith($"| {name} | {version} |", StringComparison.Ordinal) || row.StartsWith($"| {name}, ", StringComparison.Ordinal) && row.Contains($" | {version} |", StringComparison.Ordinal)) == 1, $"{name} {version}");
        }
    }

    [Fact]
    public void Every_decision_has_a_date_and_a_status_and_stands_in_the_index()
    {
        string index = File.ReadAllText(Path.Combine(Decisions, "README.md"));
        string[] pages = [.. Directory.GetFiles(Decisions, "*.md").Where(page => Path.GetFileName(page) != "README.md")];
        Assert.NotEmpty(pages);
        foreach (string page in pages)
        {
            string name = Path.GetFileName(page), status = File.ReadAllLines(page)[2];
            Match match = Status().Match(status);
            Assert.True(match.Success, $"{name}: the third line is a date and a status: {status}");
            Assert.Contains($"[{name}]({name})", index);
            if (match.Groups["by"].Success) Assert.Contains(match.Groups["by"].Value, pages.Select(Path.GetFileName));
        }
    }

    private static IEnumerable<string> Projects() =>
        new[] { "src", "witness", "tests", "bench" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.csproj", SearchOption.AllDirectories))
            .Append(Path.Combine(Repository.Root, "Directory.Build.props"));

    [GeneratedRegex(@"^[0-9]+(\.[0-9]+){1,3}$")]
    private static partial Regex Exact();

    [GeneratedRegex(@"^2[0-9]{3}-[01][0-9]-[0-3][0-9] · (accepted|superseded by \[.*\]\((?<by>.*)\))\b")]
    private static partial Regex Status();
}
