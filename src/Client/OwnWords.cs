namespace TransparencyLog.Client;

/// <summary>
/// What others hold that bears a log's signature, against what the log is known to have signed: a second process with the key, or a copy of the directory that went
/// another way, has spoken too. A witness cannot make this up: it has no key of the log. Thread-safe.
/// </summary>
/// <param name="keys">Keys of logs; of a checkpoint those count whose name is its origin.</param>
/// <param name="prefix">Makes <see cref="ProofPlan.Prefix"/> from a size to a checkpoint.</param>
public sealed class OwnWords(IReadOnlyList<INoteVerifier> keys, Func<long, OfferedCheckpoint, CancellationToken, ValueTask<Hash[]>> prefix)
{
    /// <summary>
    /// What the witness's newest checkpoint of this log shows beside <paramref name="checkpoint"/>. Null when it shows nothing: no such checkpoint, no signature of this log
    /// on it, or a tree that this log's own begins with. A larger one is <see cref="EvidenceKind.Unproven"/>: the log has not its entries.
    /// </summary>
    public async Task<TlogEvidence?> CompareAsync(WitnessClient witness, OfferedCheckpoint checkpoint, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(witness);
        ArgumentNullException.ThrowIfNull(checkpoint);
        if (!TryRead(checkpoint.Note.Span, out Note? ours, out Checkpoint? own)) return null;
        byte[]? bytes = await witness.TryReadCheckpointAsync(own!.Origin, stop).ConfigureAwait(false);
        if (bytes is null || !TryRead(bytes, out Note? theirs, out Checkpoint? shown) || shown!.Origin != own.Origin) return null;
        if (TlogEvidence.Of(theirs!) is TlogEvidence alone) return alone;
        Hash[] hashes = shown.Size > 0 && shown.Size < checkpoint.Size ? await prefix(shown.Size, checkpoint, stop).ConfigureAwait(false) : [];
        return TlogEvidence.Of(ours!, theirs!, hashes);
    }

    private bool TryRead(ReadOnlySpan<byte> bytes, out Note? note, out Checkpoint? checkpoint)
    {
        checkpoint = null;
        if (!Note.TryParse(bytes, out note) || !Checkpoint.TryParse(note.Text.Span, out checkpoint)) return false;
        string origin = checkpoint.Origin;
        NoteVerification verification = note.Verify([.. keys.Where(key => key.Key.Name == origin)]);
        if (verification.Status != NoteStatus.Verified) return false;
        note = new Note(note.Text, [.. verification.Verified.Select(one => one.Signature)]);
        return true;
    }
}
