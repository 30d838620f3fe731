namespace TransparencyLog.Client;

/// <summary>
/// Collects the cosignatures on one checkpoint, one line for each witness key of a policy, and says whether they meet its quorum. Verifies nothing: add only
/// verified lines. Not thread-safe.
/// </summary>
/// <param name="policy">The policy whose witnesses and quorum count.</param>
public sealed class CosignatureSet(Policy policy)
{
    private readonly Dictionary<(string Name, uint KeyId), NoteSignature> _lines = [];

    /// <summary>Whether these lines meet the policy's quorum; always true when the quorum is none.</summary>
    public bool MeetsQuorum => policy.IsQuorumMet(Contains);

    /// <summary>The lines in the order of the policy, whatever the order in which they were added.</summary>
    public IEnumerable<NoteSignature> Lines =>
        policy.Witnesses.Select(witness => (witness.Key.Name, witness.Key.KeyId)).Where(_lines.ContainsKey).Select(key => _lines[key]);

    /// <summary>Adds lines. A line replaces an earlier one of the same key.</summary>
    public void Add(IEnumerable<NoteSignature> lines)
    {
        ArgumentNullException.ThrowIfNull(lines);
        foreach (NoteSignature line in lines) _lines[(line.Name, line.KeyId)] = line;
    }

    /// <summary>Whether a witness has a line here.</summary>
    public bool Contains(PolicyWitness witness)
    {
        ArgumentNullException.ThrowIfNull(witness);
        return _lines.ContainsKey((witness.Key.Name, witness.Key.KeyId));
    }

    /// <summary>Removes the lines of these witnesses.</summary>
    public void Remove(IEnumerable<PolicyWitness> witnesses)
    {
        ArgumentNullException.ThrowIfNull(witnesses);
        foreach (PolicyWitness witness in witnesses) _lines.Remove((witness.Key.Name, witness.Key.KeyId));
    }

    /// <summary>The signed note of a checkpoint with these lines appended to its own.</summary>
    /// <param name="checkpoint">The note with the log's own signature lines.</param>
    /// <exception cref="ArgumentException">It is not a signed note.</exception>
    public ReadOnlyMemory<byte> On(ReadOnlyMemory<byte> checkpoint)
    {
        if (_lines.Count == 0) return checkpoint;
        if (!Note.TryParse(checkpoint.Span, out Note? note)) throw new ArgumentException("the checkpoint is not a signed note", nameof(checkpoint));
        return new Note(note.Text, [.. note.Signatures, .. Lines]).ToBytes();
    }
}
