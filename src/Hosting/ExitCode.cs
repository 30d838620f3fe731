// How both programs end (spec/operations.md, "Exit codes"): every failure becomes a code and one line.


namespace TransparencyLog.Hosting;

/// <summary>Why the process ends. A supervisor restarts on <see cref="Trouble"/> alone.</summary>
internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>Command line or configuration: a person has to change something.</summary>
    public const int Usage = 2;

    /// <summary>State, lock, key or damage: starting again cannot help.</summary>
    public const int State = 3;

    /// <summary>Trouble that a restart may cure: a port in use, a full disk.</summary>
    public const int Trouble = 4;
}

/// <summary>The command line, the configuration, or a file that it names is wrong: exit code 2. The message names the setting and what it may be.</summary>
internal sealed class ConfigurationException(string message, Exception? innerException = null) : Exception(message, innerException);
