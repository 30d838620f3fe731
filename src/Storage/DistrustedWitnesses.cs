// Witnesses whose unsigned word no longer holds a log (spec/operations.md, "A witness that contradicts the log"): the file `distrusted` of a data directory.
//
//   tlog-head v1 <unix milliseconds> <NAME TEXT, base64> - - - <CRC-32C>\n      one line a witness; the record of HeadRecord.cs without a head
//
// The operator's decision has to outlive a restart, so it is a file; `heads` has it too, with the time, for whoever looks into the history. A copy (backup, repair) leaves it out: what
// was decided for one directory says nothing about another.

using System.Text;

namespace TransparencyLog.Storage;

/// <summary>A witness that an operator has decided not to wait for.</summary>
/// <param name="Name">Its name in the policy.</param>
/// <param name="Since">When that was decided.</param>
/// <param name="Reason">Why.</param>
public sealed record DistrustedWitness(string Name, DateTimeOffset Since, string Reason);

/// <summary>Reads and replaces that list. The caller of <see cref="Write"/> holds the <see cref="DirectoryLock"/>.</summary>
public static class DistrustedWitnesses
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "distrusted";

    /// <summary>Largest file in bytes: a line for each of the 256 witnesses of a policy, with a reason of 1,000 characters in base64.</summary>
    private const int MaxSize = 256 * 8192;

    /// <summary>The list, in the order of the decisions; empty when there is no file.</summary>
    /// <exception cref="DamageException">A line is not what was written.</exception>
    public static IReadOnlyList<DistrustedWitness> Read(string directory)
    {
        string path = Path.Combine(directory, FileName);
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return [];
        if (bytes.Length == 0) throw new DamageException(new Damage("distrusted", path, null, null, "a line for each distrusted witness", "an empty file")); // an empty list has no file
        List<DistrustedWitness> list = [];
        ReadOnlySpan<byte> rest = bytes;
        while (!rest.IsEmpty)
        {
            int length = rest.IndexOf((byte)'\n') + 1;
            if (length == 0 || !HeadRecord.TryParse(rest[..length], out HeadRecord? record) || record.Reason.IndexOf(' ', StringComparison.Ordinal) is not (> 0 and int space))
            {
                throw new DamageException(new Damage("distrusted", path, null, null, "a line for each distrusted witness", "a line whose CRC does not match"));
            }

            list.Add(new DistrustedWitness(record.Reason[..space], DateTimeOffset.FromUnixTimeMilliseconds(record.UnixMilliseconds), record.Reason[(space + 1)..]));
            rest = rest[length..];
        }

        return list;
    }

    /// <summary>Replaces the list, durably; an empty one removes the file.</summary>
    public static void Write(string directory, IReadOnlyList<DistrustedWitness> list)
    {
        ArgumentNullException.ThrowIfNull(list);
        string path = Path.Combine(directory, FileName);
        if (list.Count > 0)
        {
            DurableFile.Replace(path, [.. list.SelectMany(one => new HeadRecord(one.Since.ToUnixTimeMilliseconds(), $"{one.Name} {one.Reason}", null).ToBytes())]);
            return;
        }

        if (Posix.Stat(path) is null) return;
        Posix.Unlink(path);
        Posix.SyncDirectory(directory);
    }
}
