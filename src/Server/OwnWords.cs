// What others hold that bears this log's signature, against what this log knows of itself: a second process with the key, or a copy of the directory that went another
// way, has spoken too (spec/failures: R-04, G-07). A witness cannot make this up: it has no key of the log.

using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Compares a witness's checkpoint of this log with a signed head of it.</summary>
internal sealed class OwnWords(string origin, INoteVerifier key, Func<long, TreeHead, CancellationToken, ValueTask<Hash[]>> prefix)
{
    /// <summary>
    /// What the witness's newest checkpoint of this log shows beside <paramref name="head"/>. Null when it shows nothing: no such checkpoint, no signature of this log on it,
    /// or a tree that this log's own begins with. A larger one is <see cref="EvidenceKind.Unproven"/>: this log has not its entries.
    /// </summary>
    public async Task<TlogEvidence?> CompareAsync(WitnessClient witness, TreeHead head, CancellationToken stop)
    {
        byte[]? bytes = await witness.TryReadCheckpointAsync(origin, stop).ConfigureAwait(false);
        if (bytes is null || !TryRead(bytes, out Note? theirs, out Checkpoint? checkpoint) || !TryRead(head.Checkpoint.Span, out Note? ours, out _)) return null;
        if (TlogEvidence.Of(theirs!) is TlogEvidence alone) return alone;
        Hash[] hashes = checkpoint!.Size > 0 && checkpoint.Size < head.Size ? await prefix(checkpoint.Size, head, stop).ConfigureAwait(false) : [];
        return TlogEvidence.Of(ours!, theirs!, hashes);
    }

    private bool TryRead(ReadOnlySpan<byte> bytes, out Note? note, out Checkpoint? checkpoint)
    {
        checkpoint = null;
        if (!Note.TryParse(bytes, out note) || note is null || !Checkpoint.TryParse(note.Text.Span, out checkpoint) || checkpoint is null || checkpoint.Origin != origin) return false;
        NoteVerification verification = note.Verify([key]);
        if (verification.Status != NoteStatus.Verified) return false;
        note = new Note(note.Text, [.. verification.Verified.Select(one => one.Signature)]);
        return true;
    }
}
