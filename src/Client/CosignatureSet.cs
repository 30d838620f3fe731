namespace TransparencyLog.Client;

/// <summary>
/// The cosignatures on one checkpoint as they come in, one line a key of the policy's witnesses, and what the policy says of them. Verifies nothing: only lines
/// that were verified may be added. Not thread-safe.
/// </summary>
/// <param name="policy">Whose witnesses they are.</param>
public sealed class CosignatureSet(Policy policy)
{
    private readonly Dictionary<(string Name, uint KeyId), NoteSignature> _lines = [];

    /// <summary>Whether the policy's quorum is met by these lines; true at once when it needs nobody.</summary>
    public bool MeetsQuorum => policy.IsQuorumMet(Contains);

    /// <summary>The lines, in the order of the policy: the same lines are always in the same order.</summary>
    public IEnumerable<NoteSignature> Lines =>
        policy.Witnesses.Select(witness => (witness.Key.Name, witness.Key.KeyId)).Where(_lines.ContainsKey).Select(key => _lines[key]);

    /// <summary>Adds lines; one of a key that is there already replaces it.</summary>
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

    /// <summary>Takes the lines of witnesses away.</summary>
    public void Remove(IEnumerable<PolicyWitness> witnesses)
    {
        ArgumentNullException.ThrowIfNull(witnesses);
        foreach (PolicyWitness witness in witnesses) _lines.Remove((witness.Key.Name, witness.Key.KeyId));
    }

    /// <summary>The signed note of a checkpoint with these lines behind its own.</summary>
    /// <param name="checkpoint">The note with the log's own signature lines.</param>
    /// <exception cref="ArgumentException">It is not a signed note.</exception>
    public ReadOnlyMemory<byte> On(ReadOnlyMemory<byte> checkpoint)
    {
        if (_lines.Count == 0) return checkpoint;
        if (!Note.TryParse(checkpoint.Span, out Note? note)) throw new ArgumentException("the checkpoint is not a signed note", nameof(checkpoint));
        return new Note(note.Text, [.. note.Signatures, .. Lines]).ToBytes();
    }
}
