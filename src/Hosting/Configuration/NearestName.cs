// Suggests the known name for a misspelt one. The command line tlog does not use this library, so it compiles this file too.

namespace TransparencyLog.Hosting;

/// <summary>Finds the nearest of the known names.</summary>
internal static class NearestName
{
    /// <summary>The known name that needs the fewest letters changed, added or left out. Of several, the first.</summary>
    public static (string Name, int Letters) Of(string name, IEnumerable<string> known) =>
        known.Select(one => (Name: one, Letters: LettersBetween(name, one))).MinBy(one => one.Letters);

    /// <summary>The Levenshtein distance.</summary>
    private static int LettersBetween(string a, string b)
    {
        int[] row = [.. Enumerable.Range(0, b.Length + 1)];
        for (int i = 1; i <= a.Length; i++)
        {
            int diagonal = row[0];
            row[0] = i;
            for (int j = 1; j <= b.Length; j++)
            {
                int changed = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
                diagonal = row[j];
                row[j] = Math.Min(changed, Math.Min(row[j], row[j - 1]) + 1);
            }
        }

        return row[b.Length];
    }
}
