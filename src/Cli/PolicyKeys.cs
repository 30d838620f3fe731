using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Cli;

/// <summary>Finds keys of a policy that cannot verify anything: a type that is not supported here, or not a point of the curve.</summary>
internal static class PolicyKeys
{
    /// <summary>One sentence for each such key, with its line number.</summary>
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

    // The policy was parsed, and a key parses only in its canonical form. So the text contains that form of each key.
    private static string LineOf(ReadOnlySpan<byte> text, VerifierKey key)
    {
        int at = text.IndexOf(Encoding.UTF8.GetBytes(key.ToString()));
        return string.Create(CultureInfo.InvariantCulture, $"line {text[..Math.Max(at, 0)].Count((byte)'\n') + 1}");
    }
}
