namespace TransparencyLog.Tests.Mutants;

/// <summary>
/// A mutant that may live, of explained.txt: a line `File.cs: why`, and under it for each mutant two lines, `- original` and `+ replacement`, as the table of the campaign prints them.
/// </summary>
internal sealed record Explained(string File, string Original, string Replacement, string Why)
{
    public static IReadOnlyList<Explained> Read()
    {
        List<Explained> all = [];
        string file = "", why = "", original = "";
        foreach (string line in System.IO.File.ReadLines(Path.Combine(Repository.Root, "tests/Mutants/explained.txt")))
        {
            if (line.Length == 0 || line[0] == '#') continue;
            if (line.StartsWith("- ", StringComparison.Ordinal)) original = line[2..];
            else if (line.StartsWith("+ ", StringComparison.Ordinal)) all.Add(new(file, original, line[2..], why));
            else if (line.Split(": ", 2) is [string name, { Length: > 0 } reason] && name.EndsWith(".cs", StringComparison.Ordinal)) (file, why) = (name, reason);
            else throw new FormatException($"explained.txt: neither \"File.cs: why\" nor \"- original\" nor \"+ replacement\": {line}");
        }

        return all;
    }

    // Without the number of the line, which moves with every change above it.
    public bool Is(Mutant mutant) => mutant.File == File && mutant.Original == Original && mutant.Replacement == Replacement;
}
