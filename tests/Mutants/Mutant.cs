using System.Globalization;
using System.Text.Json;

namespace TransparencyLog.Tests.Mutants;

/// <summary>One change of one place, as Stryker's report has it (mutation-testing-report-schema).</summary>
/// <param name="Id">What switches it on.</param>
/// <param name="File">The file's name, without its folder.</param>
/// <param name="Line">Where it begins, from 1.</param>
/// <param name="Original">What stood there, its first 200 characters; line ends and indents are one space.</param>
/// <param name="Replacement">What stands there now, likewise.</param>
internal sealed record Mutant(int Id, string File, int Line, string Original, string Replacement)
{
    public override string ToString() => $"{File}:{Line.ToString(CultureInfo.InvariantCulture)}\n- {Original}\n+ {Replacement}";

    /// <summary>
    /// The mutants that can be told from the original; and how many not: those that do not compile, those that Stryker leaves to another one of the same block, and those that shift without the sign what has none,
    /// as every number of ours that is shifted.
    /// </summary>
    public static (Mutant[] Mutants, int Uncompiled, int Covered, int Same) Read(string report)
    {
        using JsonDocument document = JsonDocument.Parse(System.IO.File.ReadAllBytes(report));
        List<Mutant> mutants = [];
        int uncompiled = 0, covered = 0, same = 0;
        foreach (JsonProperty file in document.RootElement.GetProperty("files").EnumerateObject())
        {
            string[] lines = file.Value.GetProperty("source").GetString()!.Split('\n');
            foreach (JsonElement mutant in file.Value.GetProperty("mutants").EnumerateArray())
            {
                switch (mutant.GetProperty("status").GetString())
                {
                    case "CompileError":
                        uncompiled++;
                        continue;
                    case "Ignored":
                        covered++;
                        continue;
                }

                JsonElement location = mutant.GetProperty("location");
                (int line, int column) = At(location.GetProperty("start"));
                string original = OneLine(Between(lines, (line, column), At(location.GetProperty("end")))), replacement = OneLine(mutant.GetProperty("replacement").GetString()!);
                if (replacement != original && replacement.Replace(">>>", ">>", StringComparison.Ordinal) == original) same++;
                else mutants.Add(new(int.Parse(mutant.GetProperty("id").GetString()!, CultureInfo.InvariantCulture), Path.GetFileName(file.Name), line, original, replacement));
            }
        }

        return ([.. mutants], uncompiled, covered, same);
    }

    private static (int Line, int Column) At(JsonElement place) => (place.GetProperty("line").GetInt32(), place.GetProperty("column").GetInt32());

    private static string Between(string[] lines, (int Line, int Column) start, (int Line, int Column) end) =>
        start.Line == end.Line
            ? lines[start.Line - 1][(start.Column - 1)..(end.Column - 1)]
            : string.Join('\n', [lines[start.Line - 1][(start.Column - 1)..], .. lines[start.Line..(end.Line - 1)], lines[end.Line - 1][..(end.Column - 1)]]);

    /// <summary>With one space for all white space, and no more than <paramref name="most"/> characters of it.</summary>
    public static string OneLine(string text, int most = 200)
    {
        string line = string.Join(' ', text.Split([' ', '\n', '\r', '\t'], StringSplitOptions.RemoveEmptyEntries));
        return line.Length <= most ? line : $"{line[..most]} ...";
    }
}
