namespace TransparencyLog.Client;

/// <summary>
/// Compares what others hold under a log's signature with what the log is known to have signed. A difference means that a second process has the key, or that this directory is a
/// copy whose original went another way. A witness cannot make this up: it has no key of the log. Thread-safe.
/// </summary>
/// <param name="keys">Keys of logs; of a checkpoint those count whose name is its origin.</param>
/// <param name="newest">The newest head that the log has signed; null when it is not known, or before the first one.</param>
/// <param name="prefix">Makes <see cref="ProofPlan.Prefix"/> from a size to a checkpoint.</param>
public sealed class OwnWords(IReadOnlyList<INoteVerifier> keys, Func<OfferedCheckpoint?> newest, Func<long, OfferedCheckpoint, CancellationToken, ValueTask<Hash[]>> prefix)
{
    /// <summary>
    /// What the witness's newest checkpoint of this log proves. Null when it proves nothing: there is no such checkpoint, this log did not sign it, or this log's own tree begins with
    /// it. One that is larger than everything this log has signed is <see cref="EvidenceKind.Unproven"/>: the log has not its entries, but it did not make that signature.
    /// </summary>
    /// <param name="witness">The witness, whose monitoring prefix is taken to be its submission prefix.</param>
    /// <param name="checkpoint">What it was asked to cosign. The newest head counts where that is larger: the log may have signed it, and others may have fed it, since the witness was asked.</param>
    /// <param name="stop">Ends the request.</param>
    public async Task<TlogEvidence?> CompareAsync(WitnessClient witness, OfferedCheckpoint checkpoint, CancellationToken stop)
    {
        ArgumentNullException.ThrowIfNull(witness);
        ArgumentNullException.ThrowIfNull(checkpoint);
        if (!TryRead(checkpoint.Note.Span, out _, out Checkpoint? asked)) return null;
        byte[]? bytes = await witness.TryReadCheckpointAsync(asked!.Origin, stop).ConfigureAwait(false);
        if (bytes is null || !TryRead(bytes, out Note? theirs, out Checkpoint? shown) || shown!.Origin != asked.Origin) return null;
        if (TlogEvidence.Of(theirs!) is TlogEvidence alone) return alone;

        // After the answer: a checkpoint of ours is in the register before its signature leaves the process, so none that the witness could show is newer than this head.
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
