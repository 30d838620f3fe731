using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Cli;

/// <summary>Keys that a policy may list and that nothing can be verified with: a type that is not verified here, or no point of the curve.</summary>
internal static class PolicyKeys
{
    /// <summary>One sentence for each such key, with its line.</summary>
    public static IEnumerable<string> Unusable(byte[] text, Policy policy)
    {
        foreach (PolicyLog log in policy.Logs)
        {
            if (Verifiers.WhyUnusable(log.Key) is string reason) yield return $"{LineOf(text, log.Key)}: nothing can be verified with the key of log {log.Key.Name}: {reason}";
        }

        foreach (PolicyWitness witness in policy.Witnesses)
        {
            if (Verifiers.WhyUnusable(witness.Key) is string reason) yield return $"{LineOf(text, witness.Key)}: nothing can be verified with the key of witness {witness.Name}: {reason}";
        }
    }

    // The policy was parsed, so the text of each of its keys stands in it, in the one form that parses.
    private static string LineOf(ReadOnlySpan<byte> text, VerifierKey key)
    {
        int at = text.IndexOf(Encoding.UTF8.GetBytes(key.ToString()));
        return string.Create(CultureInfo.InvariantCulture, $"line {text[..Math.Max(at, 0)].Count((byte)'\n') + 1}");
    }
}
