// tlog backup and tlog restore: copy a log's data directory while its server runs, and make a data directory from such a copy.

using System.CommandLine;
using System.Globalization;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog backup</c> and <c>tlog restore</c>.</summary>
internal static class BackupCommand
{
    public static Command CreateBackup(Surroundings around)
    {
        Argument<string> data = new("DIR") { Description = "The data directory; a server may be using it." };
        Argument<string> to = new("TO") { Description = "The backup: a new directory, or one that holds a backup of this log, which is brought up to date." };
        Option<int> rate = new("--mb-s") { HelpName = "N", Description = "Most MB copied in a second, 1 to 10,000; without it as fast as it goes." };
        Option<bool> withKey = new("--with-key") { Description = "Copies the key, too, where it lies in DIR. Whoever has the backup can sign then." };
        Command command = new("backup", "Copies a data directory, what is new since the last time only, checks what was copied, and prints the size and root it holds. One that was interrupted goes on.") { data, to, rate, withKey };
        command.SetAction((parsed, stop) => BackUpAsync(parsed.GetRequiredValue(data), parsed.GetRequiredValue(to), parsed.GetResult(rate) is null ? null : parsed.GetValue(rate), parsed.GetValue(withKey), around, stop));
        return command;
    }

    public static Command CreateRestore(Surroundings around)
    {
        Argument<string> from = new("FROM") { Description = "The backup." };
        Argument<string> to = new("DIR") { Description = "The data directory to be: new, or empty." };
        Option<string?> key = new("--key") { HelpName = "FILE", Description = "The log's key, for a backup that was made without it." };
        Option<string?> mlDsaKey = new("--ml-dsa-key") { HelpName = "FILE", Description = "The same for the ML-DSA-44 key of a log that has one." };
        Option<bool> allowGroup = InputFile.AllowGroupOption();
        Command command = new("restore", "Makes a data directory out of a backup and checks all of it from entry bytes up. The log is halted until tlog-server resume.") { from, to, key, mlDsaKey, allowGroup };
        command.SetAction((parsed, stop) => RestoreAsync(parsed.GetRequiredValue(from), parsed.GetRequiredValue(to), parsed.GetValue(key), parsed.GetValue(mlDsaKey), parsed.GetValue(allowGroup), around, stop));
        return command;
    }

    private static async Task<int> BackUpAsync(string data, string to, int? rate, bool withKey, Surroundings around, CancellationToken stop)
    {
        if (rate is < 1 or > 10_000) throw new CliException(ExitCode.Usage, $"--mb-s is 1 to 10,000, not {rate}");
        BackupOptions options = new() { BytesPerSecond = (rate ?? 0) * 1_000_000L, WithKey = withKey, Time = around.Time };
        BackupReport report = await DamageAsync(() => Backup.RunAsync(data, to, Verifiers.TryCreate, options, stop), $"{to} was not brought up to date", around, stop);
        await around.PrintTreeAsync(report.Entries, report.Segments, report.Head?.Size, report.Head?.Root, stop);
        await around.PrintAsync(string.Create(CultureInfo.InvariantCulture, $"copied {report.Copied}"), stop);
        return ExitCode.Ok;
    }

    private static async Task<int> RestoreAsync(string from, string to, string? keyPath, string? mlDsaKeyPath, bool allowGroup, Surroundings around, CancellationToken stop)
    {
        byte[]? key = keyPath is null ? null : await ReadKeyAsync(keyPath, Restore.ReadIdentity(from), allowGroup, stop);
        byte[]? mlDsaKey = mlDsaKeyPath is null ? null : await ReadMlDsaKeyAsync(mlDsaKeyPath, Restore.ReadIdentity(from), allowGroup, stop);
        FsckProgress progress = new(around);
        DirectoryReport report = await DamageAsync(
            () => progress.EndAsync(Restore.RunAsync(from, to, Verifiers.TryCreate, key, new CheckOptions { Progress = progress.Tell }, mlDsaKey, stop)), $"{to} was not made", around, stop);
        await around.PrintTreeAsync(report.Entries, report.Segments, report.Head?.Size, report.Head?.Root, stop);
        await around.SayAsync($"{to} is halted: tlog-server resume --data {to} --reason TEXT, once it is sure that no newer copy exists");
        return ExitCode.Ok;
    }

    private static async Task<byte[]> ReadKeyAsync(string path, LogIdentity identity, bool allowGroup, CancellationToken stop)
    {
        using Ed25519PrivateKey key = KeyFile.Read(path, identity.Origin, allowGroup).Key;
        return await ReadKeyAsync(path, identity.VerifierKey, new NoteSigner(identity.Origin, key).Key, stop);
    }

    private static async Task<byte[]> ReadMlDsaKeyAsync(string path, LogIdentity identity, bool allowGroup, CancellationToken stop)
    {
        string expected = identity.MlDsa44?.VerifierKey ?? throw new CliException(ExitCode.Usage, "--ml-dsa-key: the log of this backup has no ML-DSA-44 key");
        using MlDsa44PrivateKey key = KeyFile.ReadMlDsa44(path, identity.Origin, allowGroup).Key;
        return await ReadKeyAsync(path, expected, new MlDsa44Cosigner(identity.Origin, key).Key, stop);
    }

    private static async Task<byte[]> ReadKeyAsync(string path, string expected, VerifierKey given, CancellationToken stop) => given.ToString() == expected
        ? await File.ReadAllBytesAsync(path, stop)
        : throw new CliException(ExitCode.Usage, $"{path} is another key: the backup is of {expected}, the key gives {given}");

    private static async Task<T> DamageAsync<T>(Func<Task<T>> work, string consequence, Surroundings around, CancellationToken stop)
    {
        try
        {
            return await work();
        }
        catch (DamageException failure)
        {
            throw await around.EndAsync(failure.Damage, "damaged", consequence, stop);
        }
    }
}
