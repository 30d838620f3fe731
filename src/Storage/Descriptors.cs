using System.Globalization;
using System.Text;

namespace TransparencyLog.Storage;

/// <summary>How many files and sockets this process may have open.</summary>
public static class Descriptors
{
    /// <summary>
    /// Fewest with which a server is let start: the runtime keeps one or two for each assembly it has loaded, 150 to 200 in all, half of the limit is for
    /// connections (<see cref="Half"/>), some dozens are for those that were accepted and are about to be refused, and the rest is for files. The runtime itself
    /// ends where it can open nothing.
    /// </summary>
    private const int Least = 1024;

    /// <summary>What is wrong with the limit, in words for an operator; null when nothing is.</summary>
    public static string? Complaint => Limit is long limit and < Least
        ? string.Create(CultureInfo.InvariantCulture, $"open files: this process may have {limit}, and needs {Least}: raise the limit (ulimit -n, LimitNOFILE=)")
        : null;

    /// <summary>What is wrong with so many <c>max-connections</c>, in words for an operator; null when nothing is.</summary>
    public static string? ComplaintAbout(int connections) => Half(connections) < connections
        ? string.Create(CultureInfo.InvariantCulture, $"max-connections: {connections} is more than half of the {Limit} files that this process may have open; allow fewer, or raise that limit (ulimit -n, LimitNOFILE=)")
        : null;

    /// <summary>
    /// Half of the limit (<c>ulimit -n</c>), at most <paramref name="most"/>: how many connections strangers may hold, so that they never take the
    /// descriptors that storage needs.
    /// </summary>
    public static int Half(int most) => Limit is long limit ? (int)Math.Clamp(limit / 2, 1, most) : most;

    /// <summary>The soft limit, which the runtime has raised to the hard one; null when it is not known, or there is none.</summary>
    private static long? Limit
    {
        get
        {
            const string Field = "Max open files";
            string? line = Paths.FileExists("/proc/self/limits") ? File.ReadLines("/proc/self/limits").FirstOrDefault(one => one.StartsWith(Field, StringComparison.Ordinal)) : null;
            string? soft = line?[Field.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
            return soft is not null && Strict.TryReadSize(Encoding.ASCII.GetBytes(soft), out long limit) ? limit : null;
        }
    }
}
