namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// What only root on a machine of its own may do: mount, make namespaces. Where it may not be done such a test is skipped, and tests/run knows by the first words of the
/// reason that nothing can be installed to change that.
/// </summary>
internal static class Privileges
{
    /// <summary>Ends the test as skipped.</summary>
    public static void Skip(string reason) => Assert.Skip($"not on this machine: {reason}");

    /// <summary>Skips where a file system cannot be mounted, and a namespace not be made.</summary>
    public static async Task RequireAsync(string what)
    {
        if (Environment.IsPrivilegedProcess && FileSystem.Find("unshare") is string unshare && (await Programs.RunAsync(unshare, "--mount", "--pid", "--fork", "true")).ExitCode == 0) return;
        Skip($"{what} needs root with the right to mount");
    }
}
