using System.Globalization;
using System.Text;

namespace TransparencyLog.Storage;

/// <summary>The limit on files and sockets that this process may have open.</summary>
public static class Descriptors
{
    /// <summary>
    /// The lowest limit with which a server may start. The runtime keeps one or two descriptors for each assembly it has loaded, 150 to 200 in all; half of
    /// the limit is for connections (<see cref="Half"/>); a few dozen are for connections that were accepted and are about to be refused; the rest is for
    /// files. The runtime itself terminates when it cannot open anything.
    /// </summary>
    private const int Least = 1024;

    /// <summary>Describes the problem with the limit for an operator; null when the limit is high enough.</summary>
    public static string? Complaint => Limit is long limit and < Least
        ? string.Create(CultureInfo.InvariantCulture, $"open files: this process may have {limit}, and needs {Least}: raise the limit (ulimit -n, LimitNOFILE=)")
        : null;

    /// <summary>Describes the problem with this value of <c>max-connections</c> for an operator; null when it fits the limit.</summary>
    public static string? ComplaintAbout(int connections) => Half(connections) < connections
        ? string.Create(CultureInfo.InvariantCulture, $"max-connections: {connections} is more than half of the {Limit} files that this process may have open; allow fewer, or raise that limit (ulimit -n, LimitNOFILE=)")
        : null;

    /// <summary>
    /// Half of the limit (<c>ulimit -n</c>), at most <paramref name="most"/>. It is the number of connections that clients may hold, so that they cannot use
    /// up the descriptors that storage needs.
    /// </summary>
    public static int Half(int most) => Limit is long limit ? (int)Math.Clamp(limit / 2, 1, most) : most;

    /// <summary>The soft limit, which the runtime has raised to the hard one. Null when it is unknown or unlimited.</summary>
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
