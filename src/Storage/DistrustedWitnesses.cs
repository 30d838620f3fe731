// The file `distrusted` of a data directory: witnesses whose claims without a signed checkpoint no longer hold up publication (spec/operations.md, "A witness
// that contradicts the log").
//
//   tlog-head v1 <unix milliseconds> <NAME TEXT, base64> - - - <CRC-32C>\n      one line per witness; the record of HeadRecord.cs without a head
//
// The operator's decision must survive a restart, so it is stored in a file; `heads` records it too, with the time, for the history. A copy (backup, repair)
// leaves the file out: a decision for one directory says nothing about another.

using System.Text;

namespace TransparencyLog.Storage;

/// <summary>A witness for which an operator has decided that the log need not wait.</summary>
/// <param name="Name">Its name in the policy.</param>
/// <param name="Since">The time of the decision.</param>
/// <param name="Reason">The operator's reason.</param>
public sealed record DistrustedWitness(string Name, DateTimeOffset Since, string Reason);

/// <summary>Reads and replaces the list of distrusted witnesses. The caller of <see cref="Write"/> holds the <see cref="DirectoryLock"/>.</summary>
public static class DistrustedWitnesses
{
    /// <summary>The name of the file.</summary>
    public const string FileName = "distrusted";

    /// <summary>The largest file in bytes: one line for each of the 256 witnesses of a policy, with a reason of 1,000 characters in base64.</summary>
    private const int MaxSize = 256 * 8192;

    /// <summary>The list in the order of the decisions; empty when the file does not exist.</summary>
    /// <exception cref="DamageException">The file is empty, or a line is not what was written.</exception>
    public static IReadOnlyList<DistrustedWitness> Read(string directory)
    {
        string path = Path.Combine(directory, FileName);
        if (!DurableFile.TryRead(path, MaxSize, out byte[] bytes)) return [];
        // Write removes the file of an empty list, so an empty file is damage.
        if (bytes.Length == 0) throw new DamageException(new Damage("distrusted", path, null, null, "a line for each distrusted witness", "an empty file"));
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

    /// <summary>Replaces the list durably. An empty list removes the file.</summary>
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
