using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.Architecture;

/// <summary>Operators filter the log by event id, so an id means one event in each program. What both servers share counts for each of them.</summary>
public sealed partial class EventIdTests
{
    [Theory]
    [InlineData("src/Server")]
    [InlineData("witness")]
    public void An_event_id_stands_for_one_event_in_each_program(string program)
    {
        (string Id, string File)[] events =
        [
            .. new[] { program, "src/Hosting" }
                .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories))
                .SelectMany(file => Event().Matches(File.ReadAllText(file)).Select(found => (found.Groups[1].Value, Path.GetFileName(file)))),
        ];
        Assert.InRange(events.Length, 20, 200);
        string[] twice = [.. events.GroupBy(one => one.Id).Where(one => one.Count() > 1).Select(one => $"{one.Key}: {string.Join(", ", one.Select(found => found.File))}")];
        Assert.Empty(twice);
    }

    [GeneratedRegex(@"\[LoggerMessage\(([0-9]+),", RegexOptions.NonBacktracking)]
    private static partial Regex Event();
}
