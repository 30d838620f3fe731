using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The policy file as the log uses it: which witnesses to ask, and when a checkpoint may be public.</summary>
internal static class WitnessPolicy
{
    /// <summary>The policy of a log without a policy file: no witness is asked.</summary>
    private static readonly Policy Nobody = Policy.TryParse("quorum none\n"u8, out Policy? policy, out _) ? policy! : throw new System.Diagnostics.UnreachableException("this is a policy");

    /// <summary>Reads --policy. Throws for a policy that this log cannot meet. Without a path: no witness, quorum none.</summary>
    public static Policy Read(string? path, LogIdentity identity)
    {
        if (path is null) return Nobody;
        byte[] bytes;
        try
        {
            if (!DurableFile.TryRead(path, Policy.MaxSize, out bytes)) throw new ConfigurationException($"policy: {path} does not exist");
        }
        catch (StorageException failure)
        {
            throw new ConfigurationException($"policy: {failure.Message}");
        }

        if (!Policy.TryParse(bytes, out Policy? policy, out string error)) throw new ConfigurationException($"policy: {path}: {error}");
        if (policy.Logs.Count > 0 && !policy.Logs.Any(log => identity.Keys.Any(own => log.Key.ToString() == own.VerifierKey)))
        {
            throw new ConfigurationException($"policy: {path} lists logs, but not this one: log {identity.VerifierKey}");
        }

        // Only the key bytes are compared, whatever the key's name and type: a log that is its own witness has no witness.
        ReadOnlyMemory<byte>[] own = [.. identity.Keys.Select(one => VerifierKey.TryParse(Encoding.UTF8.GetBytes(one.VerifierKey), out VerifierKey? key) ? key!.PublicKey : default)];
        foreach (PolicyWitness witness in policy.Witnesses)
        {
            if (witness.Url is null) throw new ConfigurationException($"policy: witness {witness.Name} has no URL: a log needs its submission prefix");
            if (!WitnessClient.TryGetUri(witness.Url, out _)) throw new ConfigurationException($"policy: the URL of witness {witness.Name} is not an http or https URL");
            if (own.Any(key => key.Span.SequenceEqual(witness.Key.PublicKey.Span))) throw new ConfigurationException($"policy: witness {witness.Name} has the key of this log");
        }

        if (!policy.IsQuorumMet(witness => Verifiers.TryCreate(witness.Key) is not null))
        {
            throw new ConfigurationException($"policy: {path}: the quorum needs a witness whose key cannot verify anything: {string.Join("; ", Unusable(policy))}");
        }

        return policy;
    }

    /// <summary>
    /// Describes the keys of the policy with which nothing can be verified, for warnings at the start. They are fatal only where the quorum needs them.
    /// </summary>
    public static IEnumerable<string> Unusable(Policy policy)
    {
        foreach (PolicyLog log in policy.Logs)
        {
            if (Verifiers.WhyUnusable(log.Key) is string reason) yield return $"log {log.Key.Name}: {reason}";
        }

        foreach (PolicyWitness witness in policy.Witnesses)
        {
            if (Verifiers.WhyUnusable(witness.Key) is string reason) yield return $"witness {witness.Name} is not asked: {reason}";
        }
    }
}
