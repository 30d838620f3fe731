using System.Text;

namespace TransparencyLog.Tests.Core;

/// <summary>What a caller cannot mean is refused by the name of the argument, with what is allowed.</summary>
public sealed class ArgumentTests
{
    private static readonly Hash Root = MerkleHash.Empty;
    private static readonly byte[] CheckpointText = new Checkpoint("example.com/log", 9, Root).ToText();
    private static readonly NoteSignature Line = new("example.com/log", 7, new byte[64]);
    private static readonly Note Signed = new(CheckpointText, [Line]);
    private static readonly ListedLog Listed = new(Key("example.com/log"), "example.com/log", 1, "somebody");

    private static readonly (string Parameter, string Says, Action Act)[] Refusals =
    [
        ("proof", "", () => _ = new AddCheckpointRequest(0, null!, CheckpointText)),
        ("oldSize", "", () => _ = new AddCheckpointRequest(-1, [], Signed.ToBytes())),
        ("proof", "at most 63 hashes", () => _ = new AddCheckpointRequest(0, new Hash[64], Signed.ToBytes())),
        ("checkpoint", "lines of text, the first of them not empty", () => _ = new AddCheckpointRequest(0, [], "\n"u8.ToArray())),
        ("checkpoint", "at most 131072 bytes", () => _ = new AddCheckpointRequest(0, [], Encoding.ASCII.GetBytes($"{new string('a', 131072)}\n"))),
        ("lines", "at least one line and at most 16384 bytes", () => AddCheckpointResponse.ToBytes([])),
        ("lines", "at least one line and at most 16384 bytes", () => AddCheckpointResponse.ToBytes([new("a", 1, new byte[16384])])),
        ("size", "", () => AddCheckpointResponse.SizeToBytes(-1)),
        ("origin", "", () => _ = new Checkpoint(null!, 0, Root)),
        ("extensions", "", () => _ = new Checkpoint("a", 0, Root, null!)),
        ("size", "", () => _ = new Checkpoint("a", -1, Root)),
        ("origin", "one line of text, not empty", () => _ = new Checkpoint("", 0, Root)),
        ("origin", "one line of text, not empty", () => _ = new Checkpoint("\ufeffa", 0, Root)),
        ("extensions", "at most 64 lines of text, none of them empty", () => _ = new Checkpoint("a", 0, Root, [""])),
        ("extensions", "at most 64 lines of text, none of them empty", () => _ = new Checkpoint("a", 0, Root, [.. Enumerable.Repeat("x", 65)])),
        ("origin", "", () => Checkpoint.HashOrigin(null!)),
        ("timestamp", "", () => Cosignature.Ed25519Message(0, CheckpointText)),
        ("timestamp", "", () => Cosignature.Ed25519Message(1UL << 63, CheckpointText)),
        ("cosigner", "", () => Cosignature.MlDsa44Message(null!, 1, "b", 0, 1, Root)),
        ("origin", "", () => Cosignature.MlDsa44Message("a", 1, null!, 0, 1, Root)),
        ("cosigner", "a name that ML-DSA-44 signs has 1 to 255 bytes of UTF-8", () => Cosignature.MlDsa44Message("", 1, "b", 0, 1, Root)),
        ("origin", "an origin that ML-DSA-44 signs has 1 to 255 bytes of UTF-8", () => Cosignature.MlDsa44Message("a", 1, "", 0, 1, Root)),
        ("timestamp", "", () => Cosignature.MlDsa44Message("a", 1UL << 63, "b", 0, 1, Root)),
        ("start", "", () => Cosignature.MlDsa44Message("a", 1, "b", -1, 1, Root)),
        ("end", "", () => Cosignature.MlDsa44Message("a", 0, "b", 2, 1, Root)),
        ("timestamp", "a subtree that does not start at 0 is cosigned without a time", () => Cosignature.MlDsa44Message("a", 1, "b", 1, 2, Root)),
        ("text", "", () => Cosignature.IsMlDsa44Text(null!)),
        ("entryLength", "", () => EntryBundle.EncodedSize(-1)),
        ("entryLength", "", () => EntryBundle.EncodedSize(65536)),
        ("destination", "the entry needs 5 bytes", () => EntryBundle.Write("abc"u8, new byte[4])),
        ("entries", "", () => EntryBundle.PrefixLength([], -1)),
        ("entries", "the bundle holds 1", () => EntryBundle.PrefixLength([0, 0], 2)),
        ("", "no entry at offset 2 of the bundle", () =>
        {
            foreach (ReadOnlySpan<byte> _ in EntryBundle.Enumerate([0, 0, 0]))
            {
            }
        }),
        ("bytes", "a hash has 32 bytes, not 31", () => _ = new Hash(new byte[31])),
        ("destination", "a line has 45 bytes", () => Root.WriteLine(new byte[44])),
        ("function", "", () => MerkleHash.TryUse(null!)),
        ("children", "children come in pairs", () => MerkleHash.Nodes(new Hash[3], new Hash[2])),
        ("parents", "no room for the parents", () => MerkleHash.Nodes(new Hash[4], new Hash[1])),
        ("index", "", () => MerkleProof.InclusionLength(-1, 1)),
        ("index", "", () => MerkleProof.InclusionLength(1, 1)),
        ("signatures", "", () => _ = new Note(CheckpointText, null!)),
        ("text", "a note text is UTF-8, ends in a newline and has no other control character", () => _ = new Note("a"u8.ToArray(), [Line])),
        ("signatures", "1 to 100 signature lines", () => _ = new Note(CheckpointText, [])),
        ("signatures", "1 to 100 signature lines", () => _ = new Note(CheckpointText, [.. Enumerable.Repeat(Line, 101)])),
        ("signatures", "without a name", () => _ = new Note(CheckpointText, [default])),
        ("text", "at most 1048576 bytes", () => _ = new Note(Encoding.ASCII.GetBytes($"{new string('a', 1048576)}\n"), [Line])),
        ("Name", "not a key name", () => _ = new NoteSignature("a b", 1, new byte[1])),
        ("Signature", "an empty signature", () => _ = new NoteSignature("a", 1, Array.Empty<byte>())),
        ("verifiers", "", () => Signed.Verify(null!)),
        ("cosigned", "", () => Parsed("quorum none\n").IsQuorumMet(null!)),
        ("note", "", () => Parsed("quorum none\n").Verify(null!, _ => null)),
        ("verifiers", "", () => Parsed("quorum none\n").Verify(Signed, null!)),
        ("index", "", () => ProofPlan.Inclusion(-1, 1)),
        ("index", "", () => ProofPlan.Inclusion(1, 1)),
        ("from", "", () => ProofPlan.Consistency(-1, 1)),
        ("from", "", () => ProofPlan.Consistency(2, 1)),
        ("index", "", () => ProofPlan.SubtreeInclusion(1, 2, 4, 8)),
        ("index", "", () => ProofPlan.SubtreeInclusion(4, 2, 4, 8)),
        ("from", "", () => ProofPlan.Prefix(0, 1)),
        ("from", "", () => ProofPlan.Prefix(1, 1)),
        ("size", "", () => ProofPlan.Root(-1)),
        ("end", "", () => ProofPlan.Subtree(0, 9, 8)),
        ("start", "[1, 3) is no valid subtree", () => ProofPlan.Subtree(1, 3, 8)),
        ("size", "", () => RightEdge.Restore(-1, [])),
        ("partialTiles", "the partial tile at level 0 of size 2 has 2 hashes, not 32 bytes", () => RightEdge.Restore(2, [new byte[32]])),
        ("level", "", () => new RightEdge().PartialTile(-1)),
        ("proof", "", () => _ = new SignSubtreeRequest(0, 1, Root, null!, Signed.ToBytes())),
        ("start", "a subtree's start is a multiple of the smallest power of two that is not below its size, which is not 0", () => _ = new SignSubtreeRequest(1, 3, Root, [], Signed.ToBytes())),
        ("proof", "at most 63 hashes", () => _ = new SignSubtreeRequest(0, 1, Root, new Hash[64], Signed.ToBytes())),
        ("checkpoint", "lines of text, the first of them not empty", () => _ = new SignSubtreeRequest(0, 1, Root, [], "\n"u8.ToArray())),
        ("checkpoint", "at most 131072 bytes", () => _ = new SignSubtreeRequest(0, 1, Root, [], Encoding.ASCII.GetBytes($"{new string('a', 131072)}\n"))),
        ("destination", "no room for the base64", () => Strict.WriteBase64(new byte[32], new byte[43])),
        ("level", "", () => _ = new TilePath(-2, 0)),
        ("level", "", () => _ = new TilePath(64, 0)),
        ("index", "", () => _ = new TilePath(0, -1)),
        ("width", "", () => _ = new TilePath(0, 0, 0)),
        ("width", "", () => _ = new TilePath(0, 0, 257)),
        ("level", "", () => TilePath.WidthAt(-2, 0, 1)),
        ("level", "", () => TilePath.WidthAt(64, 0, 1)),
        ("tile", "1 to 256 hashes of 32 bytes", () => _ = new TileTree(Array.Empty<byte>())),
        ("tile", "1 to 256 hashes of 32 bytes", () => _ = new TileTree(new byte[33])),
        ("tile", "1 to 256 hashes of 32 bytes", () => _ = new TileTree(new byte[257 * 32])),
        ("first", "2 hashes from there on are no complete subtree of a tile of 2", () => new TileTree(new byte[64]).Subtree(1, 2)),
        ("hashes", "", () => TlogEvidence.Of(Signed, Signed, null!)),
        ("hashes", "at most 64 hashes", () => TlogEvidence.Of(Signed, Signed, new Hash[65])),
        ("other", "two origins are two logs", () => TlogEvidence.Of(Signed, new Note(new Checkpoint("example.com/other", 9, Root).ToText(), [Line]), [])),
        ("kind", "", () => TlogEvidence.Word((EvidenceKind)4)),
        ("note", "", () => TlogEvidence.Of(null!)),
        ("note", "not a checkpoint", () => TlogEvidence.Of(new Note("a\n"u8.ToArray(), [Line]))),
        ("logs", "", () => _ = new TlogList(null!)),
        ("logs", "at most 4096 logs", () => _ = new TlogList([.. Enumerable.Range(0, 4097).Select(i => Listed with { Origin = $"example.com/{i}" })])),
        ("logs", "could not be read again", () => _ = new TlogList([Listed with { Contact = "a\nb" }])),
        ("logs", "could not be read again", () => _ = new TlogList([Listed with { Origin = "a\nb" }])),
        ("logs", "could not be read again", () => _ = new TlogList([Listed with { Contact = "\u0001b" }])),
        ("logs", "could not be read again", () => _ = new TlogList([Listed with { Origin = "example.com/other" }, Listed with { Contact = "" }])),
        ("logs", "could not be read again", () => _ = new TlogList([Listed with { QueriesPerDay = 0 }])),
        ("logs", "an origin stands there twice", () => _ = new TlogList([Listed, Listed])),
        ("logs", "at most 1048576 bytes", () => _ = new TlogList([Listed with { Contact = new string('a', 1048576) }])),
        ("hashes", "", () => _ = new TlogProof(0, null!, Signed.ToBytes())),
        ("index", "", () => _ = new TlogProof(-1, [], Signed.ToBytes())),
        ("hashes", "at most 63 hashes", () => _ = new TlogProof(0, new Hash[64], Signed.ToBytes())),
        ("checkpoint", "lines of text, the first of them not empty", () => _ = new TlogProof(0, [], "\n"u8.ToArray())),
        ("extra", "at most 65,536 bytes", () => _ = new TlogProof(0, [], Signed.ToBytes(), new byte[65537])),
        ("claims", "in the order of their sizes", () => _ = new TreeCheck([new(2, Root, "a"), new(1, Root, "b")])),
        ("name", "", () => VerifierKey.IsKeyName((string)null!)),
        ("name", "", () => _ = VerifierKey.Create(null!, VerifierKey.Ed25519, new byte[32])),
        ("name", "1 to 255 bytes of UTF-8 and no space, plus or control character", () => _ = VerifierKey.Create("a b", VerifierKey.Ed25519, new byte[32])),
        ("publicKey", "no signature type 0x01 with a key of 31 bytes", () => _ = VerifierKey.Create("a", VerifierKey.Ed25519, new byte[31])),
    ];

    public static TheoryData<int, string, string> Cases => [.. Refusals.Select((refusal, at) => (at, refusal.Parameter, refusal.Says))];

    private static VerifierKey Key(string name) => VerifierKey.Create(name, VerifierKey.Ed25519, new byte[32]);

    private static Policy Parsed(string text) => Policy.TryParse(Encoding.UTF8.GetBytes(text), out Policy? policy, out string error) ? policy! : throw new InvalidOperationException(error);

    [Theory]
    [MemberData(nameof(Cases))]
    public void Is_refused_by_the_name_of_the_argument_with_what_is_allowed(int at, string parameter, string says)
    {
        ArgumentException refusal = Assert.ThrowsAny<ArgumentException>(Refusals[at].Act);
        Assert.Equal(parameter, refusal.ParamName ?? "");
        Assert.Contains(says, refusal.Message, StringComparison.Ordinal);
    }

    /// <summary>The line that an operator reads: kind, place, segment, index, expected, found.</summary>
    [Fact]
    public void Damage_says_what_is_where_and_what_should_be_there()
    {
        Assert.Equal("tile: segments/data.0: expected a, found b", new Damage("tile", "segments/data.0", null, null, "a", "b").ToString());
        Assert.Equal("seal: record 7, segment 7, index 1800: expected a, found b", new Damage("seal", "record 7", 7, 1800, "a", "b").ToString());
    }
}
