using System.CommandLine;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog keygen</c>: creates a log's key in a new file that only its owner can read, and prints the vkey.</summary>
internal static class KeygenCommand
{
    public static Command Create(Surroundings around)
    {
        Option<string> origin = new("--origin") { HelpName = "NAME", Description = "The log's origin, a URL without scheme as example.com/log; the key gets this name.", Required = true };
        Option<string> file = new("--out") { HelpName = "FILE", Description = "The key file (PKCS#8 PEM, mode 0600). An existing file is never overwritten.", Required = true };
        Option<string> type = new("--type") { HelpName = "TYPE", Description = "ed25519, the note key that every log has, or ml-dsa-44, for a second signature beside it.", DefaultValueFactory = _ => "ed25519" };
        type.AcceptOnlyFromAmong("ed25519", "ml-dsa-44");
        Command command = new("keygen", "Makes a key for a log and prints its vkey.") { origin, file, type };
        command.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(origin), parsed.GetRequiredValue(file), parsed.GetRequiredValue(type), around, stop));
        return command;
    }

    private static async Task<int> RunAsync(string origin, string path, string type, Surroundings around, CancellationToken stop)
    {
        if (!VerifierKey.IsKeyName(origin) || Encoding.UTF8.GetByteCount(origin) > VerifierKey.MaxNameSize)
        {
            throw new CliException(ExitCode.Usage, "--origin is 1 to 255 bytes of UTF-8 without space, plus or control character");
        }

        if (path.Length == 0) throw new CliException(ExitCode.Usage, "--out is the name of a new file");
        VerifierKey made = type == "ed25519" ? MakeEd25519(origin, path) : MakeMlDsa44(origin, path);

        // Sync the key file before its vkey is printed, so that nobody relies on a key that a power loss could take away.
        DurableFile.Sync(path);
        await around.PrintExactAsync(made.ToString(), stop);
        return ExitCode.Ok;
    }

    private static VerifierKey MakeEd25519(string origin, string path)
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        KeyFile.Create(path, origin, VerifierKey.Ed25519, key);
        return VerifierKey.Create(origin, VerifierKey.Ed25519, key.PublicKey.Span);
    }

    private static VerifierKey MakeMlDsa44(string origin, string path)
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.Generate();
        KeyFile.Create(path, origin, key);
        return VerifierKey.Create(origin, VerifierKey.MlDsa44Cosignature, key.PublicKey.Span);
    }
}
