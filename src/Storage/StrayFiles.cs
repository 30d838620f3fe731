namespace TransparencyLog.Storage;

/// <summary>
/// Finds files in a data directory that do not belong to the log. Leftovers of a crash during a file replacement become notes; any other file is damage.
/// </summary>
internal static class StrayFiles
{
    private static readonly string[] OfLog = ["log", "lock", "journal", "segments", "tree", "commit", "heads", "heads.old", "heads.next", "halted", "distrusted", "guarded", "published", "index", "reserve", "evidence", "heartbeat", "clock-accepted"];
    private static readonly string[] OfRecordLog = ["commit", "addresses"];

    public static void Check(string path, LogIdentity identity, List<string> notes)
    {
        string[] keys = [.. identity.Keys.Select(key => key.KeyPath).Where(key => !Path.IsPathRooted(key))];
        Check(path, name => OfLog.Contains(name, StringComparer.Ordinal) || keys.Any(key => name == key.Split('/')[0]), notes);
        foreach (string part in (string[])["segments", "tree"])
        {
            string directory = Path.Combine(path, part);
            int next = 0;
            foreach (int number in FasterDevice.ListFiles(directory).Order())
            {
                if (number != next++) throw DirectoryCheck.Damaged("storage", directory, $"data.{next - 1}", $"data.{number}");
            }

            // FASTER's files are named by consecutive numbers without leading zeros.
            Check(directory, name => OfRecordLog.Contains(name, StringComparer.Ordinal) || Enumerable.Range(0, next).Any(number => name == $"data.{number}"), notes);
        }

        foreach (string key in keys.Select(key => Path.Combine(path, key)).Where(key => !Paths.Exists(key))) notes.Add($"{key}, the key, is not there: the log cannot sign");
    }

    private static void Check(string directory, Func<string, bool> belongs, List<string> notes)
    {
        foreach (string name in Posix.List(directory))
        {
            if (belongs(name) || Paths.IsOfFileSystem(name)) continue;
            string entry = Path.Combine(directory, name);
            if (name.EndsWith(".new", StringComparison.Ordinal) && belongs(name[..^4])) notes.Add($"{entry}: what a crash left of a file that was being replaced");
            else throw DirectoryCheck.Damaged("stray-file", entry, "nothing of that name", Posix.Stat(entry, follow: false) is PathInfo info ? Paths.Describe(info.Kind) : "a file");
        }
    }
}
