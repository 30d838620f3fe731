using System.Security.Cryptography;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>How both programs end: every failure becomes an exit code and one line on standard error.</summary>
internal static class ProgramEnd
{
    /// <summary>Checks the standard streams, runs the program, and writes the lines that are still queued.</summary>
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

    /// <summary>Runs a command, and reports its failure.</summary>
    /// <returns>Its exit code, or the exit code of its failure.</returns>
    public static async Task<int> GuardAsync(string program, Func<Task<int>> command)
    {
        try
        {
            return await command().ConfigureAwait(false);
        }
        catch (OperationCanceledException)
        {
            return ExitCode.Ok; // stopped before it had started
        }
        catch (Exception failure)
        {
            return Report(program, CodeOf(failure), LineOf(failure));
        }
    }

    /// <summary>Writes one line to standard error.</summary>
    /// <returns>The given exit code.</returns>
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
