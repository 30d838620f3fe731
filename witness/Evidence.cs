// Evidence: what a log has signed and could not show to be an extension of what it had signed before (SPEC TW-32 allows to keep it). The file format is in
// spec/evidence.md, and EvidenceFolder stores the files. This class decides which part of a request is evidence.
//
// Both notes hold only lines that were verified when they came, so both are statements of the log. Evidence of the kind "unproven" convinces only those who
// have the entries: perhaps a client just sent a bad proof with a good checkpoint. It is counted separately and can never displace the other kinds.

using System.Globalization;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>Keeps evidence, reports it to the operator, and wakes the webhooks. Thread-safe.</summary>
internal sealed class Evidence(EvidenceFolder folder, EvidenceWebhooks webhooks, ILogger log)
{
    /// <summary>The webhooks that evidence is sent to.</summary>
    public EvidenceWebhooks Webhooks => webhooks;

    /// <summary>Keeps what a submitted checkpoint proves, alone or together with the newest cosigned one.</summary>
    /// <param name="latest">The newest cosigned checkpoint of the origin; null when there is none.</param>
    /// <param name="submitted">The checkpoint of the request.</param>
    /// <param name="logLines">Its lines that were verified.</param>
    /// <param name="proof">The hashes of the request, when it claims that they lead from one checkpoint to the other. Otherwise null, and two different sizes
    /// then prove nothing.</param>
    /// <exception cref="StorageException">It could not be written.</exception>
    public void Keep(CosignedCheckpoint? latest, Checkpoint submitted, IReadOnlyList<NoteSignature> logLines, IReadOnlyList<Hash>? proof)
    {
        Note note = new(submitted.ToText(), logLines);
        TlogEvidence? found = TlogEvidence.Of(note);
        if (found is null && latest is { LogLines.Count: > 0 } && (proof is not null || latest.Checkpoint.Size == submitted.Size))
        {
            found = TlogEvidence.Of(new Note(latest.Checkpoint.ToText(), latest.LogLines), note, proof ?? []);
        }

        if (found is null || !folder.Keep(found)) return;
        Checkpoint last = found.Checkpoints[^1];
        if (found.Kind == EvidenceKind.Unproven) log.Unproven(found.Origin, found.Checkpoints[0].Size, last.Size, found.FileName);
        else log.Misbehaviour(found.Origin, TlogEvidence.Word(found.Kind), found.Checkpoints[0].Size, last.Size, found.FileName);
        webhooks.Wake();
    }

    /// <summary>The proofs against a log, in words for the page; null when there are none.</summary>
    public string? Describe(Hash originHash)
    {
        int proofs = Enum.GetValues<EvidenceKind>().Where(kind => kind != EvidenceKind.Unproven).Sum(kind => folder.CountOf(kind, originHash));
        return proofs == 0 ? null : string.Create(CultureInfo.InvariantCulture, $"has signed what cannot both be true: {proofs} {(proofs == 1 ? "proof" : "proofs")} in evidence/");
    }
}
