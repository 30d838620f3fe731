// How both programs end (spec/operations.md, "Exit codes"): every failure becomes an exit code and one line on standard error.


namespace TransparencyLog.Hosting;

/// <summary>Why the process ends. A supervisor restarts it on <see cref="Trouble"/> alone.</summary>
internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>The command line or the configuration is wrong: a person has to change something.</summary>
    public const int Usage = 2;

    /// <summary>A problem with state, lock, key or damage: a restart cannot help.</summary>
    public const int State = 3;

    /// <summary>A problem that a restart may cure: a port in use, a full disk.</summary>
    public const int Trouble = 4;
}

/// <summary>
/// The command line, the configuration, or a file that it names is wrong: exit code 2. The message names the setting and what is allowed.
/// </summary>
internal sealed class ConfigurationException(string message, Exception? innerException = null) : Exception(message, innerException);
