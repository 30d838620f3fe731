// A log in memory, computed the slow way from RFC 6962 and tlog-tiles: what the builders of the product do is not used here.
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Client;

/// <summary>Entries, a key, and every path that a tile log serves at one size.</summary>
internal sealed class MemoryLog : IDisposable
{
    private readonly Ed25519PrivateKey _key;
    private readonly List<Ed25519PrivateKey> _witnessKeys = [];
    private readonly List<Cosigner> _witnesses = [];

    public MemoryLog(int size, string origin = "example.com/log", byte seed = 1, int witnesses = 0)
    {
        Origin = origin;
        _key = Ed25519PrivateKey.FromSeed(Enumerable.Repeat(seed, Ed25519.SeedSize).ToArray());
        Signer = new NoteSigner(origin, _key);
        for (int i = 0; i < witnesses; i++)
        {
            _witnessKeys.Add(Ed25519PrivateKey.FromSeed(Enumerable.Repeat((byte)(100 + i), Ed25519.SeedSize).ToArray()));
            _witnesses.Add(new Cosigner($"witness{i}.example", _witnessKeys[i]));
        }

        Entries = [.. Enumerable.Range(0, size).Select(i => Encoding.ASCII.GetBytes($"entry {i}"))];
        Publish(size);
    }

    public string Origin { get; }

    public NoteSigner Signer { get; }

    public List<byte[]> Entries { get; }

    public Dictionary<string, byte[]> Files { get; } = new(StringComparer.Ordinal);

    public Checkpoint Checkpoint { get; private set; } = null!;

    public string PolicyText(int quorum = 0)
    {
        StringBuilder text = new($"log {Signer.Key}\n");
        foreach (Cosigner witness in _witnesses) text.Append($"witness {witness.Key.Name} {witness.Key}\n");
        if (_witnesses.Count > 0) text.Append($"group all-of-them {Math.Max(quorum, 1)} {string.Join(' ', _witnesses.Select(witness => witness.Key.Name))}\n");
        return text.Append(quorum == 0 ? "quorum none\n" : "quorum all-of-them\n").ToString();
    }

    public Policy Policy(int quorum = 0) =>
        TransparencyLog.Policy.TryParse(Encoding.UTF8.GetBytes(PolicyText(quorum)), out Policy? policy, out string error) ? policy! : throw new InvalidOperationException(error);

    /// <summary>A checkpoint of the tree at a size: signed by the log, or by whom one likes, and by the first witnesses.</summary>
    public byte[] Sign(long size, INoteSigner? by = null, int cosigned = 0, Hash? root = null, string? origin = null, ulong time = 1_700_000_000)
    {
        byte[] text = new Checkpoint(origin ?? Origin, size, root ?? Root(size)).ToText();
        NoteSignature[] lines = [(by ?? Signer).Sign(text), .. _witnesses.Take(cosigned).Select(witness => witness.Cosign(text, time))];
        return new Note(text, lines).ToBytes();
    }

    public Hash Root(long size) => MerkleHash.Root([.. Entries.Take((int)size).Select(entry => MerkleHash.Leaf(entry))]);

    /// <summary>The proof of an entry at a size, by the definition of RFC 9162 section 2.1.3.1.</summary>
    public TlogProof Prove(int index, int size, byte[]? checkpoint = null) => new(index, Path(index, [.. Entries.Take(size).Select(entry => MerkleHash.Leaf(entry))]), checkpoint ?? Sign(size));

    /// <summary>Fills <see cref="Files"/> with what a log of this size serves: nothing of the sizes before.</summary>
    public void Publish(int size)
    {
        Files.Clear();
        Hash[] level = [.. Entries.Take(size).Select(entry => MerkleHash.Leaf(entry))];
        for (int i = 0; i < size; i += 256)
        {
            int width = Math.Min(256, size - i);
            Files[new TilePath(TilePath.EntriesLevel, i / 256, width).ToString()] = Bundle(Entries.Skip(i).Take(width));
        }

        for (int l = 0; level.Length > 0; l++)
        {
            for (int i = 0; i < level.Length; i += 256)
            {
                int width = Math.Min(256, level.Length - i);
                Files[new TilePath(l, i / 256, width).ToString()] = [.. level.Skip(i).Take(width).SelectMany(hash => hash.ToArray())];
            }

            Hash[] below = level;
            level = [.. Enumerable.Range(0, level.Length / 256).Select(tile => MerkleHash.Root(below.AsSpan(tile * 256, 256)))];
        }

        Checkpoint = new Checkpoint(Origin, size, Root(size));
        Files["checkpoint"] = Sign(size);
    }

    public static byte[] Bundle(IEnumerable<byte[]> entries)
    {
        List<byte> bundle = [];
        foreach (byte[] entry in entries)
        {
            byte[] one = new byte[EntryBundle.EncodedSize(entry.Length)];
            EntryBundle.Write(entry, one);
            bundle.AddRange(one);
        }

        return [.. bundle];
    }

    public void Dispose()
    {
        _key.Dispose();
        foreach (Ed25519PrivateKey key in _witnessKeys) key.Dispose();
    }

    private static List<Hash> Path(int m, Hash[] d)
    {
        if (d.Length == 1) return [];
        int k = 1;
        while (k * 2 < d.Length) k *= 2;
        return m < k ? [.. Path(m, d[..k]), MerkleHash.Root(d.AsSpan(k))] : [.. Path(m - k, d[k..]), MerkleHash.Root(d.AsSpan(0, k))];
    }
}
