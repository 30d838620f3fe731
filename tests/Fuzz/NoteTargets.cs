// Notes, checkpoints, signature lines, vkeys and the bodies of add-checkpoint and sign-subtree: what strangers send to a log, a witness and a client.

using System.Text;
using TransparencyLog.Signing;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of c2sp.org/signed-note, tlog-checkpoint, tlog-cosignature and tlog-witness.</summary>
internal static class NoteTargets
{
    private static readonly byte[][] Words =
    [
        "\n\n"u8.ToArray(), "— "u8.ToArray(), World.Utf8($"— {World.Origin} "), World.Utf8($"{World.Origin}\n"), "47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n"u8.ToArray(), "old "u8.ToArray(),
        World.Utf8(World.Log.Key.ToString()), World.Utf8(World.Witness.Key.ToString()),
    ];

    /// <summary>Note.TryParse, ToBytes and Verify: what verifies was signed.</summary>
    public static Target Note(string name) => new(name, input => Check(input), typeof(Note), typeof(NoteSignature), typeof(NoteVerification), typeof(Strict), typeof(VerifierKey))
    {
        Seeds = [World.Note(0), World.Note(1), World.Note(300), .. World.VectorsOfBase64("note/note-open.json").Where(bytes => bytes.Contains((byte)'\n'))],
        Words = Words,
        MaxLength = 16 * 1024,
    };

    /// <summary>Checkpoint.TryParse and ToText.</summary>
    public static Target Checkpoint(string name) => new(name, CheckText, typeof(Checkpoint), typeof(Hash), typeof(Strict))
    {
        Seeds = [World.Text(0), World.Text(300), .. World.Vectors("checkpoint/checkpoint-parse.json")],
        Words = Words,
    };

    /// <summary>A signature line, the time of a cosignature, and the answers of a witness: lines with 200, a size with 409.</summary>
    public static Target SignatureLine(string name) => new(name, Lines, typeof(NoteSignature), typeof(Cosignature), typeof(AddCheckpointResponse), typeof(Strict))
    {
        Seeds =
        [
            World.Utf8(World.Log.Sign(World.Text(1)).ToLine()), World.Utf8(World.Witness.Cosign(World.Text(1), 1_700_000_000).ToLine()), "20852014\n"u8.ToArray(),
            .. World.Vectors("cosignature/cosignatures.json").Where(text => text.AsSpan().StartsWith("— "u8)),
        ],
        Words = Words,
        MaxLength = 20 * 1024,
    };

    /// <summary>VerifierKey.TryParse and ToString, and the verifier that is made of it.</summary>
    public static Target VerifierKey(string name) => new(name, Key, typeof(VerifierKey), typeof(Verifiers), typeof(Ed25519), typeof(Strict))
    {
        Seeds = [World.Utf8(World.Log.Key.ToString()), .. World.Vectors("note/vkeys.json"), .. World.Vectors("cosignature/cosignatures.json").Where(text => text.Contains((byte)'+') && !text.Contains((byte)'\n'))],
        FixUp = FixUps.KeyIds,
    };

    /// <summary>
    /// AddCheckpointRequest.TryParse and ToBytes, and what a witness makes of it: note, checkpoint, proof. A checkpoint with a right root, from an old size with a right root,
    /// is only proven by the log's own proof.
    /// </summary>
    public static Target AddCheckpoint(string name) => new(name, Request, typeof(AddCheckpointRequest), typeof(ProofLines), typeof(Note), typeof(NoteSignature), typeof(Checkpoint), typeof(Hash), typeof(MerkleProof))
    {
        Seeds = [World.Request(0, 1), World.Request(1, 3), World.Request(100, 300), World.Request(256, 256), .. World.Vectors("witness/scenario-sigsum.json").Where(text => text.AsSpan().StartsWith("old "u8))],
        Words = Words,
        MaxLength = 140 * 1024,
    };

    /// <summary>SignSubtreeRequest.TryParse and ToBytes, and what a witness makes of it: under a right root only the log's own subtree is proven, by its own proof.</summary>
    public static Target SignSubtree(string name) => new(name, Subtree, typeof(SignSubtreeRequest), typeof(ProofLines), typeof(SubtreeProof), typeof(Hash))
    {
        Seeds = [World.SubtreeRequest(0, 1, 1), World.SubtreeRequest(8, 13, 14), World.SubtreeRequest(0, 100, 300), World.SubtreeRequest(256, 300, 300), World.SubtreeRequest(256, 290, 300)],
        Words = [.. Words, "subtree "u8.ToArray(), "subtree 0 18446744073709551615\n"u8.ToArray(), "9223372036854775807"u8.ToArray()],
        MaxLength = 140 * 1024,
    };

    /// <summary>Checks a note as far as it is one; the checkpoint when its text is one.</summary>
    internal static Checkpoint? Check(byte[] input)
    {
        bool parsed = TransparencyLog.Note.TryParse(input, out Note? note);
        Require(parsed == note is not null, "a note: the answer and the value say different things");
        if (note is null) return null;
        RequireSame(input, note.ToBytes(), "a note");
        RequireSame(note.ToBytes(), new Note(note.Text, note.Signatures).ToBytes(), "a note made of its parts");
        foreach (NoteSignature line in note.Signatures) Line(line);

        // Only a line of a key that is known is verified. Nobody signs another text than these.
        NoteVerification verification = note.Verify(World.Verifiers);
        string text = Encoding.UTF8.GetString(note.Text.Span);
        if (verification.Status == NoteStatus.Verified && !World.Signed.Contains(text)) throw new OracleException("a note verifies that was never signed");
        Require(verification.Verified.Count == verification.Verified.Select(one => one.Verifier.Key.ToString()).Distinct(StringComparer.Ordinal).Count(), "a key counts twice");
        PolicyVerdict verdict = World.Policy.Verify(note, Verifiers.TryCreate);
        Require(verdict.Failure != PolicyFailure.None || World.Signed.Contains(text), "a policy accepts a note that was never signed");
        Require(IsPrintable(verdict.Reason), "a reason that is not printable ASCII");
        CheckText(note.Text.ToArray());
        return verdict.Failure == PolicyFailure.None ? verdict.Checkpoint : null;
    }

    internal static bool IsPrintable(string text) => !text.AsSpan().ContainsAnyExceptInRange(' ', '~');

    private static void CheckText(byte[] input)
    {
        bool parsed = TransparencyLog.Checkpoint.TryParse(input, out Checkpoint? checkpoint);
        Require(parsed == checkpoint is not null, "a checkpoint: the answer and the value say different things");
        if (checkpoint is null) return;
        RequireSame(input, checkpoint.ToText(), "a checkpoint");
        Require(checkpoint.Size >= 0 && checkpoint.Extensions.Count <= TransparencyLog.Checkpoint.MaxExtensions, "a checkpoint beyond its limits");
        Require(checkpoint.Equals(new Checkpoint(checkpoint.Origin, checkpoint.Size, checkpoint.Root, checkpoint.Extensions)), "a checkpoint made of its parts is another");
    }

    private static void Lines(byte[] input)
    {
        if (NoteSignature.TryParseLine(input, out NoteSignature line))
        {
            RequireSame(input, World.Utf8(line.ToLine()), "a signature line");
            Line(line);
        }

        if (AddCheckpointResponse.TryParse(input, out IReadOnlyList<NoteSignature> lines))
        {
            Require(lines.Count > 0, "no lines are an answer");
            RequireSame(input, AddCheckpointResponse.ToBytes(lines), "signature lines");
        }

        if (AddCheckpointResponse.TryParseSize(input, out long size)) RequireSame(input, AddCheckpointResponse.SizeToBytes(size), "the size of a 409");
    }

    private static void Line(NoteSignature line)
    {
        Require(TransparencyLog.VerifierKey.IsKeyName(line.Name) && line.Signature.Length > 0, "a signature line without a name or a signature");
        if (!Cosignature.TryReadTimestamp(line.Signature.Span, out ulong timestamp)) return;
        Require(timestamp is > 0 and <= long.MaxValue, "the time of a cosignature is out of range");
        Require(Cosignature.Ed25519Message(timestamp, "text\n"u8).AsSpan().EndsWith("\ntext\n"u8), "a message without its text");
    }

    private static void Key(byte[] input)
    {
        if (!TransparencyLog.VerifierKey.TryParse(input, out VerifierKey? key)) return;
        RequireSame(input, World.Utf8(key.ToString()), "a vkey");
        Require(key.Equals(TransparencyLog.VerifierKey.Create(key.Name, key.SignatureType, key.PublicKey.Span)), "a vkey made of its parts is another");

        // A key that is accepted verifies nothing that chance brings; a point of small order would.
        byte[] signature = [.. key.PublicKey.Span[..Math.Min(32, key.PublicKey.Length)], .. new byte[32]];
        if (Verifiers.TryCreate(key) is INoteVerifier verifier) Require(!verifier.Verify("text\n"u8, signature), "a key verifies a signature that nobody made");
    }

    private static void Request(byte[] input)
    {
        bool parsed = AddCheckpointRequest.TryParse(input, out AddCheckpointRequest? request, out string error);
        Require(parsed == request is not null && parsed == (error.Length == 0), "a request: the answer, the value and the error say different things");
        Require(IsPrintable(error), "an error that is not printable ASCII");
        if (request is null) return;
        RequireSame(input, request.ToBytes(), "a request");
        Require(request.Proof.Count <= AddCheckpointRequest.MaxProof && request.OldSize >= 0, "a request beyond its limits");
        Checkpoint? checkpoint = Check(request.Checkpoint.ToArray());
        if (checkpoint is null || request.OldSize > checkpoint.Size) return;

        // The checkpoint is one of the log's: from the right root only the right proof leads there, from another root none.
        (int from, int to) = ((int)request.OldSize, (int)checkpoint.Size);
        bool proven = TransparencyLog.MerkleProof.VerifyConsistency(from, to, World.Tree.Root(from), checkpoint.Root, [.. request.Proof]);
        Require(proven == request.Proof.SequenceEqual(World.Tree.Proof(from, to)), "a consistency proof that is not the log's is believed, or the log's is not");
        Require(from == 0 || !TransparencyLog.MerkleProof.VerifyConsistency(from, to, World.Leaf(7), checkpoint.Root, [.. request.Proof]) || World.Leaf(7) == World.Tree.Root(from), "a wrong old root is proven");
    }

    private static void Subtree(byte[] input)
    {
        bool parsed = SignSubtreeRequest.TryParse(input, out SignSubtreeRequest? request, out string error);
        Require(parsed == request is not null && parsed == (error.Length == 0), "a request: the answer, the value and the error say different things");
        Require(IsPrintable(error), "an error that is not printable ASCII");
        if (request is null) return;
        RequireSame(input, request.ToBytes(), "a request");
        Require(request.Proof.Count <= SignSubtreeRequest.MaxProof && SubtreeProof.IsValid(request.Start, request.End), "a request beyond its limits");
        if (Check(request.Checkpoint.ToArray()) is not Checkpoint checkpoint) return;

        // The checkpoint is one of the log's.
        bool proven = SubtreeProof.VerifyConsistency(request.Start, request.End, checkpoint.Size, request.Hash, checkpoint.Root, [.. request.Proof]);
        bool right = request.End <= checkpoint.Size && request.Hash == World.Tree.Subtree((int)request.Start, (int)request.End)
            && request.Proof.SequenceEqual(World.Tree.SubtreeProof((int)request.Start, (int)request.End, (int)checkpoint.Size));
        Require(proven == right, "another subtree or proof is believed than the log's, or its own is not");
    }
}
