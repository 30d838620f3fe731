using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>One counted storage call, as the shim wrote it down (tests/shim/fault.c).</summary>
/// <param name="Number">From 1, over all threads.</param>
/// <param name="Name">As <c>pwrite</c>; <c>opendir</c> for an open of a directory.</param>
/// <param name="Path">Below the data directory, which is a dot; two with a &gt; between them for a rename.</param>
/// <param name="Result">The number returned, or the name of the error, or ! and the action where the shim decided.</param>
internal sealed record ShimCall(int Number, string Name, string Path, string Result)
{
    public override string ToString() => $"{Name} {Path}";
}

/// <summary>What the shim wrote during one run.</summary>
internal sealed class ShimLog(string path, string directory)
{
    public string Path => path;

    /// <summary>The call that went wrong, once it has; null when none did.</summary>
    public ShimCall? Hit() => Calls().FirstOrDefault(call => call.Result.StartsWith('!'));

    public List<ShimCall> Calls()
    {
        if (!File.Exists(path)) return [];
        List<ShimCall> calls = [];
        foreach (string line in File.ReadAllText(path).Split('\n')[..^1])
        {
            string[] words = line.Split(' ');
            calls.Add(new ShimCall(int.Parse(words[0], CultureInfo.InvariantCulture), words[1], words[2].Replace(directory, ".", StringComparison.Ordinal), words[4]));
        }

        return calls;
    }
}
