using System.Security.Cryptography;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>The one door by which both programs end: every failure becomes a code and one line on standard error.</summary>
internal static class ProgramEnd
{
    /// <summary>Checks the standard streams, runs the program, and writes what is still queued.</summary>
    /// <returns>The exit code.</returns>
    public static async Task<int> RunAsync(string program, Func<Task<int>> main)
    {
        if (!StandardStreams.AreUsable(program)) return ExitCode.Usage;
        try
        {
            return await main().ConfigureAwait(false);
        }
        finally
        {
            StandardStreams.End();
        }
    }

    /// <summary>Runs a command.</summary>
    /// <returns>Its exit code, or that of its failure.</returns>
    public static async Task<int> GuardAsync(string program, Func<Task<int>> command)
    {
        try
        {
            return await command().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Ok; // asked to end before it had begun
        }
        catch (Exception failure)
        {
            return Report(program, CodeOf(failure), LineOf(failure));
        }
    }

    /// <summary>Writes one line to standard error.</summary>
    /// <returns>The exit code, handed back.</returns>
    public static int Report(string program, int code, string message)
    {
        StandardStreams.Say(program, message);
        return code;
    }

    private static int CodeOf(Exception failure) => failure switch
    {
        ConfigurationException => ExitCode.Usage,
        StorageException { MayPass: true } => ExitCode.Trouble,
        StorageException or KeyFileException or CryptographicException or UnauthorizedAccessException => ExitCode.State,
        _ => ExitCode.Trouble,
    };

    private static string LineOf(Exception failure) => failure is ConfigurationException or IOException or KeyFileException or CryptographicException or UnauthorizedAccessException or TimeoutException
        ? failure.Message
        : $"unexpected {failure.GetType().Name}, a defect of this program: {failure.Message}";
}
