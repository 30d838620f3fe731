// Proofs from strangers: nothing but the log's own leaf, index and root is ever proven.

using System.Buffers.Binary;
using TransparencyLog.Client;
using TransparencyLog.Tests.Core;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of c2sp.org/tlog-proof and RFC 9162 section 2.1.</summary>
internal static class ProofTargets
{
    /// <summary>A tree of the same key that the log should not have signed: other entries from the fourth on.</summary>
    private static readonly Rfc6962 OtherTree = new([.. Enumerable.Range(0, World.Entries).Select(i => i < 3 ? World.Leaf(i) : MerkleHash.Leaf(World.Utf8($"other {i}")))]);

    private const int Fixed = 1 + 8 + 8 + Hash.Size + Hash.Size;

    /// <summary>TlogProof.TryParse, ToBytes, and ProofVerifier with a policy: an entry is only ever proven at its own index.</summary>
    public static Target TlogProof(string name) => new(name, Proof, typeof(TlogProof), typeof(ProofLines), typeof(ProofVerifier), typeof(CheckpointCheck), typeof(MerkleProof), typeof(Policy), typeof(Strict))
    {
        Seeds = [World.Proof(0, 1), World.Proof(7, 8), World.Proof(100, 257), World.Proof(299, 300), new TlogProof(7, World.Tree.Path(7, 9), World.Note(9), "extra"u8.ToArray()).ToBytes(), .. World.Vectors("proof/tlog-proof.json")],
        Words = ["c2sp.org/tlog-proof@v1\n"u8.ToArray(), "extra "u8.ToArray(), "index "u8.ToArray(), "index 7\n"u8.ToArray(), "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=\n"u8.ToArray()],
        MaxLength = 16 * 1024,
    };

    /// <summary>
    /// TlogEvidence.TryParse, ToBytes and TryVerify: nothing convinces but what the log has signed, and its own tree never. The fix-up makes the last line anew.
    /// </summary>
    public static Target Evidence(string name) => new(name, Evidence, typeof(TlogEvidence), typeof(ProofLines), typeof(MerkleProof), typeof(Strict))
    {
        Seeds =
        [
            .. from pair in new[] { (7, 7), (7, 9), (8, 9), (255, 257), (300, 300) }
               select TransparencyLog.TlogEvidence.Of(Signed(pair.Item1, World.Tree), Signed(pair.Item2, OtherTree), pair.Item1 == pair.Item2 ? [] : Prefix(OtherTree, pair.Item1, pair.Item2))!.ToBytes(),
            TransparencyLog.TlogEvidence.Of(Signed(7, World.Tree), Signed(9, World.Tree), [World.Leaf(1)])!.ToBytes(),
            TransparencyLog.TlogEvidence.Of(Signed(0, World.Leaf(1)))!.ToBytes(),
        ],
        Words = ["tlog-evidence v1\n"u8.ToArray(), .. from kind in Enum.GetValues<EvidenceKind>() select World.Utf8($"kind {TransparencyLog.TlogEvidence.Word(kind)}\n"), "\n\n"u8.ToArray(), "sha256 "u8.ToArray(), Signed(9, World.Tree).ToBytes(), Signed(7, OtherTree).ToBytes()],
        FixUp = input =>
        {
            if (input.Length < 72) return input;
            World.Utf8($"sha256 {Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(input.AsSpan(0, input.Length - 72)))}\n").CopyTo(input.AsSpan(input.Length - 72));
            return input;
        },
        MaxLength = 16 * 1024,
    };

    /// <summary>
    /// VerifyInclusion and VerifyConsistency: one byte that says which, index or old size, size, a leaf or the old root, the root, hashes. The fix-up puts the log's own leaf,
    /// roots or proof in the place of some of them.
    /// </summary>
    public static Target MerkleProof(string name) => new(name, Merkle, typeof(MerkleProof), typeof(MerkleHash))
    {
        Seeds = [.. from kind in new byte[] { 0, 1 } from pair in new[] { (0, 1), (1, 2), (6, 7), (7, 8), (100, 256), (255, 257), (256, 300) } select Right(kind, pair.Item1, pair.Item2)],
        FixUp = input => input.Length < Fixed ? input : Mend(input),
        MaxLength = Fixed + (70 * Hash.Size),
    };

    /// <summary>
    /// TreeCheck.Add of a bundle and a tile that a log has served: a byte for the width less one, the length of the bundle in two, the bundle, the tile. The fix-up puts the right
    /// hashes behind the bundle where the tile is as long as they are.
    /// </summary>
    public static Target LogTiles(string name) => new(name, Tiles, typeof(TreeCheck), typeof(EntryBundle))
    {
        Seeds = [Served("one", "", "three"), Served("a"), Served([.. Enumerable.Range(0, 256).Select(i => FormattableString.Invariant($"{i}"))])],
        FixUp = input =>
        {
            if (input.Length < 3) return input;
            int length = Math.Min(BinaryPrimitives.ReadUInt16BigEndian(input.AsSpan(1)), input.Length - 3);
            if (TreeCheck.Leaves(input.AsSpan(3, length)) is not Hash[] leaves || leaves.Length * Hash.Size != input.Length - 3 - length) return input;
            for (int i = 0; i < leaves.Length; i++) leaves[i].CopyTo(input.AsSpan(3 + length + (i * Hash.Size)));
            if (leaves.Length is > 0 and <= 256 && (input[0] & 1) == 0) input[0] = (byte)(leaves.Length - 1);
            return input;
        },
        MaxLength = 12 * 1024,
    };

    private static void Proof(byte[] input)
    {
        bool parsed = TransparencyLog.TlogProof.TryParse(input, out TlogProof? proof);
        Require(parsed == proof is not null, "a proof: the answer and the value say different things");
        if (proof is null) return;
        RequireSame(input, proof.ToBytes(), "a proof");
        Require(proof.Index >= 0 && proof.Hashes.Count <= TransparencyLog.TlogProof.MaxHashes && proof.Extra is not { Length: 0 }, "a proof beyond its limits");
        bool holds = ProofVerifier.TryVerify(World.Entry(7), proof, World.Policy, out VerifiedCheckpoint? checkpoint, out string reason);
        Require(holds == (reason.Length == 0) && NoteTargets.IsPrintable(reason), "a proof that is refused without a reason");
        if (holds) Require(proof.Index == 7 && proof.Hashes.SequenceEqual(World.Tree.Path(7, (int)checkpoint!.Checkpoint.Size)), "entry 7 is proven by something else than its proof");
    }

    private static void Evidence(byte[] input)
    {
        bool parsed = TlogEvidence.TryParse(input, out TlogEvidence? evidence, out string error);
        Require(parsed == evidence is not null && parsed == (error.Length == 0) && NoteTargets.IsPrintable(error), "evidence: the answer and the value say different things");
        if (evidence is null) return;
        RequireSame(input, evidence.ToBytes(), "evidence");
        Require(evidence.Notes.Count == evidence.Checkpoints.Count && evidence.Notes.Count == (evidence.Kind == EvidenceKind.SizeZero ? 1 : 2) && evidence.Hashes.Count <= TlogEvidence.MaxHashes, "evidence beyond its limits");
        Require(evidence.Checkpoints.All(one => one.Origin == evidence.Origin), "evidence against two logs");
        bool convinces = evidence.TryVerify([World.Verifiers[0]], out string reason);
        Require(convinces == (reason.Length == 0) && NoteTargets.IsPrintable(reason), "evidence that is refused without a reason");
        if (!convinces) return;
        Require(evidence.Kind != EvidenceKind.Unproven, "what proves nothing convinces");
        Require(evidence.Notes.All(note => World.Signed.Contains(System.Text.Encoding.UTF8.GetString(note.Text.Span))), "a note convinces that the log has not signed");
        Require(evidence.Checkpoints.Any(one => !Known(one.Size) || one.Root != World.Tree.Root((int)one.Size)), "a log is convicted by its own tree");
    }

    private static void Merkle(byte[] input)
    {
        if (input.Length < Fixed) return;
        (byte kind, long a, long b) = (input[0], BinaryPrimitives.ReadInt64BigEndian(input.AsSpan(1)), BinaryPrimitives.ReadInt64BigEndian(input.AsSpan(9)));
        Hash first = new(input.AsSpan(17, Hash.Size)), root = new(input.AsSpan(17 + Hash.Size, Hash.Size));
        Hash[] hashes = new Hash[(input.Length - Fixed) / Hash.Size];
        for (int i = 0; i < hashes.Length; i++) hashes[i] = new Hash(input.AsSpan(Fixed + (i * Hash.Size), Hash.Size));
        if ((kind & 1) == 0)
        {
            bool holds = TransparencyLog.MerkleProof.VerifyInclusion(first, a, b, hashes, root);
            if (a >= 0 && a < b) Require(!holds || hashes.Length == TransparencyLog.MerkleProof.InclusionLength(a, b), "an inclusion proof of another length is believed");
            if (!Known(a) || !Known(b) || a >= b || root != World.Tree.Root((int)b)) return;
            Require(holds == (first == World.Leaf((int)a) && hashes.AsSpan().SequenceEqual([.. World.Tree.Path((int)a, (int)b)])), "another leaf or proof is believed than the log's, or its own is not");
        }
        else
        {
            bool holds = TransparencyLog.MerkleProof.VerifyConsistency(a, b, first, root, hashes);
            if (a < 0 || a > b) Require(!holds, "a tree is proven to be the beginning of a smaller one");
            if (!Known(a) || !Known(b) || a > b || root != World.Tree.Root((int)b)) return;
            Require(holds == (first == World.Tree.Root((int)a) && hashes.AsSpan().SequenceEqual([.. World.Tree.Proof((int)a, (int)b)])), "another old root or proof is believed than the log's, or its own is not");
        }
    }

    private static void Tiles(byte[] input)
    {
        if (input.Length < 3) return;
        int width = input[0] + 1, length = Math.Min(BinaryPrimitives.ReadUInt16BigEndian(input.AsSpan(1)), input.Length - 3);
        ReadOnlySpan<byte> bundle = input.AsSpan(3, length), tile = input.AsSpan(3 + length);
        TreeCheck check = new([]);
        Damage? damage = check.Add(bundle, tile, width, "tile/entries/000", "tile/0/000");
        List<Hash> leaves = [];
        if (EntryBundle.TryCount(bundle, out int count))
        {
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle)) leaves.Add(MerkleHash.Leaf(entry));
        }

        bool right = count == width && leaves.Count == width && tile.SequenceEqual(leaves.SelectMany(leaf => leaf.ToArray()).ToArray());
        Require(right == damage is null, "a tile that is not of its entries is taken, or one that is of them is not");
        if (!right) return;
        Require(check.Size == width && check.Root() == MerkleHash.Root([.. leaves]), "the root of the tree is not that of its leaves");
        Require(check.Completed.Count == (width == 256 ? 1 : 0), "a tile is full too early or too late");
    }

    private static byte[] Served(params string[] entries)
    {
        byte[] bundle = [.. entries.SelectMany(entry => (byte[])[0, (byte)entry.Length, .. World.Utf8(entry)])];
        return [(byte)(entries.Length - 1), (byte)(bundle.Length >> 8), (byte)bundle.Length, .. bundle, .. entries.SelectMany(entry => MerkleHash.Leaf(World.Utf8(entry)).ToArray())];
    }

    private static Note Signed(int size, Rfc6962 tree) => Signed(size, tree.Root(size));

    private static Note Signed(int size, Hash root)
    {
        byte[] text = new Checkpoint(World.Origin, size, root).ToText();
        World.Signed.Add(System.Text.Encoding.UTF8.GetString(text));
        return new Note(text, [World.Log.Sign(text)]);
    }

    private static Hash[] Prefix(Rfc6962 tree, int m, int n) => System.Numerics.BitOperations.IsPow2(m) ? [tree.Root(m), .. tree.Proof(m, n)] : [.. tree.Proof(m, n)];

    private static bool Known(long size) => size is >= 0 and <= World.Entries;

    private static byte[] Right(byte kind, int a, int b)
    {
        List<Hash> hashes = kind == 0 ? World.Tree.Path(a, b) : World.Tree.Proof(a, b);
        byte[] input = new byte[Fixed + (hashes.Count * Hash.Size)];
        input[0] = kind;
        BinaryPrimitives.WriteInt64BigEndian(input.AsSpan(1), a);
        BinaryPrimitives.WriteInt64BigEndian(input.AsSpan(9), b);
        (kind == 0 ? World.Leaf(a) : World.Tree.Root(a)).CopyTo(input.AsSpan(17));
        World.Tree.Root(b).CopyTo(input.AsSpan(17 + Hash.Size));
        for (int i = 0; i < hashes.Count; i++) hashes[i].CopyTo(input.AsSpan(Fixed + (i * Hash.Size)));
        return input;
    }

    private static byte[] Mend(byte[] input)
    {
        long a = BinaryPrimitives.ReadInt64BigEndian(input.AsSpan(1)), b = BinaryPrimitives.ReadInt64BigEndian(input.AsSpan(9));
        bool inclusion = (input[0] & 1) == 0;
        if (!Known(a) || !Known(b) || (inclusion ? a >= b : a > b)) return input;

        // Which of them, is in the byte that says what it is: the bits above the lowest have no other meaning.
        byte[] right = Right((byte)(inclusion ? 0 : 1), (int)a, (int)b);
        if ((input[0] & 2) == 0) right.AsSpan(17 + Hash.Size, Hash.Size).CopyTo(input.AsSpan(17 + Hash.Size));
        if ((input[0] & 4) == 0) right.AsSpan(17, Hash.Size).CopyTo(input.AsSpan(17));
        return (input[0] & 8) == 0 ? [.. input.AsSpan(0, Fixed), .. right.AsSpan(Fixed)] : input;
    }
}
