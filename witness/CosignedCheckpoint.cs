// The newest cosigned checkpoint of an origin, as it is stored and as monitors read it (c2sp.org/tlog-witness, "Monitor Retrieval Mechanism"):
//
//     example.com/behind-the-sofa
//     20852163
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//
//     — example.com/behind-the-sofa Az3grlg...          the log's lines that we verified
//     — witness.example/w1 CMp+6LW...                   ours, the lines of the answer to add-checkpoint: one for each of our keys,
//     — witness.example/w1 GuvvwNqq...                  all with the same time
//
// It has no other lines: a line that was not verified could be made to look like ours (SPEC TW-77).

using System.Diagnostics.CodeAnalysis;

namespace TransparencyLog.Witness;

/// <summary>A checkpoint with the log's verified lines and our cosignatures. Immutable.</summary>
internal sealed class CosignedCheckpoint
{
    private CosignedCheckpoint(Checkpoint checkpoint, IReadOnlyList<NoteSignature> logLines, IReadOnlyList<NoteSignature> cosignatures, ulong timestamp)
    {
        Checkpoint = checkpoint;
        LogLines = logLines;
        Timestamp = timestamp;
        Note = new Note(checkpoint.ToText(), [.. logLines, .. cosignatures]).ToBytes();
        Answer = AddCheckpointResponse.ToBytes(cosignatures);
    }

    /// <summary>The checkpoint that was cosigned.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>The log's lines. Each was verified when it came.</summary>
    public IReadOnlyList<NoteSignature> LogLines { get; }

    /// <summary>The time that our cosignatures state, in seconds since the Epoch.</summary>
    public ulong Timestamp { get; }

    /// <summary>The signed note, as it is stored and as monitors read it.</summary>
    public byte[] Note { get; }

    /// <summary>The body of the answer with status 200: our signature lines.</summary>
    public byte[] Answer { get; }

    /// <summary>
    /// Cosigns with each of the keys, or throws. The signed text is formatted from the fields of the checkpoint, not copied from the request.
    /// </summary>
    public static CosignedCheckpoint Sign(Checkpoint checkpoint, IReadOnlyList<NoteSignature> logLines, IReadOnlyList<ICosigner> cosigners, ulong timestamp)
    {
        byte[] text = checkpoint.ToText();
        return new CosignedCheckpoint(checkpoint, logLines, [.. cosigners.Select(cosigner => cosigner.Cosign(text, timestamp))], timestamp);
    }

    /// <summary>
    /// Reads a stored note and verifies it again: it needs a cosignature by each of our keys, all with the same time, and the lines of every key that is still
    /// trusted for the log have to verify. Returns false when it is not ours. Lines of keys that are no longer configured are kept unchanged.
    /// </summary>
    public static bool TryLoad(byte[] stored, IReadOnlyList<INoteVerifier> trusted, IReadOnlyList<INoteVerifier> own, [NotNullWhen(true)] out CosignedCheckpoint? cosigned)
    {
        cosigned = null;
        if (!TransparencyLog.Note.TryParse(stored, out Note? note)) return false;
        if (!Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)) return false;
        VerifiedSignature[] ours = [.. note.Verify([.. trusted, .. own]).Verified.Where(one => own.Contains(one.Verifier))];
        if (ours.Length != own.Count || ours.Any(one => one.Timestamp != ours[0].Timestamp)) return false;
        NoteSignature[] lines = [.. ours.Select(one => one.Signature)];
        NoteSignature[] logLines = [.. note.Signatures.Where(line => !lines.Contains(line))];
        cosigned = new CosignedCheckpoint(checkpoint, logLines, lines, ours[0].Timestamp);
        return cosigned.Note.AsSpan().SequenceEqual(stored);
    }
}
