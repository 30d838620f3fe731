// tlog-server resume: decisions of an operator that survive restarts. Each is recorded in `heads` with its reason before it takes effect.

using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

internal static class ResumeCommand
{
    private const int MaxReason = 1000;

    /// <summary>
    /// Ends a halt, and changes which witnesses' unsigned claims may hold the log. Without <paramref name="distrust"/> and <paramref name="trust"/>, the log
    /// must be halted.
    /// </summary>
    public static async Task<int> RunAsync(string data, string? guard, string reason, string? distrust, string? trust, JournalOptions? journal = null)
    {
        if (reason.Length is 0 or > MaxReason) throw new ConfigurationException("reason: 1 to 1,000 characters");
        distrust = PolicyName("distrust", distrust);
        trust = PolicyName("trust", trust);
        LogDirectory directory = await LogDirectory.OpenAsync(data, guard, TimeProvider.System, journal).ConfigureAwait(false);
        await using (directory.ConfigureAwait(false))
        {
            TreeRegister register = directory.Register;
            string? evidence = register.Halted;
            if (distrust is not null || trust is not null)
            {
                await ChangeTrustAsync(data, register, reason, distrust, trust).ConfigureAwait(false);
                if (evidence is null) return 0;
            }

            await register.ResumeAsync(reason, CancellationToken.None).ConfigureAwait(false);
            StandardStreams.Say("tlog-server", $"resumed; the halt was: {evidence}");
        }

        return 0;
    }

    private static async Task ChangeTrustAsync(string data, TreeRegister register, string reason, string? distrust, string? trust)
    {
        List<DistrustedWitness> list = [.. DistrustedWitnesses.Read(data)];
        if (trust is not null)
        {
            if (list.RemoveAll(one => one.Name == trust) == 0) throw new ConfigurationException($"trust: witness '{trust}' is not distrusted; these are: {(list.Count == 0 ? "none" : string.Join(", ", list.Select(one => one.Name)))}");
            await register.RecordAsync($"trusted again: witness {trust}: {reason}", CancellationToken.None).ConfigureAwait(false);
        }

        if (distrust is not null)
        {
            list.RemoveAll(one => one.Name == distrust);
            list.Add(new DistrustedWitness(distrust, TimeProvider.System.GetUtcNow(), reason));
            await register.RecordAsync($"distrusted: witness {distrust}: {reason}", CancellationToken.None).ConfigureAwait(false);
        }

        // After a crash here, the history has the decision and the list does not. The operator repeats the command.
        DistrustedWitnesses.Write(data, list);
        if (distrust is not null) StandardStreams.Say("tlog-server", $"the unsigned word of witness {distrust} does not hold this log from the next start on");
        if (trust is not null) StandardStreams.Say("tlog-server", $"the word of witness {trust} may hold this log again from the next start on");
    }

    /// <summary>
    /// Converts a name to the form of <see cref="PolicyWitness.Name"/>, one character for each byte. Refuses a name that no policy can contain: an empty or
    /// overlong name, white space, control characters.
    /// </summary>
    private static string? PolicyName(string option, string? name)
    {
        if (name is null) return null;
        if (name.Length is 0 or > 255 || name.Any(letter => char.IsWhiteSpace(letter) || char.IsControl(letter))) throw new ConfigurationException($"{option}: '{name}' is not the name of a witness in a policy");
        return Encoding.Latin1.GetString(Encoding.UTF8.GetBytes(name));
    }
}
