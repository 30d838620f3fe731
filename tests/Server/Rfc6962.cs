using System.Security.Cryptography;

namespace TransparencyLog.Tests.Server;

/// <summary>RFC 6962 section 2.1 over leaf hashes in a list, with SHA-256 of the base library: shares no line with what it checks.</summary>
internal static class Rfc6962
{
    public static byte[] Leaf(ReadOnlySpan<byte> entry) => SHA256.HashData([0, .. entry]);

    /// <summary>MTH(D[start:end]).</summary>
    public static byte[] Root(IReadOnlyList<byte[]> leaves, int start, int end)
    {
        if (start == end) return SHA256.HashData([]);
        if (end - start == 1) return leaves[start];
        int k = 1;
        while (2 * k < end - start) k *= 2;
        return SHA256.HashData([1, .. Root(leaves, start, start + k), .. Root(leaves, start + k, end)]);
    }

    /// <summary>SUBPROOF(m, D[start:end], b).</summary>
    public static IEnumerable<byte[]> Proof(IReadOnlyList<byte[]> leaves, int m, int start, int end, bool b)
    {
        if (m == end - start) return b ? [] : [Root(leaves, start, end)];
        int k = 1;
        while (2 * k < end - start) k *= 2;
        return m <= k
            ? Proof(leaves, m, start, start + k, b).Append(Root(leaves, start + k, end))
            : Proof(leaves, m - k, start + k, end, false).Append(Root(leaves, start, start + k));
    }

    public static byte[] Root(IReadOnlyList<byte[]> leaves) => Root(leaves, 0, leaves.Count);
}
