using BenchmarkDotNet.Attributes;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Bench.Micro;

/// <summary>The hashes of the tree.</summary>
public class Hashing
{
    private readonly byte[] _entry = Data.Noise(128);
    private readonly byte[] _large = Data.Noise(4096);
    private readonly Hash _left = MerkleHash.Leaf([1]), _right = MerkleHash.Leaf([2]);
    private readonly Hash[] _children = Data.Leaves(256);
    private readonly Hash[] _parents = new Hash[128];

    [Benchmark]
    public Hash Leaf_of_128_bytes() => MerkleHash.Leaf(_entry);

    [Benchmark]
    public Hash Leaf_of_4096_bytes() => MerkleHash.Leaf(_large);

    [Benchmark]
    public Hash Node() => MerkleHash.Node(_left, _right);

    [Benchmark(OperationsPerInvoke = 128)]
    public void Nodes_side_by_side() => MerkleHash.Nodes(_children, _parents);
}

/// <summary>Appending to a tree, and proofs out of the tiles of one of a million entries.</summary>
public class Trees
{
    private const int Size = 1_000_000, Index = 777_777, Old = 654_321;

    private readonly Hash[] _leaves = Data.Leaves(Size);
    private readonly List<FullTile> _completed = [];
    private readonly Dictionary<TilePath, ReadOnlyMemory<byte>> _tiles = [];
    private RightEdge _edge = new();
    private Hash _root, _oldRoot;
    private Hash[] _inclusion = [], _consistency = [];

    [GlobalSetup]
    public void Build()
    {
        foreach (Hash leaf in _leaves)
        {
            if (_edge.Size == Old) _oldRoot = _edge.Root();
            _completed.Clear();
            _edge.Append(leaf, _completed);
            foreach (FullTile tile in _completed) _tiles[new TilePath(tile.Level, tile.Index)] = tile.Hashes;
        }

        _root = _edge.Root();
        for (int level = 0; level < _edge.Levels; level++)
        {
            ReadOnlyMemory<byte> partial = _edge.PartialTile(level);
            if (!partial.IsEmpty) _tiles[new TilePath(level, Size >> (8 * (level + 1)), partial.Length / Hash.Size)] = partial;
        }

        _inclusion = Inclusion_proof_from_tiles();
        _consistency = Consistency_proof_from_tiles();
        if (!Verify_inclusion() || !Verify_consistency()) throw new InvalidOperationException("the proofs do not hold");
    }

    [IterationSetup(Target = nameof(Append))]
    public void Restart() => _edge = new RightEdge();

    [Benchmark(OperationsPerInvoke = 256 * 256)]
    public long Append()
    {
        for (int i = 0; i < 256 * 256; i++)
        {
            _completed.Clear();
            _edge.Append(_leaves[i], _completed);
        }

        return _edge.Size;
    }

    [Benchmark]
    public Hash[] Inclusion_proof_from_tiles() => Build(ProofPlan.Inclusion(Index, Size));

    [Benchmark]
    public Hash[] Consistency_proof_from_tiles() => Build(ProofPlan.Consistency(Old, Size));

    [Benchmark]
    public bool Verify_inclusion() => MerkleProof.VerifyInclusion(_leaves[Index], Index, Size, _inclusion, _root);

    [Benchmark]
    public bool Verify_consistency() => MerkleProof.VerifyConsistency(Old, Size, _oldRoot, _root, _consistency);

    private Hash[] Build(ProofPlan plan) => plan.TryBuild(path => _tiles[path], out Hash[] proof) ? proof : throw new InvalidOperationException("a tile of another width");
}

/// <summary>Notes and checkpoints.</summary>
public class Texts
{
    private readonly INoteVerifier _verifier;
    private readonly NoteSigner _signer;
    private readonly byte[] _text, _note;
    private readonly Note _parsed;

    public Texts()
    {
        _signer = new NoteSigner("bench.example/log", Ed25519PrivateKey.Generate());
        _verifier = Verifiers.TryCreate(_signer.Key)!;
        _text = new Checkpoint("bench.example/log", 1_000_000, MerkleHash.Leaf([1])).ToText();
        _note = new Note(_text, [_signer.Sign(_text)]).ToBytes();
        _parsed = Parse_note()!;
    }

    [Benchmark]
    public Note? Parse_note() => Note.TryParse(_note, out Note? note) ? note : throw new InvalidOperationException("not a note");

    [Benchmark]
    public Checkpoint? Parse_checkpoint() => Checkpoint.TryParse(_text, out Checkpoint? checkpoint) ? checkpoint : throw new InvalidOperationException("not a checkpoint");

    [Benchmark]
    public NoteStatus Verify_note() => _parsed.Verify([_verifier]).Status;

    [Benchmark]
    public NoteSignature Sign_note() => _signer.Sign(_text);
}

/// <summary>Signatures on a checkpoint: made and verified once more by the signer, as the log does; and verified by a reader.</summary>
public class Signatures
{
    private readonly NoteSigner _ed25519;
    private readonly MlDsa44Cosigner _mlDsa44;
    private readonly Cosigner _witness = new("bench.example/witness", Ed25519PrivateKey.Generate());
    private readonly INoteVerifier _ed25519Verifier, _mlDsa44Verifier;
    private readonly byte[] _text = new Checkpoint("bench.example/log", 1_000_000, MerkleHash.Leaf([1])).ToText();
    private readonly ReadOnlyMemory<byte> _ed25519Signature, _mlDsa44Signature;

    public Signatures()
    {
        _ed25519 = new NoteSigner("bench.example/log", Ed25519PrivateKey.Generate());
        _mlDsa44 = new MlDsa44Cosigner("bench.example/log", MlDsa44PrivateKey.Generate());
        _ed25519Verifier = Verifiers.TryCreate(_ed25519.Key)!;
        _mlDsa44Verifier = Verifiers.TryCreate(_mlDsa44.Key)!;
        _ed25519Signature = Ed25519_sign().Signature;
        _mlDsa44Signature = ML_DSA_44_sign().Signature;
        if (!Ed25519_verify() || !ML_DSA_44_verify()) throw new InvalidOperationException("the signatures do not hold");
    }

    [Benchmark]
    public NoteSignature Ed25519_sign() => _ed25519.Sign(_text);

    [Benchmark]
    public NoteSignature ML_DSA_44_sign() => _mlDsa44.Cosign(_text, 1_700_000_000);

    [Benchmark]
    public bool Ed25519_verify() => _ed25519Verifier.Verify(_text, _ed25519Signature.Span);

    [Benchmark]
    public bool ML_DSA_44_verify() => _mlDsa44Verifier.Verify(_text, _mlDsa44Signature.Span);

    [Benchmark]
    public INoteVerifier? Ed25519_load_a_public_key() => Verifiers.TryCreate(_ed25519.Key);

    [Benchmark]
    public INoteVerifier? ML_DSA_44_load_a_public_key() => Verifiers.TryCreate(_mlDsa44.Key);

    /// <summary>The signatures of one add-checkpoint: the log's line is verified, the witness cosigns, and verifies what it made.</summary>
    [Benchmark]
    public NoteSignature Add_checkpoint_of_a_witness_with_Ed25519() => Ed25519_verify() ? _witness.Cosign(_text, 1_700_000_000) : throw new InvalidOperationException("the signature does not hold");

    [Benchmark]
    public NoteSignature Add_checkpoint_of_a_witness_with_both_keys()
    {
        _ = Add_checkpoint_of_a_witness_with_Ed25519();
        return ML_DSA_44_sign();
    }
}

/// <summary>Bundles and CRCs.</summary>
public class Bytes
{
    private readonly byte[] _bundle = Data.Bundle(256, 128);
    private readonly byte[] _block = Data.Noise(8192);

    [Benchmark]
    public int Enumerate_a_bundle_of_256_entries()
    {
        int bytes = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(_bundle)) bytes += entry.Length;
        return bytes;
    }

    [Benchmark]
    public bool Count_a_bundle_of_256_entries() => EntryBundle.TryCount(_bundle, out _);

    [Benchmark(OperationsPerInvoke = 256)]
    public Hash[]? Leaf_hashes_of_a_bundle() => TreeCheck.Leaves(_bundle);

    [Benchmark]
    public uint Crc_of_8_KiB() => Crc32C.Of(_block);
}

internal static class Data
{
    public static byte[] Noise(int bytes)
    {
        byte[] noise = new byte[bytes];
        new Random(1).NextBytes(noise);
        return noise;
    }

    public static Hash[] Leaves(int count) => [.. Enumerable.Range(0, count).Select(i => MerkleHash.Leaf(BitConverter.GetBytes(i)))];

    public static byte[] Bundle(int entries, int bytes)
    {
        byte[] bundle = new byte[entries * EntryBundle.EncodedSize(bytes)];
        for (int i = 0, at = 0; i < entries; i++) at += EntryBundle.Write(Noise(bytes), bundle.AsSpan(at));
        return bundle;
    }
}
