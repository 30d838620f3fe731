// tlog policy check: explains a policy file in words, for the person who is about to rely on it.

using System.CommandLine;
using System.Text;

namespace TransparencyLog.Cli;

/// <summary><c>tlog policy check</c>.</summary>
internal static class PolicyCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> file = new("FILE") { Description = "A tlog-policy file; - is standard input." };
        Command check = new("check", "Reads a policy and says in words what it believes. Exit code 1: it is not a policy, or it lists a key that nothing can be verified with.") { file };
        check.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(file), around, stop));
        return new Command("policy", "Works on tlog-policy files.") { check };
    }

    private static async Task<int> RunAsync(string path, Surroundings around, CancellationToken stop)
    {
        byte[]? text = await InputFile.ReadAsync(path, Policy.MaxSize, around, stop);
        if (text is null) throw new CliException(ExitCode.DoesNotHold, $"{path} has more than {Policy.MaxSize} bytes; no policy has");
        if (!Policy.TryParse(text, out Policy? policy, out string error)) throw new CliException(ExitCode.DoesNotHold, $"{path}: {error}");
        string[] unusable = [.. PolicyKeys.Unusable(text, policy)];
        if (unusable.Length > 0)
        {
            foreach (string one in unusable[..^1]) await around.SayAsync($"{path}: {one}");
            throw new CliException(ExitCode.DoesNotHold, $"{path}: {unusable[^1]}");
        }


        foreach (PolicyLog log in policy.Logs) await around.PrintAsync($"log {log.Key.Name}, key {log.Key}, {At(log.Url)}", stop);
        foreach (PolicyWitness witness in policy.Witnesses) await around.PrintAsync($"witness {witness.Name}, key {witness.Key}, {At(witness.Url)}", stop);
        foreach (string line in Groups(text)) await around.PrintAsync(line, stop);
        foreach (string twice in CountedTwice(text, policy)) await around.SayAsync($"warning: {twice}");
        if (policy.Logs.Count == 0) await around.SayAsync("warning: there is no log in this policy, so it accepts no checkpoint");
        if (policy.QuorumIsNone) await around.SayAsync("warning: the quorum is none: a checkpoint is believed on the log's word alone, and nobody would see a second view of the log");
        return ExitCode.Ok;
    }

    /// <summary>
    /// SPEC PO-20: witnesses of one key name are one witness with several keys, and a quorum counts each line. So such lines belong in a group of their own of
    /// which one is enough. The text was parsed before: names are defined, and each is a member of at most one group.
    /// </summary>
    private static IEnumerable<string> CountedTwice(byte[] text, Policy policy)
    {
        string[][] groups = [.. Encoding.Latin1.GetString(text).Split('\n').Select(line => line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)).Where(words => words is ["group", ..])];
        foreach (IGrouping<string, PolicyWitness> one in policy.Witnesses.GroupBy(witness => witness.Key.Name, StringComparer.Ordinal).Where(lines => lines.Count() > 1))
        {
            HashSet<string> names = [.. one.Select(witness => witness.Name)];
            // A group of exactly these lines counts as one member of other groups, whatever number it requires. A larger group counts them once if it requires
            // one.
            bool together = groups.Any(words => names.IsSubsetOf(words[3..]) && (words[2] is "any" or "1" || words.Length - 3 == names.Count));
            if (!together) yield return $"{string.Join(" and ", names)} have one key name, {one.Key}, and are counted each for itself: put them into a group of their own with any (group NAME any {string.Join(' ', names)}), and use that";
        }
    }

    private static string At(string? url) => url is null ? "no URL" : $"at {url}";

    /// <summary>
    /// Groups and quorum in words. The text was parsed before, so its lines are known to be valid: names are defined, numbers are in range.
    /// Names are bytes and are shown as Latin-1, as in the parsed policy.
    /// </summary>
    private static IEnumerable<string> Groups(byte[] text)
    {
        foreach (string line in Encoding.Latin1.GetString(text).Split('\n'))
        {
            string[] words = line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries);
            if (words is ["group", string name, string count, .. string[] members])
            {
                string needed = count switch
                {
                    "all" => members.Length == 1 ? "the one" : $"all {members.Length}",
                    "any" => "at least 1",
                    _ => $"at least {count}",
                };
                yield return $"group {name}: {needed} of {string.Join(", ", members)}";
            }
            else if (words is ["quorum", string quorum])
            {
                yield return quorum == "none" ? "quorum none: no witness is needed" : $"quorum {quorum}: a checkpoint is believed once {quorum} cosigned it";
            }
        }
    }
}
