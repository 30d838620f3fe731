namespace TransparencyLog.Client;

/// <summary>
/// The URL of a witness, and the witness lines of the policy that share it: one operator's Ed25519 and ML-DSA-44 keys have one submission prefix, and one
/// request serves both.
/// </summary>
/// <param name="SubmissionPrefix">The URL that the lines share, without a slash at its end.</param>
/// <param name="Witnesses">The lines, in the order of the policy; only those whose key this library can verify.</param>
/// <param name="Keys">The verifiers of their keys; at least one.</param>
public sealed record WitnessAddress(string SubmissionPrefix, IReadOnlyList<PolicyWitness> Witnesses, IReadOnlyList<INoteVerifier> Keys)
{
    /// <summary>The addresses of a policy's witnesses, in its order. Leaves out lines without a URL and lines whose key cannot be verified.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="verifiers">Returns the verifier of a key; null for a type that is not supported.</param>
    public static IReadOnlyList<WitnessAddress> Of(Policy policy, Func<VerifierKey, INoteVerifier?> verifiers)
    {
        ArgumentNullException.ThrowIfNull(policy);
        ArgumentNullException.ThrowIfNull(verifiers);
        List<WitnessAddress> addresses = [];
        foreach (IGrouping<string, PolicyWitness> group in policy.Witnesses.Where(witness => witness.Url is not null).GroupBy(witness => witness.Url!.TrimEnd('/'), StringComparer.Ordinal))
        {
            (PolicyWitness Witness, INoteVerifier? Key)[] lines = [.. group.Select(witness => (witness, verifiers(witness.Key))).Where(line => line.Item2 is not null)];
            if (lines.Length > 0) addresses.Add(new WitnessAddress(group.Key, [.. lines.Select(line => line.Witness)], [.. lines.Select(line => line.Key!)]));
        }

        return addresses;
    }
}
