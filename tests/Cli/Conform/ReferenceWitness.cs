// A witness as c2sp.org/tlog-witness describes it, in memory, and the same with one fault each: what the tester has to tell apart.

using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using System.Text.RegularExpressions;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

/// <summary>What is wrong with it.</summary>
public enum WitnessFault
{
    None,
    OldNotCompared,
    OldAboveSize,
    ConflictWithoutNewline,
    ConflictOfAnotherType,
    ConflictWithParameter,
    ProofNotVerified,
    ForkOfOneSize,
    ForkOfOneSizeThenLost,
    RootOfEmptyTree,
    ProofFromZero,
    BadTrustedLineIgnored,
    UnknownOriginIs403,
    UnsignedIs404,
    KnownByKeyAlone,
    TimeZero,
    TimesGoBack,
    AnotherKeyId,
    AnotherMessage,
    ShortSignature,
    ExtensionsNotSigned,
    Base64WithTrailingBits,
    EchoesLines,
    LeakInRefusals,
    PutIsAnswered,
    CarriageReturns,
    LeadingZeros,
    TrailingBitsIgnored,
    SixtyFourLines,
    SecondEmptyLine,
    LenientCheckpoints,
    UnknownLinesRefused,
    SmallBodies,
    StateOfEachKey,
    RacesCosignBoth,
    RefreshRefused,
    RefreshWithOldTime,
    NothingForMonitors,
    MonitorsWithoutTheLog,
    MonitorsWithEverything,
    MonitorsLate,
    MonitorsInUpperCase,
    MonitorsUnknownIsEmpty,
    MonitorsNoHead,
    MonitorsOfAnotherType,
    ConnectionsClosed,
    FirstContactUnchecked,
    ExtensionsWithMlDsa,
    MlDsaAnotherKeyId,
    MlDsaAnotherSize,
    SubtreesNotOffered,
    SubtreePutIsAnswered,
    SubtreeLeadingZeros,
    SubtreeSixtyFourLines,
    SubtreeOfAnyRange,
    SubtreeNotProven,
    SubtreeUncosigned,
    SubtreeUnknownOriginIs400,
    SubtreeWithTime,
    SubtreeOfEd25519,
    SubtreeOfAnotherHash,
}

/// <summary>One origin, the keys that are trusted for it, and one fault. It signs with Ed25519, and with ML-DSA-44 and subtrees too unless it is told not to.</summary>
internal sealed partial class ReferenceWitness(string origin, IReadOnlyList<INoteVerifier> trusted, WitnessFault fault, TimeProvider time, bool mlDsa = true)
{
    public const string Name = "witness.example/reference";

    private static readonly Ed25519PrivateKey Private = Ed25519PrivateKey.FromSeed([.. Enumerable.Repeat((byte)42, Ed25519.SeedSize)]);

    private static readonly MlDsa44PrivateKey MlDsaPrivate = MlDsa44PrivateKey.FromSeed([.. Enumerable.Repeat((byte)43, MlDsa44.SeedSize)]);

    private readonly Lock _lock = new();
    private readonly Dictionary<string, State> _states = []; // by origin, or by key where the fault says so; guarded by _lock
    private ulong _back = 1_000;

    public static VerifierKey Key { get; } = VerifierKey.Create(Name, VerifierKey.Ed25519Cosignature, Private.PublicKey.Span);

    public static VerifierKey MlDsaKey { get; } = VerifierKey.Create(Name, VerifierKey.MlDsa44Cosignature, MlDsaPrivate.PublicKey.Span);

    private static readonly INoteVerifier[] Own = [Verifiers.TryCreate(Key)!, Verifiers.TryCreate(MlDsaKey)!];

    private sealed record State(long Size, Hash Root, ulong Time, byte[] Answer, byte[] Shown, byte[]? ShownBefore);

    public async Task<SiteAnswer> AnswerAsync(SiteRequest request)
    {
        SiteAnswer answer = request.Path switch
        {
            "add-checkpoint" when request.Method == "POST" || (fault == WitnessFault.PutIsAnswered && request.Method == "PUT") => await AddAsync(request.Body),
            "add-checkpoint" => SiteAnswer.Text(405, "POST\n"),
            "sign-subtree" when !mlDsa || fault == WitnessFault.SubtreesNotOffered => SiteAnswer.Text(404, "not found\n"),
            "sign-subtree" when request.Method == "POST" || (fault == WitnessFault.SubtreePutIsAnswered && request.Method == "PUT") => SignSubtree(request.Body),
            "sign-subtree" => SiteAnswer.Text(405, "POST\n"),
            _ when request.Path.EndsWith("/checkpoint", StringComparison.Ordinal) => Show(request),
            _ => SiteAnswer.Text(404, "not found\n"),
        };
        if (fault == WitnessFault.LeakInRefusals && answer.Status == 422) answer = SiteAnswer.Text(422, Sign(Encoding.UTF8.GetBytes($"{origin}\n0\n{MerkleHash.Empty}\n"), 1_800_000_000).ToLine());
        return fault == WitnessFault.ConnectionsClosed ? answer with { Close = true } : answer;
    }

    private async Task<SiteAnswer> AddAsync(byte[] body)
    {
        if (fault == WitnessFault.SmallBodies && body.Length > 16 * 1024) return SiteAnswer.Text(413, "too large\n");
        if (!AddCheckpointRequest.TryParse(Lenient(body), out AddCheckpointRequest? request, out _)) return SiteAnswer.Text(400, "malformed request\n");
        string first = Encoding.UTF8.GetString(request!.Checkpoint.Span).Split('\n')[0];
        bool parsed = Note.TryParse(request.Checkpoint.Span, out Note? note);
        if (first != origin && !(fault == WitnessFault.KnownByKeyAlone && parsed && note!.Verify(trusted).Status == NoteStatus.Verified)) return SiteAnswer.Text(fault == WitnessFault.UnknownOriginIs403 ? 403 : 404, "unknown origin\n");
        if (!parsed) return SiteAnswer.Text(400, "malformed note\n");
        NoteVerification verification = note!.Verify(trusted);
        if (verification.Status != NoteStatus.Verified && !(fault == WitnessFault.BadTrustedLineIgnored && note.Signatures.Any(line => trusted.Any(key => key.Key.KeyId == line.KeyId && key.Verify(note.Text.Span, line.Signature.Span)))))
        {
            return SiteAnswer.Text(fault == WitnessFault.UnsignedIs404 ? 404 : 403, "no trusted signature\n");
        }

        if (fault == WitnessFault.UnknownLinesRefused && note.Signatures.Count > verification.Verified.Count) return SiteAnswer.Text(403, "a line of an unknown key\n");
        byte[] text = note.Text.ToArray();
        if (fault == WitnessFault.LenientCheckpoints) text = Encoding.UTF8.GetBytes(LeadingZero().Replace(Encoding.UTF8.GetString(text), "$1"));
        if (!Checkpoint.TryParse(text, out Checkpoint? checkpoint)) return SiteAnswer.Text(400, "malformed checkpoint\n");
        if (checkpoint!.Extensions.Count > 0 && fault is not (WitnessFault.ExtensionsNotSigned or WitnessFault.ExtensionsWithMlDsa)) return SiteAnswer.Text(400, "extension lines\n");
        if (request.OldSize > checkpoint.Size && fault != WitnessFault.OldAboveSize) return SiteAnswer.Text(400, "old size above the checkpoint's\n");
        if (checkpoint.Size == 0 && checkpoint.Root != MerkleHash.Empty && fault != WitnessFault.RootOfEmptyTree) return SiteAnswer.Text(422, "root of size zero\n");

        string state = fault == WitnessFault.StateOfEachKey ? $"{verification.Verified[0].Verifier.Key}" : checkpoint.Origin;
        State? latest = Latest(state);
        if (fault == WitnessFault.RacesCosignBoth) await Task.Delay(30);
        lock (_lock)
        {
            if (fault != WitnessFault.RacesCosignBoth) latest = _states.GetValueOrDefault(state);
            if (fault == WitnessFault.FirstContactUnchecked && latest is null) return Cosign(state, latest, note, checkpoint, verification);
            long size = latest?.Size ?? 0;
            if (request.OldSize != size && fault != WitnessFault.OldNotCompared) return Conflict(size);
            if (latest is not null && request.OldSize == checkpoint.Size)
            {
                if (latest.Root != checkpoint.Root && fault == WitnessFault.ForkOfOneSizeThenLost)
                {
                    SiteAnswer cosigned = Cosign(state, latest, note, checkpoint, verification);
                    _states[state] = _states[state] with { Size = 1_000_000 };
                    return cosigned;
                }

                if (latest.Root != checkpoint.Root && fault != WitnessFault.ForkOfOneSize) return SiteAnswer.Text(422, "another root\n");
                if (fault == WitnessFault.RefreshRefused && request.Proof.Count == 0) return Conflict(size);
                if (fault == WitnessFault.RefreshWithOldTime && request.Proof.Count == 0) return new SiteAnswer(200, latest.Answer);
            }

            bool proven = request.OldSize > checkpoint.Size
                || (fault == WitnessFault.ForkOfOneSize && request.OldSize == checkpoint.Size && request.Proof.Count == 0)
                || (fault == WitnessFault.ProofFromZero && request.OldSize == 0)
                || (fault == WitnessFault.RootOfEmptyTree && checkpoint.Size == 0)
                || (fault == WitnessFault.ProofNotVerified && request.OldSize is > 0 and long old && old < checkpoint.Size)
                || MerkleProof.VerifyConsistency(request.OldSize, checkpoint.Size, request.OldSize == 0 ? MerkleHash.Empty : latest?.Root ?? MerkleHash.Empty, checkpoint.Root, [.. request.Proof]);
            return proven ? Cosign(state, latest, note, checkpoint, verification) : SiteAnswer.Text(422, "no proof\n");
        }
    }

    private State? Latest(string state)
    {
        lock (_lock) return _states.GetValueOrDefault(state);
    }

    private SiteAnswer Conflict(long size) => fault switch
    {
        WitnessFault.ConflictWithoutNewline => new SiteAnswer(409, Encoding.ASCII.GetBytes(size.ToString(CultureInfo.InvariantCulture)), "text/x.tlog.size"),
        WitnessFault.ConflictOfAnotherType => SiteAnswer.Text(409, string.Create(CultureInfo.InvariantCulture, $"{size}\n")),
        WitnessFault.ConflictWithParameter => new SiteAnswer(409, AddCheckpointResponse.SizeToBytes(size), "text/x.tlog.size; charset=utf-8"),
        _ => new SiteAnswer(409, AddCheckpointResponse.SizeToBytes(size), "text/x.tlog.size"),
    };

    private SiteAnswer Cosign(string state, State? latest, Note note, Checkpoint checkpoint, NoteVerification verification)
    {
        ulong now = fault switch
        {
            WitnessFault.TimeZero => 0,
            WitnessFault.TimesGoBack => (ulong)time.GetUtcNow().ToUnixTimeSeconds() - 2_000 + --_back,
            _ => (ulong)time.GetUtcNow().ToUnixTimeSeconds(),
        };
        byte[] text = fault == WitnessFault.ExtensionsNotSigned ? new Checkpoint(checkpoint.Origin, checkpoint.Size, checkpoint.Root).ToText() : note.Text.ToArray();
        NoteSignature line = Sign(text, now);
        NoteSignature[] lines = mlDsa ? [line, SignMlDsa(checkpoint, now)] : [line];
        string answer = string.Concat(lines.Select(one => one.ToLine()));
        if (fault == WitnessFault.EchoesLines) answer += string.Concat(note.Signatures.Select(one => one.ToLine()));
        if (fault == WitnessFault.Base64WithTrailingBits)
        {
            int last = answer.IndexOf("==", StringComparison.Ordinal) - 1; // 76 bytes end in "==" behind a character of which four bits are unused
            answer = $"{answer[..last]}{(char)(answer[last] + 1)}{answer[(last + 1)..]}";
        }

        NoteSignature[] shown = fault switch
        {
            WitnessFault.MonitorsWithoutTheLog => lines,
            WitnessFault.MonitorsWithEverything => [.. note.Signatures, .. lines],
            _ => [.. verification.Verified.Select(one => one.Signature), .. lines],
        };
        byte[] bytes = Encoding.UTF8.GetBytes(answer);
        _states[state] = new State(checkpoint.Size, checkpoint.Root, now, bytes, new Note(note.Text, shown).ToBytes(), latest?.Shown);
        return new SiteAnswer(200, bytes);
    }

    private NoteSignature Sign(byte[] text, ulong now)
    {
        string head = string.Create(CultureInfo.InvariantCulture, $"cosignature/v1\ntime {now}\n");
        byte[] made = Private.Sign(fault == WitnessFault.AnotherMessage ? text : [.. Encoding.ASCII.GetBytes(head), .. text]);
        byte[] signature = new byte[8 + made.Length];
        BinaryPrimitives.WriteUInt64BigEndian(signature, now);
        made.CopyTo(signature, 8);
        return new NoteSignature(Name, fault == WitnessFault.AnotherKeyId ? Key.KeyId ^ 1 : Key.KeyId, fault == WitnessFault.ShortSignature ? signature[..^1] : signature);
    }

    private NoteSignature SignMlDsa(Checkpoint checkpoint, ulong now)
    {
        byte[] signature = MlDsaSignature(now, 0, checkpoint.Size + (fault == WitnessFault.MlDsaAnotherSize ? 1 : 0), checkpoint.Root);
        return new NoteSignature(Name, fault == WitnessFault.MlDsaAnotherKeyId ? MlDsaKey.KeyId ^ 1 : MlDsaKey.KeyId, signature);
    }

    private byte[] MlDsaSignature(ulong now, long start, long end, Hash hash)
    {
        byte[] made = MlDsaPrivate.Sign(Cosignature.MlDsa44Message(Name, now, origin, start, end, hash)), signature = new byte[8 + made.Length];
        BinaryPrimitives.WriteUInt64BigEndian(signature, now);
        made.CopyTo(signature, 8);
        return signature;
    }

    private SiteAnswer SignSubtree(byte[] body)
    {
        string text = Encoding.Latin1.GetString(body);
        int head = text.IndexOf('\n');
        if (fault == WitnessFault.SubtreeLeadingZeros) text = LeadingZeroOfRange().Replace(text, "subtree 8 13\n");
        if (fault == WitnessFault.SubtreeSixtyFourLines && text.Split("\n\n")[0].Split('\n').Length == 66) text = text.Remove(head + 1, Hash.LineSize);
        if (fault == WitnessFault.SubtreeOfAnyRange && SmallRange().IsMatch(text) && !SignSubtreeRequest.TryParse(body, out _, out _)) text = $"subtree 4 8{text[head..]}";
        if (!SignSubtreeRequest.TryParse(Encoding.Latin1.GetBytes(text), out SignSubtreeRequest? request, out _)) return SiteAnswer.Text(400, "malformed request\n");
        if (!Note.TryParse(request!.Checkpoint.Span, out Note? note) || !Checkpoint.TryParse(note!.Text.Span, out Checkpoint? checkpoint)) return SiteAnswer.Text(400, "malformed checkpoint\n");
        if (checkpoint!.Origin != origin) return SiteAnswer.Text(fault == WitnessFault.SubtreeUnknownOriginIs400 ? 400 : 404, "unknown origin\n");
        bool cosigned = note.Signatures.Any(line => Own.Any(key => key.Key.KeyId == line.KeyId && key.Key.Name == line.Name && key.Verify(note.Text.Span, line.Signature.Span)));
        if (!cosigned && fault != WitnessFault.SubtreeUncosigned) return SiteAnswer.Text(403, "never cosigned\n");
        if (request.End > checkpoint.Size) return SiteAnswer.Text(400, "behind the end\n");
        if (!SubtreeProof.VerifyConsistency(request.Start, request.End, checkpoint.Size, request.Hash, checkpoint.Root, [.. request.Proof]) && fault != WitnessFault.SubtreeNotProven) return SiteAnswer.Text(422, "no proof\n");
        ulong now = fault == WitnessFault.SubtreeWithTime && request.Start == 0 ? 1_800_000_000ul : 0;
        NoteSignature line = new(Name, MlDsaKey.KeyId, MlDsaSignature(now, request.Start, request.End, fault == WitnessFault.SubtreeOfAnotherHash ? MerkleHash.Empty : request.Hash));
        return SiteAnswer.Text(200, fault == WitnessFault.SubtreeOfEd25519 ? line.ToLine() + Sign(note.Text.ToArray(), 0).ToLine() : line.ToLine());
    }

    private SiteAnswer Show(SiteRequest request)
    {
        if (fault == WitnessFault.NothingForMonitors) return SiteAnswer.Text(404, "not found\n");
        string hash = fault == WitnessFault.MonitorsInUpperCase ? request.Path[..^11].ToLowerInvariant() : request.Path[..^11];
        State? state = hash == Checkpoint.HashOrigin(origin).ToHex() ? Latest(fault == WitnessFault.StateOfEachKey ? $"{trusted[0].Key}" : origin) : null;
        if (request.Method is not ("GET" or "HEAD") || (request.Method == "HEAD" && fault == WitnessFault.MonitorsNoHead)) return SiteAnswer.Text(405, "GET\n");
        if (state is null) return SiteAnswer.Text(fault == WitnessFault.MonitorsUnknownIsEmpty ? 200 : 404, "");
        byte[] shown = fault == WitnessFault.MonitorsLate ? state.ShownBefore ?? state.Shown : state.Shown;
        return fault == WitnessFault.MonitorsOfAnotherType ? new SiteAnswer(200, shown, "application/octet-stream") : new SiteAnswer(200, shown);
    }

    /// <summary>The body as a witness reads it that is not strict in one place.</summary>
    private byte[] Lenient(byte[] body)
    {
        string text = Encoding.Latin1.GetString(body);
        switch (fault)
        {
            case WitnessFault.CarriageReturns:
                return Encoding.Latin1.GetBytes(text.Replace("\r\n", "\n"));
            case WitnessFault.LeadingZeros:
                return Encoding.Latin1.GetBytes(LeadingZeroOfOld().Replace(text, "old $1"));
            case WitnessFault.SecondEmptyLine:
                return Encoding.Latin1.GetBytes(text.Replace("\n\n\n", "\n\n"));
            case WitnessFault.SixtyFourLines:
                string[] lines = text.Split('\n');
                int empty = Array.IndexOf(lines, "");
                return empty == 65 ? Encoding.Latin1.GetBytes(string.Join('\n', lines.Where((_, i) => i != 64))) : body;
            case WitnessFault.TrailingBitsIgnored:
                int end = text.IndexOf("\n\n", StringComparison.Ordinal), signatures = text.LastIndexOf("\n\n", StringComparison.Ordinal);
                return end < 0 ? body : Encoding.Latin1.GetBytes($"{Zeroed(text[..end])}{text[end..signatures]}{Zeroed(text[signatures..])}");
            default:
                return body;
        }
    }

    private static string Zeroed(string lines) => TrailingBits().Replace(lines, match => $"{match.Groups[1].Value}{Canonical(match.Groups[2].Value[0])}=");

    private static char Canonical(char last)
    {
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        return Alphabet[Alphabet.IndexOf(last) & ~3];
    }

    [GeneratedRegex("^subtree (0|[1-9][0-9]?) (0|[1-9][0-9]?)\n", RegexOptions.CultureInvariant)]
    private static partial Regex SmallRange();

    [GeneratedRegex("^subtree 08 13\n", RegexOptions.CultureInvariant)]
    private static partial Regex LeadingZeroOfRange();

    [GeneratedRegex("^old 0+([0-9])", RegexOptions.CultureInvariant)]
    private static partial Regex LeadingZeroOfOld();

    [GeneratedRegex("(?<=\n)0+([1-9][0-9]*)(?=\n)", RegexOptions.CultureInvariant)]
    private static partial Regex LeadingZero();

    [GeneratedRegex("(?<=[\n ])([A-Za-z0-9+/]+)([A-Za-z0-9+/])=(?=\n|$)", RegexOptions.CultureInvariant)]
    private static partial Regex TrailingBits();
}
