// Which logs and witnesses are trusted, and how many witnesses must agree (c2sp.org/tlog-policy).
//
//     log <vkey> [<url>]
//     witness X1 <vkey> [<url>]
//     witness X2 <vkey>
//     group X any X1 X2
//     quorum X
//
// PolicyParser.cs reads the text. This file defines what a policy means.
using System.Diagnostics.CodeAnalysis;

namespace TransparencyLog;

/// <summary>A log that the policy accepts; the key's name is the log's origin line.</summary>
/// <param name="Key">Verifies the log's own signatures.</param>
/// <param name="Url">Where the log is, as written, or null. The application decides what it means.</param>
public sealed record PolicyLog(VerifierKey Key, string? Url);

/// <summary>A witness the policy knows.</summary>
/// <param name="Name">
/// Its name in the policy file, one character (U+0021 to U+00FF) per byte. Names are opaque bytes, so this name
/// compares exactly and need not be readable.
/// </param>
/// <param name="Key">Verifies its cosignatures.</param>
/// <param name="Url">Where it is (the submission prefix), as written, or null.</param>
public sealed record PolicyWitness(string Name, VerifierKey Key, string? Url);

/// <summary>Why a policy does not accept a note.</summary>
public enum PolicyFailure
{
    /// <summary>The policy accepts the note.</summary>
    None,

    /// <summary>The text of the note is not a checkpoint.</summary>
    NotACheckpoint,

    /// <summary>No log of the policy has this origin.</summary>
    UnknownLog,

    /// <summary>A line of a known log or witness key does not verify.</summary>
    BadSignature,

    /// <summary>No key of the log signed the note.</summary>
    NoLogSignature,

    /// <summary>The log signed the note, but too few witnesses cosigned it.</summary>
    QuorumNotMet,
}

/// <summary>The verdict of a policy on a note.</summary>
/// <param name="Failure">None when the checkpoint is accepted.</param>
/// <param name="Checkpoint">The checkpoint if a key of its log signed it and no line of a known key is bad, otherwise null.</param>
/// <param name="Cosigned">The witnesses that cosigned the checkpoint, in the order of the policy.</param>
/// <param name="Reason">The failure in words for people, empty if there is none. Text from the note is quoted as ASCII.</param>
public sealed record PolicyVerdict(PolicyFailure Failure, Checkpoint? Checkpoint, IReadOnlyList<PolicyWitness> Cosigned, string Reason);

/// <summary>A trust policy (c2sp.org/tlog-policy): logs, witnesses and a quorum. Immutable.</summary>
public sealed class Policy
{
    /// <summary>Largest file in bytes: room for the limits below with each key an ML-DSA-44 vkey of 1.8 kB and a URL, and for comments.</summary>
    public const int MaxSize = 1024 * 1024;

    /// <summary>Most lines, comments included.</summary>
    public const int MaxLines = 8192;

    /// <summary>Most logs, most witnesses and most groups, each. The specification requires at least 32; this is eight times as many.</summary>
    public const int MaxOfEach = 256;

    /// <summary>
    /// Most logs in a list of logs (<see cref="TryParseLogs"/>): a public witness follows thousands of logs, a policy trusts a few. In a file of
    /// <see cref="MaxSize"/> bytes, each log then has 256 bytes for its line, an Ed25519 vkey and a URL. The state that a witness keeps for the logs
    /// is a few times as large as the file, and stays far below the 64 MiB limit of its snapshot.
    /// </summary>
    public const int MaxLogsOfList = 4096;

    private readonly PolicyLog[] logs;
    private readonly PolicyWitness[] witnesses;
    private readonly PolicyGroup[] groups;
    private readonly int quorum;

    internal Policy(PolicyLog[] logs, PolicyWitness[] witnesses, PolicyGroup[] groups, int quorum)
    {
        this.logs = logs;
        this.witnesses = witnesses;
        this.groups = groups;
        this.quorum = quorum;
    }

    /// <summary>The quorum that needs no witness.</summary>
    internal const int NoQuorum = -1;

    /// <summary>The logs, in the order of the file.</summary>
    public IReadOnlyList<PolicyLog> Logs => logs;

    /// <summary>The witnesses, in the order of the file.</summary>
    public IReadOnlyList<PolicyWitness> Witnesses => witnesses;

    /// <summary>Whether no cosignature is needed.</summary>
    public bool QuorumIsNone => quorum == NoQuorum;

    /// <summary>
    /// Reads a policy file of at most <see cref="MaxSize"/> bytes. On false, <paramref name="error"/> says in printable ASCII
    /// what is allowed, with the line number if one line is wrong.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<byte> text, [NotNullWhen(true)] out Policy? policy, out string error) =>
        PolicyParser.TryParse(text, isLogList: false, out policy, out error);

    /// <summary>
    /// The same for the list of logs of a witness or monitor: up to <see cref="MaxLogsOfList"/> logs. Without a quorum line, the quorum is none.
    /// </summary>
    public static bool TryParseLogs(ReadOnlySpan<byte> text, [NotNullWhen(true)] out Policy? policy, out string error) =>
        PolicyParser.TryParse(text, isLogList: true, out policy, out error);

    /// <summary>Whether the quorum is met when exactly these witnesses cosigned. Calls <paramref name="cosigned"/> once for each witness.</summary>
    public bool IsQuorumMet(Func<PolicyWitness, bool> cosigned)
    {
        ArgumentNullException.ThrowIfNull(cosigned);
        // SPEC PO-20: a witness with two keys has two lines here; a group with "any" over them counts it once.
        // Nodes are numbered: witnesses first, then groups in the order of the file. A group has only members that were
        // defined before it, so one pass in that order decides all groups.
        Span<bool> witnessed = new bool[witnesses.Length + groups.Length];
        for (int i = 0; i < witnesses.Length; i++) witnessed[i] = cosigned(witnesses[i]);
        for (int i = 0; i < groups.Length; i++)
        {
            int count = 0;
            foreach (int member in groups[i].Members)
            {
                if (witnessed[member]) count++;
            }

            witnessed[witnesses.Length + i] = count >= groups[i].Threshold;
        }

        return QuorumIsNone || witnessed[quorum];
    }

    /// <summary>
    /// The witnesses on which the quorum depends, directly or through groups, in the order of the file. The others are optional: the quorum does not need them.
    /// </summary>
    public IReadOnlyList<PolicyWitness> QuorumWitnesses
    {
        get
        {
            if (QuorumIsNone) return [];
            bool[] counts = new bool[witnesses.Length + groups.Length];
            counts[quorum] = true;

            // Every group comes after its members, so going backwards visits it before them.
            for (int i = groups.Length - 1; i >= 0; i--)
            {
                if (!counts[witnesses.Length + i]) continue;
                foreach (int member in groups[i].Members) counts[member] = true;
            }

            return [.. witnesses.Where((_, i) => counts[i])];
        }
    }

    /// <summary>
    /// Judges a note. The policy accepts it if its text is a checkpoint, a key of this policy whose name is the origin signed
    /// it, no line of a known key is bad, and the quorum cosigned it.
    /// </summary>
    /// <param name="note">A parsed note whose signatures have not been verified.</param>
    /// <param name="verifiers">Returns the verifier of a key, or null for a type that is not understood. The lines of such a key are ignored.</param>
    public PolicyVerdict Verify(Note note, Func<VerifierKey, INoteVerifier?> verifiers)
    {
        ArgumentNullException.ThrowIfNull(note);
        ArgumentNullException.ThrowIfNull(verifiers);
        // SPEC SN-17: until a signature holds, the text is used for nothing but to find whose it should be.
        if (!Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint))
        {
            return Refuse(PolicyFailure.NotACheckpoint, "the text of the note is not a checkpoint");
        }

        // SPEC PO-06: the key name of a log is its origin line.
        VerifierKey[] logKeys = [.. logs.Select(log => log.Key).Where(key => string.Equals(key.Name, checkpoint.Origin, StringComparison.Ordinal))];
        if (logKeys.Length == 0)
        {
            return Refuse(PolicyFailure.UnknownLog, $"no log of the policy has the origin {PolicyParser.Quote(checkpoint.Origin)}");
        }

        // One verifier per key: an ML-DSA-44 key may be listed both for a log and for a witness.
        INoteVerifier[] known = [.. logKeys.Concat(witnesses.Select(witness => witness.Key)).Distinct().Select(verifiers).OfType<INoteVerifier>()];
        NoteVerification verification = note.Verify(known);
        if (verification.Status == NoteStatus.BadSignature)
        {
            return Refuse(PolicyFailure.BadSignature, $"a signature line of {PolicyParser.Quote(verification.BadKeyName!)} does not verify");
        }

        // SPEC PR-08: signed by a key configured for that origin; then the cosignatures.
        HashSet<VerifierKey> signed = [.. verification.Verified.Select(one => one.Verifier.Key)];
        if (!logKeys.Any(signed.Contains))
        {
            return Refuse(PolicyFailure.NoLogSignature, $"no key of the log {PolicyParser.Quote(checkpoint.Origin)} signed the checkpoint");
        }

        // SPEC PO-19: valid if and only if a listed log signed it and the quorum is met.
        PolicyWitness[] cosigned = [.. witnesses.Where(witness => signed.Contains(witness.Key))];
        return IsQuorumMet(cosigned.Contains)
            ? new PolicyVerdict(PolicyFailure.None, checkpoint, cosigned, "")
            : new PolicyVerdict(PolicyFailure.QuorumNotMet, checkpoint, cosigned, $"the quorum is not met: {cosigned.Length} of {witnesses.Length} witnesses cosigned");
    }

    private static PolicyVerdict Refuse(PolicyFailure failure, string reason) => new(failure, null, [], reason);
}

/// <summary>Agrees if at least <paramref name="Threshold"/> of its members do. Members are node numbers: witnesses first, then groups.</summary>
internal sealed record PolicyGroup(int Threshold, int[] Members);
