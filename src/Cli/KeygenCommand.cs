using System.CommandLine;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog keygen</c>: an Ed25519 note key in a new file that only its owner can read; the vkey on standard output.</summary>
internal static class KeygenCommand
{
    public static Command Create(Surroundings around)
    {
        Option<string> origin = new("--origin") { HelpName = "NAME", Description = "The log's origin, a URL without scheme as example.com/log; the key gets this name.", Required = true };
        Option<string> file = new("--out") { HelpName = "FILE", Description = "The key file (PKCS#8 PEM, mode 0600). An existing file is never overwritten.", Required = true };
        Command command = new("keygen", "Makes an Ed25519 note key and prints its vkey.") { origin, file };
        command.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(origin), parsed.GetRequiredValue(file), around, stop));
        return command;
    }

    private static async Task<int> RunAsync(string origin, string path, Surroundings around, CancellationToken stop)
    {
        if (!VerifierKey.IsKeyName(origin) || Encoding.UTF8.GetByteCount(origin) > VerifierKey.MaxNameSize)
        {
            throw new CliException(ExitCode.Usage, "--origin is 1 to 255 bytes of UTF-8 without space, plus or control character");
        }

        if (path.Length == 0) throw new CliException(ExitCode.Usage, "--out is the name of a new file");
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        KeyFile.Create(path, origin, VerifierKey.Ed25519, key);

        // Nobody may rely on a key that a power loss could take away: on disk first, then its vkey is told.
        DurableFile.Sync(path);
        await around.PrintAsync(VerifierKey.Create(origin, VerifierKey.Ed25519, key.PublicKey.Span).ToString(), stop);
        return ExitCode.Ok;
    }
}
