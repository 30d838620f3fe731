using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Real text: the lines of the machine's package lists, and where there are none, of this repository.</summary>
internal static class RealEntries
{
    /// <summary>This many different lines, in a fixed order; the last ones are numbered copies where the machine has too little text.</summary>
    public static byte[][] Take(int count)
    {
        HashSet<string> lines = new(StringComparer.Ordinal);
        IEnumerable<string> files = Existing("/var/lib/dpkg", "status").Concat(Existing("/var/lib/dpkg/info", "*.list"))
            .Concat(Directory.EnumerateFiles(Path.Combine(Programs.Root, "src"), "*.cs", SearchOption.AllDirectories).Order(StringComparer.Ordinal));
        foreach (string line in files.SelectMany(File.ReadLines))
        {
            if (line.Length > 0 && lines.Add(line) && lines.Count == count) break;
        }

        for (int copy = 0; lines.Count < count; copy++) lines.Add($"{lines.First()} {copy}");
        return [.. lines.Select(Encoding.UTF8.GetBytes)];
    }

    private static IEnumerable<string> Existing(string directory, string pattern) =>
        Directory.Exists(directory) ? Directory.EnumerateFiles(directory, pattern).Order(StringComparer.Ordinal) : [];
}
