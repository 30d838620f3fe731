// The tree of the tester's log. Each entry is a text that contains its index, so a second run against the same witness continues where the first one ended.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Cli.Conform;

/// <summary>A Merkle tree (RFC 6962 section 2.1) whose entries are a function of a name and their index. Not thread-safe.</summary>
/// <param name="name">The name of the tree, a part of each entry.</param>
/// <param name="forkedAt">From this index on the entries differ: a second branch of the same log.</param>
internal sealed class TesterTree(string name, long forkedAt = long.MaxValue)
{
    /// <summary>Most leaves: enough for thousands of runs. A million leaf hashes and the nodes above them are 64 MiB.</summary>
    public const long MaxSize = 1 << 20;

    private readonly Dictionary<(long, long), Hash> _complete = [];

    /// <summary>The same log with different entries from an index on.</summary>
    public TesterTree Fork(long at) => new(name, at);

    public Hash Root(long size) => size == 0 ? MerkleHash.Empty : Range(0, size);

    /// <summary>RFC 6962 section 2.1, MTH(D[start:end]), for end above start.</summary>
    public Hash Range(long start, long end)
    {
        long size = end - start;
        bool complete = (size & (size - 1)) == 0 && start % size == 0;
        if (complete && _complete.TryGetValue((start, end), out Hash known)) return known;
        long k = size == 1 ? 0 : Split(size);
        Hash hash = size == 1 ? Leaf(start) : MerkleHash.Node(Range(start, start + k), Range(start + k, end));
        if (complete) _complete.Add((start, end), hash);
        return hash;
    }

    /// <summary>RFC 6962 section 2.1.2, PROOF(from, D[size]); empty from 0.</summary>
    public List<Hash> Consistency(long from, long size) => from == 0 ? [] : Subtree(0, from, size);

    /// <summary>
    /// SUBTREE_PROOF(start, end, D[size]) of draft-ietf-plants-merkle-tree-certs-03 section 4.4.1: it proves that the valid subtree [start, end) is part of the
    /// tree.
    /// </summary>
    public List<Hash> Subtree(long start, long end, long size)
    {
        List<Hash> proof = [];
        Subproof(start, end, 0, size, known: true, proof);
        return proof;
    }

    private void Subproof(long start, long end, long from, long to, bool known, List<Hash> proof)
    {
        if (start == from && end == to)
        {
            if (!known) proof.Add(Range(from, to));
            return;
        }

        long middle = from + Split(to - from);
        if (end <= middle)
        {
            Subproof(start, end, from, middle, known, proof);
            proof.Add(Range(middle, to));
        }
        else
        {
            // A valid subtree that crosses the middle begins at from, so its left half is complete.
            bool across = start < middle;
            Subproof(across ? middle : start, end, middle, to, known && !across, proof);
            proof.Add(Range(from, middle));
        }
    }

    private Hash Leaf(long index) => MerkleHash.Leaf(Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"tlog conform {name} {(index >= forkedAt ? "fork " : "")}{index}")));

    private static long Split(long size)
    {
        long k = 1;
        while (k * 2 < size) k *= 2;
        return k;
    }
}
