using System.Text;

namespace TransparencyLog.Storage;

/// <summary>How many files and sockets this process may have open.</summary>
public static class Descriptors
{
    /// <summary>
    /// Half of the limit (<c>ulimit -n</c>), at most <paramref name="most"/>: how many connections strangers may hold, so that they never take the
    /// descriptors that storage needs.
    /// </summary>
    public static int Half(int most)
    {
        const string Field = "Max open files";
        string? line = File.Exists("/proc/self/limits") ? File.ReadLines("/proc/self/limits").FirstOrDefault(one => one.StartsWith(Field, StringComparison.Ordinal)) : null;
        string? soft = line?[Field.Length..].Split(' ', StringSplitOptions.RemoveEmptyEntries).FirstOrDefault();
        return soft is not null && Strict.TryReadSize(Encoding.ASCII.GetBytes(soft), out long limit) ? (int)Math.Clamp(limit / 2, 1, most) : most;
    }
}
