// The input of commands: entries, policies, proofs. Each has a largest size, and no more than that is ever held in memory.

using System.CommandLine;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

internal static class InputFile
{
    /// <summary>Reads a whole file, or standard input for <c>-</c>; null when it has more than <paramref name="limit"/> bytes.</summary>
    public static async Task<byte[]?> ReadAsync(string path, int limit, Surroundings around, CancellationToken stop)
    {
        if (path == "-") return await ReadAsync(around.RequireInput(), limit, stop);
        using FileStream file = Open(path);
        return await ReadAsync(file, limit, stop);
    }

    /// <summary>Opens a file for reading. A file that is missing, a directory or not readable is a usage error.</summary>
    public static FileStream Open(string path)
    {
        try
        {
            if (InheritedDescriptor.Of(path) is int descriptor && !InheritedDescriptor.IsReadable(descriptor)) throw new CliException(ExitCode.Usage, $"{path} is closed or write-only: redirect it from a file or a pipe");
            if (Paths.IsDirectory(path)) throw new CliException(ExitCode.Usage, $"{path} is a directory");
            return new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite, bufferSize: 0);
        }
        catch (Exception failure) when (failure is FileNotFoundException or DirectoryNotFoundException or ArgumentException)
        {
            throw new CliException(ExitCode.Usage, $"no such file: {path}");
        }
        catch (StorageException unknown)
        {
            throw new CliException(ExitCode.Usage, unknown.Message);
        }
        catch (UnauthorizedAccessException)
        {
            throw new CliException(ExitCode.Usage, $"this user may not read {path}");
        }
    }

    /// <summary>Reads one entry of 1 to 65,535 bytes.</summary>
    public static async Task<byte[]> ReadEntryAsync(string path, Surroundings around, CancellationToken stop)
    {
        byte[]? entry = await ReadAsync(path, EntryBundle.MaxEntrySize, around, stop);
        return entry switch
        {
            null => throw new CliException(ExitCode.Usage, $"{path} has more than {EntryBundle.MaxEntrySize} bytes; {EntryRule}"),
            { Length: 0 } => throw new CliException(ExitCode.Usage, $"{path} is empty; {EntryRule}"),
            _ => entry,
        };
    }

    /// <summary>
    /// For commands that read a private key. It has the same name as the setting of the servers, because the message that refuses a key file names it.
    /// </summary>
    public static Option<bool> AllowGroupOption() => new("--allow-group-readable-keys") { Description = "Read a key file to which its group has access, as a mounted secret of mode 0440." };

    public static string EntryRule => $"an entry has 1 to {EntryBundle.MaxEntrySize} bytes";

    /// <summary>Reads a policy that the command cannot do without. Throws when it cannot be used.</summary>
    public static async Task<Policy> ReadPolicyAsync(string path, Surroundings around, CancellationToken stop)
    {
        byte[] text = await ReadAsync(path, Policy.MaxSize, around, stop) ?? throw new CliException(ExitCode.Usage, $"{path} has more than {Policy.MaxSize} bytes; no policy has");
        if (!Policy.TryParse(text, out Policy? policy, out string error)) throw new CliException(ExitCode.Usage, $"{path}: {error}");
        // One unusable key among many does not end a command that may not need it. Without a usable key of a log the command cannot succeed.
        string[] unusable = [.. PolicyKeys.Unusable(text, policy)];
        if (policy.Logs.Count > 0 && policy.Logs.All(log => Verifiers.TryCreate(log.Key) is null)) throw new CliException(ExitCode.Usage, $"{path}: {unusable[0]}");
        foreach (string one in unusable) await around.SayAsync($"warning: {path}: {one}");
        return policy;
    }

    private static async Task<byte[]?> ReadAsync(Stream stream, int limit, CancellationToken stop)
    {
        using MemoryStream read = new();
        byte[] buffer = new byte[64 * 1024];
        while (true)
        {
            int length = await stream.ReadAsync(buffer.AsMemory(0, (int)Math.Min(buffer.Length, limit + 1L - read.Length)), stop);
            if (length == 0) return read.ToArray();
            read.Write(buffer, 0, length);
            if (read.Length > limit) return null;
        }
    }
}
