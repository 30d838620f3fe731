namespace TransparencyLog.Tests.Mutants;

/// <summary>An explanation is of something that stands in the code.</summary>
public sealed class ExplainedTests
{
    [Fact]
    public void What_is_explained_stands_in_the_code_and_its_replacement_is_another_text()
    {
        IReadOnlyList<Explained> all = Explained.Read();
        Dictionary<string, string> sources = Directory.EnumerateFiles(Path.Combine(Repository.Root, "src"), "*.cs", SearchOption.AllDirectories)
            .Where(file => file.Contains("/Core/", StringComparison.Ordinal) || file.Contains("/Storage/", StringComparison.Ordinal))
            .ToDictionary(file => Path.GetFileName(file), file => Mutant.OneLine(File.ReadAllText(file), int.MaxValue), StringComparer.Ordinal);
        foreach (Explained one in all)
        {
            Assert.True(sources.TryGetValue(one.File, out string? source), $"no file {one.File}");
            string original = one.Original.EndsWith(" ...", StringComparison.Ordinal) ? one.Original[..^4] : one.Original;
            Assert.True(source.Contains(original, StringComparison.Ordinal), $"{one.File} holds no {original}");
            Assert.NotEqual(one.Original, one.Replacement);
            Assert.True(one.Why.Length > 20, $"{one.File}: {one.Why} explains nothing");
        }
    }
}
