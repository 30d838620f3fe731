// sign-subtree (c2sp.org/tlog-witness, "sign-subtree"): signs a subtree of a tree that this witness has cosigned, so that the proof for an entry need not reach
// up to the root.
//
//     framing and subtree 400, origin 404, note 400, own cosignature 403, checkpoint 400, subtree within it 400, consistency 422, rate 429, sign, 200
//
// Nothing is compared with the state and nothing is stored. The reference checkpoint has our signature, so it was stored before the signature left (TW-38), and
// its statement about its tree stays true for ever.

using TransparencyLog.Signing;

namespace TransparencyLog.Witness;

/// <summary>Signs subtrees with a key that supports it (ML-DSA-44). Safe for concurrent use.</summary>
internal sealed class SubtreeWitness(WitnessedLogs logs, ISubtreeCosigner cosigner, CheckpointWitness witness)
{
    private readonly INoteVerifier _own = Verifiers.TryCreate(cosigner.Key) ?? throw new ArgumentException("a key that verifies nothing", nameof(cosigner));

    /// <summary>Judges one request.</summary>
    public Task<CosignOutcome> SignSubtreeAsync(ReadOnlyMemory<byte> body, CancellationToken stop) => Task.FromResult(SignSubtree(body.Span));

    private CosignOutcome SignSubtree(ReadOnlySpan<byte> body)
    {
        // A subtree signature states no time. Even so, nothing is signed while the clock is ahead and no operator has accepted it.
        if (witness.Silence is Unavailability why) return new CosignOutcome.Unavailable(why);
        // SPEC TW-52: numbers as they must be. SPEC TW-55: a valid subtree. Else 400.
        if (!SignSubtreeRequest.TryParse(body, out SignSubtreeRequest? request, out string error)) return new CosignOutcome.Malformed(error);
        // SPEC TW-57: unknown origin, 404.
        return logs.Find(request.Checkpoint.Span) is WitnessedLog known ? Judge(known, request) with { Log = known } : new CosignOutcome.UnknownOrigin();
    }

    private CosignOutcome Judge(WitnessedLog known, SignSubtreeRequest request)
    {
        if (!SubmittedNote.TryParse(request.Checkpoint.Span, [_own], out Note? note)) return new CosignOutcome.Malformed("the checkpoint is not a signed note");

        // SPEC TW-58: a cosignature of our own, or 403. SPEC TW-60: by the key that will sign: our other key says nothing about what this one has seen.
        NoteVerification verification = note.Verify([_own]);
        if (verification.Status == NoteStatus.BadSignature) return new CosignOutcome.NotSigned("invalid cosignature: the line with the name and ID of this witness's key does not verify");
        if (verification.Status == NoteStatus.NoKnownKey) return new CosignOutcome.NotSigned("no cosignature by the key of this witness that signs subtrees");

        if (!Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)) return new CosignOutcome.Malformed("the note is not a checkpoint");
        // The cosignature does not cover extension lines, so this is not the text that was cosigned.
        if (checkpoint.Extensions.Count > 0) return new CosignOutcome.Malformed("a checkpoint with extension lines is not cosigned here");
        // SPEC TW-55: its end is at most the size of the checkpoint.
        if (request.End > checkpoint.Size) return new CosignOutcome.Malformed("the subtree ends above the size of the checkpoint");
        // SPEC TW-56: a subtree consistency proof that does not verify is 422.
        if (!SubtreeProof.VerifyConsistency(request.Start, request.End, checkpoint.Size, request.Hash, checkpoint.Root, [.. request.Proof]))
        {
            return new CosignOutcome.Inconsistent("the subtree consistency proof does not verify");
        }

        // As in add-checkpoint, this comes after the checks of cosignature and proof: clients that have neither use nothing up.
        if (!known.Trust.Limits.Subtrees.TryTake(out TimeSpan wait)) return new CosignOutcome.TooOften(wait);
        // SPEC TW-59: signature lines. SPEC TW-61: of a type that covers subtrees. SPEC TW-62: with the timestamp 0.
        NoteSignature line = cosigner.CosignSubtree(checkpoint.Origin, request.Start, request.End, request.Hash);
        return new CosignOutcome.Cosigned(AddCheckpointResponse.ToBytes([line]));
    }
}
