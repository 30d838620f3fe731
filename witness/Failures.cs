namespace TransparencyLog.Witness;

/// <summary>Why the process ends (spec/interface: exit codes); a unit file restarts on 4 alone.</summary>
internal static class ExitCode
{
    public const int Ok = 0;

    /// <summary>Command line or configuration: a person has to change something.</summary>
    public const int Usage = 2;

    /// <summary>State, lock, key or damage: starting again cannot help.</summary>
    public const int State = 3;

    /// <summary>Trouble that a restart may cure: a port in use, an address that is not there yet.</summary>
    public const int Trouble = 4;
}

/// <summary>The command line or the configuration is wrong. The message names the option and what it may be.</summary>
internal sealed class UsageException(string message, Exception? innerException = null) : Exception(message, innerException);
