// What a feed reports of its witness, and what it asks for.

namespace TransparencyLog.Client;

/// <summary>A checkpoint that witnesses are asked to cosign.</summary>
/// <param name="Size">Its tree size.</param>
/// <param name="Root">Its root hash.</param>
/// <param name="Note">The signed note, with the log's own signature lines alone: some witnesses cap a request at 16 KiB.</param>
public sealed record OfferedCheckpoint(long Size, Hash Root, ReadOnlyMemory<byte> Note);

/// <summary>What a feed tells of its witness.</summary>
/// <param name="Feed">Whose witness.</param>
/// <param name="Checkpoint">What was asked for.</param>
public abstract record WitnessEvent(WitnessFeed Feed, OfferedCheckpoint Checkpoint)
{
    /// <summary>Verified cosignature lines for the checkpoint. <paramref name="Dropped"/>: how many other lines the answer had.</summary>
    public sealed record Cosigned(WitnessFeed Feed, OfferedCheckpoint Checkpoint, IReadOnlyList<NoteSignature> Lines, int Dropped) : WitnessEvent(Feed, Checkpoint);

    /// <summary>
    /// The witness says that it has cosigned <paramref name="Size"/>, which the log has not signed: a rollback or a second writer, if it is true. The statement is not signed: without
    /// <paramref name="Evidence"/> it proves nothing. The witness is asked again.
    /// </summary>
    /// <param name="Feed">Whose witness.</param>
    /// <param name="Checkpoint">What was asked for.</param>
    /// <param name="Size">What the witness says; with evidence, the size of the larger checkpoint in it where that is larger.</param>
    /// <param name="Evidence">What the witness shows that bears the log's signature and that the log did not make; null when it shows no such checkpoint.</param>
    public sealed record Ahead(WitnessFeed Feed, OfferedCheckpoint Checkpoint, long Size, TlogEvidence? Evidence) : WitnessEvent(Feed, Checkpoint);

    /// <summary>The witness shows a checkpoint with the log's signature that cannot be true beside <paramref name="Checkpoint"/>: proven.</summary>
    /// <param name="Feed">Whose witness.</param>
    /// <param name="Checkpoint">What was asked for.</param>
    /// <param name="Evidence">Both.</param>
    public sealed record Contradicted(WitnessFeed Feed, OfferedCheckpoint Checkpoint, TlogEvidence Evidence) : WitnessEvent(Feed, Checkpoint);

    /// <summary>
    /// The witness has answered 409 with a smaller size than it has cosigned for this log before. It is fed from there, since a witness that was restored from a backup has to be
    /// brought up again.
    /// </summary>
    /// <param name="Feed">Whose witness.</param>
    /// <param name="Checkpoint">What was asked for.</param>
    /// <param name="Regress">What it had cosigned and what it says now.</param>
    public sealed record WentBack(WitnessFeed Feed, OfferedCheckpoint Checkpoint, WitnessRegress Regress) : WitnessEvent(Feed, Checkpoint);

    /// <summary>It was asked and did not cosign. The feed asks again.</summary>
    public sealed record Failed(WitnessFeed Feed, OfferedCheckpoint Checkpoint, WitnessAnswer.Failed Answer) : WitnessEvent(Feed, Checkpoint);
}
