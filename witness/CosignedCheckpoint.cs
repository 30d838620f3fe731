// The newest cosigned checkpoint of an origin, as it is stored and as monitors see it (c2sp.org/tlog-witness, "Monitor Retrieval Mechanism"):
//
//     example.com/behind-the-sofa
//     20852163
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//
//     — example.com/behind-the-sofa Az3grlg...          the log's lines that we verified
//     — witness.example/w1 CMp+6LW...                   ours, the line that add-checkpoint answered
//
// Nothing else: a line that was not verified could be made to look like ours (SPEC TW-77).

using System.Diagnostics.CodeAnalysis;

namespace TransparencyLog.Witness;

/// <summary>A checkpoint with the log's verified lines and our cosignature. Immutable.</summary>
internal sealed class CosignedCheckpoint
{
    private CosignedCheckpoint(Checkpoint checkpoint, IReadOnlyList<NoteSignature> logLines, NoteSignature cosignature, ulong timestamp)
    {
        Checkpoint = checkpoint;
        LogLines = logLines;
        Timestamp = timestamp;
        Note = new Note(checkpoint.ToText(), [.. logLines, cosignature]).ToBytes();
        Answer = AddCheckpointResponse.ToBytes([cosignature]);
    }

    /// <summary>What was cosigned.</summary>
    public Checkpoint Checkpoint { get; }

    /// <summary>The log's lines, each verified when it came.</summary>
    public IReadOnlyList<NoteSignature> LogLines { get; }

    /// <summary>The time our cosignature states, in seconds since the Epoch.</summary>
    public ulong Timestamp { get; }

    /// <summary>The signed note: what is stored, and what monitors get.</summary>
    public byte[] Note { get; }

    /// <summary>The body of the 200: our signature lines.</summary>
    public byte[] Answer { get; }

    /// <summary>Cosigns. The text that is signed is the checkpoint's own, formatted anew from its fields.</summary>
    public static CosignedCheckpoint Sign(Checkpoint checkpoint, IReadOnlyList<NoteSignature> logLines, ICosigner cosigner, ulong timestamp) =>
        new(checkpoint, logLines, cosigner.Cosign(checkpoint.ToText(), timestamp), timestamp);

    /// <summary>
    /// Reads what was stored, and verifies it again: our cosignature, and the lines of every key that is still trusted for the log.
    /// False when it is not ours. Lines of keys that are not configured any more are kept as they are.
    /// </summary>
    public static bool TryLoad(byte[] stored, IReadOnlyList<INoteVerifier> trusted, INoteVerifier own, [NotNullWhen(true)] out CosignedCheckpoint? cosigned)
    {
        cosigned = null;
        if (!TransparencyLog.Note.TryParse(stored, out Note? note) || note is null) return false;
        if (!Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint) || checkpoint is null) return false;
        NoteVerification verification = note.Verify([.. trusted, own]);
        VerifiedSignature[] ours = [.. verification.Verified.Where(one => one.Verifier == own)];
        if (ours.Length != 1) return false;
        NoteSignature[] logLines = [.. note.Signatures.Where(line => !line.Equals(ours[0].Signature))];
        cosigned = new CosignedCheckpoint(checkpoint, logLines, ours[0].Signature, ours[0].Timestamp);
        return cosigned.Note.AsSpan().SequenceEqual(stored);
    }
}
