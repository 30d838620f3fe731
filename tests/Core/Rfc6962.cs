namespace TransparencyLog.Tests.Core;

/// <summary>
/// RFC 6962 section 2.1 word by word, recursive and slow, over leaf hashes that stand in a list: the tests' second opinion.
/// It shares only <see cref="MerkleHash.Node"/> with the library, which foreign vectors hold.
/// </summary>
internal sealed class Rfc6962(IReadOnlyList<Hash> leaves)
{
    /// <summary>Tree hashes of ranges that were asked for before.</summary>
    private readonly Dictionary<(int Start, int End), Hash> _known = [];

    public Hash Root(int size) => Mth(0, size);

    /// <summary>PATH(m, D[n]), section 2.1.1.</summary>
    public List<Hash> Path(int m, int n) => Path(m, 0, n);

    /// <summary>PROOF(m, D[n]), section 2.1.2, for 0 &lt; m &lt; n; empty otherwise.</summary>
    public List<Hash> Proof(int m, int n) => m == 0 || m == n ? [] : Subproof(m, 0, n, true);

    /// <summary>MTH(D[start:end]), for any interval.</summary>
    public Hash Subtree(int start, int end) => Mth(start, end);

    /// <summary>SUBTREE_PROOF(start, end, D[n]) of draft-ietf-plants-merkle-tree-certs-03 section 4.4.1, for a valid subtree.</summary>
    public List<Hash> SubtreeProof(int start, int end, int n) => SubtreeSubproof(start, end, 0, n, true);

    private Hash Mth(int start, int end)
    {
        if (start == end) return MerkleHash.Empty;
        if (end - start == 1) return leaves[start];
        if (_known.TryGetValue((start, end), out Hash hash)) return hash;
        int k = K(end - start);
        hash = MerkleHash.Node(Mth(start, start + k), Mth(start + k, end));
        _known.Add((start, end), hash);
        return hash;
    }

    private List<Hash> Path(int m, int start, int end)
    {
        if (end - start == 1) return [];
        int k = K(end - start);
        return m < k
            ? [.. Path(m, start, start + k), Mth(start + k, end)]
            : [.. Path(m - k, start + k, end), Mth(start, start + k)];
    }

    private List<Hash> Subproof(int m, int start, int end, bool b)
    {
        if (m == end - start) return b ? [] : [Mth(start, end)];
        int k = K(end - start);
        return m <= k
            ? [.. Subproof(m, start, start + k, b), Mth(start + k, end)]
            : [.. Subproof(m - k, start + k, end, false), Mth(start, start + k)];
    }

    /// <summary>The draft's recursion on D[offset:offset + n], with start and end counted from its beginning, as it is written there.</summary>
    private List<Hash> SubtreeSubproof(int start, int end, int offset, int n, bool b)
    {
        if (start == 0 && end == n) return b ? [] : [Mth(offset, offset + n)];
        int k = K(n);
        if (end <= k) return [.. SubtreeSubproof(start, end, offset, k, b), Mth(offset + k, offset + n)];
        if (k <= start) return [.. SubtreeSubproof(start - k, end - k, offset + k, n - k, b), Mth(offset, offset + k)];
        return [.. SubtreeSubproof(0, end - k, offset + k, n - k, false), Mth(offset, offset + k)];
    }

    private static int K(int n)
    {
        int k = 1;
        while (2 * k < n) k *= 2;
        return k;
    }
}
