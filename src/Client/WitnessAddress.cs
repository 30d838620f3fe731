namespace TransparencyLog.Client;

/// <summary>
/// Where a witness answers, and for which of the policy's witness lines: one operator's Ed25519 and ML-DSA-44 keys share a submission prefix, and one request
/// serves both.
/// </summary>
/// <param name="SubmissionPrefix">The URL that the lines share, without a slash at its end.</param>
/// <param name="Witnesses">The lines, in the order of the policy.</param>
/// <param name="Keys">Verifiers of those of their keys that this library can verify; at least one.</param>
public sealed record WitnessAddress(string SubmissionPrefix, IReadOnlyList<PolicyWitness> Witnesses, IReadOnlyList<INoteVerifier> Keys)
{
    /// <summary>The addresses of a policy's witnesses, in its order. Lines without a URL, and keys of types that are not understood, are left out.</summary>
    /// <param name="policy">The policy.</param>
    /// <param name="verifiers">Gives the verifier of a key; null for a type that is not understood.</param>
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
