using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Witness;

/// <summary>
/// A small log that signs whatever it is told to: roots and proofs straight from RFC 6962 section 2.1, on lists, with none of the code under test.
/// </summary>
internal sealed class TestLog
{
    private readonly List<byte[]> _leaves;
    private readonly Dictionary<(int, int), byte[]> _roots = [];

    public TestLog(string origin, int leaves = 130, int key = 0)
        : this(origin, Signer(origin, key), Enumerable.Range(0, leaves).Select(i => Leaf(i, "")).ToList())
    {
    }

    private TestLog(string origin, NoteSigner signer, List<byte[]> leaves)
    {
        Origin = origin;
        NoteSigner = signer;
        _leaves = leaves;
    }

    public string Origin { get; }

    public NoteSigner NoteSigner { get; }

    public long Size => _leaves.Count;

    public string PolicyLine => $"log {NoteSigner.Key}\n";

    public string MonitorPath => $"/{Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Origin)))}/checkpoint";

    public static NoteSigner Signer(string name, int key) => new(name, Ed25519PrivateKey.FromSeed(SHA256.HashData(Encoding.UTF8.GetBytes($"{name} {key}"))));

    /// <summary>The same log and key, with other entries from an index on.</summary>
    public TestLog Fork(int at, string branch = "fork", int? size = null) =>
        new(Origin, NoteSigner, [.. _leaves.Take(at), .. Enumerable.Range(at, (size ?? _leaves.Count) - at).Select(i => Leaf(i, branch))]);

    /// <summary>The same tree under another of its keys.</summary>
    public TestLog WithKey(int key) => new(Origin, Signer(Origin, key), _leaves);

    public Hash Root(long size) => new(Mth(0, (int)size));

    public Hash[] Proof(long from, long to) => from == 0 || from == to ? [] : [.. SubProof((int)from, 0, (int)to, true).Select(hash => new Hash(hash))];

    /// <summary>The tree hash of an interval.</summary>
    public Hash Subtree(long start, long end) => new(Mth((int)start, (int)end));

    /// <summary>draft-ietf-plants-merkle-tree-certs-03 section 4.4.1, SUBTREE_PROOF(start, end, D[size]), as it is written there.</summary>
    public Hash[] SubtreeProof(long start, long end, long size) => [.. SubtreeSubProof((int)start, (int)end, 0, (int)size, true).Select(hash => new Hash(hash))];

    /// <summary>A body of sign-subtree.</summary>
    public static string SubtreeBody(string range, Hash subtree, IEnumerable<Hash> proof, string note) =>
        $"subtree {range}\n{subtree.ToBase64()}\n{string.Concat(proof.Select(hash => hash.ToBase64() + "\n"))}\n{note}";

    public string Text(long size) => Text(size, Root(size));

    public string Text(long size, Hash root) => string.Create(CultureInfo.InvariantCulture, $"{Origin}\n{size}\n{root.ToBase64()}\n");

    public string Sign(string text) => $"{text}\n{NoteSigner.Sign(Encoding.UTF8.GetBytes(text)).ToLine()}";

    public string Checkpoint(long size) => Sign(Text(size));

    /// <summary>An honest request.</summary>
    public string Request(long old, long size) => Body(old, Proof(old, size), Checkpoint(size));

    public static string Body(long old, IEnumerable<Hash> proof, string note) =>
        string.Create(CultureInfo.InvariantCulture, $"old {old}\n{string.Concat(proof.Select(hash => hash.ToBase64() + "\n"))}\n{note}");

    private static byte[] Leaf(int index, string branch) => SHA256.HashData([0, .. Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{branch}{index}"))]);

    private byte[] Mth(int from, int to)
    {
        if (from == to) return SHA256.HashData([]);
        if (to - from == 1) return _leaves[from];
        if (_roots.TryGetValue((from, to), out byte[]? known)) return known;
        int k = Split(to - from);
        return _roots[(from, to)] = SHA256.HashData([1, .. Mth(from, from + k), .. Mth(from + k, to)]);
    }

    /// <summary>RFC 6962 section 2.1.2, SUBPROOF(m, D[from:to], b).</summary>
    private IEnumerable<byte[]> SubProof(int m, int from, int to, bool b)
    {
        int n = to - from;
        if (m == n) return b ? [] : [Mth(from, to)];
        int k = Split(n);
        return m <= k
            ? [.. SubProof(m, from, from + k, b), Mth(from + k, to)]
            : [.. SubProof(m - k, from + k, to, false), Mth(from, from + k)];
    }

    private IEnumerable<byte[]> SubtreeSubProof(int start, int end, int offset, int n, bool b)
    {
        if (start == 0 && end == n) return b ? [] : [Mth(offset, offset + n)];
        int k = Split(n);
        if (end <= k) return [.. SubtreeSubProof(start, end, offset, k, b), Mth(offset + k, offset + n)];
        if (k <= start) return [.. SubtreeSubProof(start - k, end - k, offset + k, n - k, b), Mth(offset, offset + k)];
        return [.. SubtreeSubProof(0, end - k, offset + k, n - k, false), Mth(offset, offset + k)];
    }

    private static int Split(int n)
    {
        int k = 1;
        while (k * 2 < n) k *= 2;
        return k;
    }
}
