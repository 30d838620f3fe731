namespace TransparencyLog.Client;

/// <summary>
/// Compares checkpoints that others hold under a log's signature with those that the log is known to have signed. A difference means that a second process has
/// the key, or that this directory is a copy and the original went on differently. A witness cannot invent this, because it does not have the log's key.
/// Thread-safe.
/// </summary>
/// <param name="keys">Keys of logs. For a checkpoint, only those count whose name is its origin.</param>
/// <param name="newest">Returns the newest head that the log has signed; null when it is not known, or before the first one.</param>
/// <param name="prefix">Builds the hashes of <see cref="ProofPlan.Prefix"/> from a size to a checkpoint.</param>
public sealed class OwnWords(IReadOnlyList<INoteVerifier> keys, Func<OfferedCheckpoint?> newest, Func<long, OfferedCheckpoint, CancellationToken, ValueTask<Hash[]>> prefix)
{
    /// <summary>
    /// Returns what the witness's newest checkpoint of this log proves. Null when it proves nothing: the witness shows no such checkpoint, this log did not
    /// sign it, or this log's own tree begins with it. A checkpoint that is larger than everything this log has signed is <see cref="EvidenceKind.Unproven"/>:
    /// the log does not have its entries, but it did not make that signature.
    /// </summary>
    /// <param name="witness">The witness. Its monitoring prefix is assumed to be its submission prefix.</param>
    /// <param name="checkpoint">
    /// The checkpoint that the witness was asked to cosign. The newest head is compared instead where it is larger: since the request, the log may have signed
    /// it and another feeder may have submitted it.
    /// </param>
    /// <param name="stop">Cancels the request.</param>
    public async Task<TlogEvidence?> CompareAsync(WitnessClient witness, OfferedCheckpoint checkpoint, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(witness);
        ArgumentNullException.ThrowIfNull(checkpoint);
        if (!TryRead(checkpoint.Note.Span, out _, out Checkpoint? asked)) return null;
        byte[]? bytes = await witness.TryReadCheckpointAsync(asked!.Origin, stop).ConfigureAwait(false);
        if (bytes is null || !TryRead(bytes, out Note? theirs, out Checkpoint? shown) || shown!.Origin != asked.Origin) return null;
        if (TlogEvidence.Of(theirs!) is TlogEvidence alone) return alone;

        // Read this after the answer. A checkpoint of ours is in the register before its signature leaves the process, so the witness cannot show one that is
        // newer than this head.
        OfferedCheckpoint own = newest() is OfferedCheckpoint later && later.Size > checkpoint.Size ? later : checkpoint;
        if (!TryRead(own.Note.Span, out Note? ours, out _)) return null;
        Hash[] hashes = shown.Size > 0 && shown.Size < own.Size ? await prefix(shown.Size, own, stop).ConfigureAwait(false) : [];
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
