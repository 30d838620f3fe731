// The events that a feed reports about its witness, and the checkpoints that it submits to it.

namespace TransparencyLog.Client;

/// <summary>A checkpoint that witnesses are asked to cosign.</summary>
/// <param name="Size">Its tree size.</param>
/// <param name="Root">Its root hash.</param>
/// <param name="Note">The signed note with only the log's own signature lines, because some witnesses limit a request to 16 KiB.</param>
public sealed record OfferedCheckpoint(long Size, Hash Root, ReadOnlyMemory<byte> Note);

/// <summary>An event that a feed reports about its witness.</summary>
/// <param name="Feed">The feed that reports it.</param>
/// <param name="Checkpoint">The checkpoint that the witness was asked to cosign.</param>
public abstract record WitnessEvent(WitnessFeed Feed, OfferedCheckpoint Checkpoint)
{
    /// <summary>Verified cosignature lines for the checkpoint. <paramref name="Dropped"/> is the number of other lines in the answer.</summary>
    public sealed record Cosigned(WitnessFeed Feed, OfferedCheckpoint Checkpoint, IReadOnlyList<NoteSignature> Lines, int Dropped) : WitnessEvent(Feed, Checkpoint);

    /// <summary>
    /// The witness claims to have cosigned <paramref name="Size"/>, which the log has not signed. If that is true, the log was rolled back or has a second
    /// writer. The claim is not signed: without <paramref name="Evidence"/> it proves nothing. The feed asks the witness again.
    /// </summary>
    /// <param name="Feed">The feed that reports it.</param>
    /// <param name="Checkpoint">The checkpoint that the witness was asked to cosign.</param>
    /// <param name="Size">The size that the witness claims, or the size of the larger checkpoint in the evidence if that is larger.</param>
    /// <param name="Evidence">
    /// Holds the checkpoint that the witness shows, which has the log's signature but was not made by the log; null when it shows no such checkpoint.
    /// </param>
    public sealed record Ahead(WitnessFeed Feed, OfferedCheckpoint Checkpoint, long Size, TlogEvidence? Evidence) : WitnessEvent(Feed, Checkpoint);

    /// <summary>
    /// The witness shows a checkpoint that has the log's signature and conflicts with <paramref name="Checkpoint"/>. The conflict is proven.
    /// </summary>
    /// <param name="Feed">The feed that reports it.</param>
    /// <param name="Checkpoint">The checkpoint that the witness was asked to cosign.</param>
    /// <param name="Evidence">The proof.</param>
    public sealed record Contradicted(WitnessFeed Feed, OfferedCheckpoint Checkpoint, TlogEvidence Evidence) : WitnessEvent(Feed, Checkpoint);

    /// <summary>
    /// The witness answered 409 with a smaller size than it had cosigned for this log before. The feed continues from that size, because a witness that was
    /// restored from a backup has to catch up.
    /// </summary>
    /// <param name="Feed">The feed that reports it.</param>
    /// <param name="Checkpoint">The checkpoint that the witness was asked to cosign.</param>
    /// <param name="Regress">What the witness had cosigned, and what it answers now.</param>
    public sealed record WentBack(WitnessFeed Feed, OfferedCheckpoint Checkpoint, WitnessRegress Regress) : WitnessEvent(Feed, Checkpoint);

    /// <summary>The witness was asked and did not cosign. The feed asks again.</summary>
    public sealed record Failed(WitnessFeed Feed, OfferedCheckpoint Checkpoint, WitnessAnswer.Failed Answer) : WitnessEvent(Feed, Checkpoint);
}
