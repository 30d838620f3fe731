// FullCheck for logs that are too large to be held: one pass over the bundles, with the right edge of the tree alone in memory. Hashes are RFC 6962 section 2.1.
// Tiles are not checked here; fsck does that.

using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

internal static class StreamedCheck
{
    /// <summary>
    /// Reads all entries below the largest of some checkpoints. Every acknowledged entry stands at its index, and the root of each checkpoint is that of the entries below it, so
    /// that all of them are consistent. Returns how many acknowledged entries it found.
    /// </summary>
    /// <param name="client">The log.</param>
    /// <param name="acknowledged">What has to be there.</param>
    /// <param name="checkpoints">Notes by size, each of another tree, whose signatures were verified.</param>
    public static async Task<long> RunAsync(LogClient client, LoadEntries acknowledged, IReadOnlyList<byte[]> checkpoints)
    {
        (long Size, string Root)[] expected = [.. checkpoints.Select(note => Encoding.UTF8.GetString(note).Split('\n')).Select(lines => (long.Parse(lines[1], CultureInfo.InvariantCulture), lines[2]))];
        long size = expected[^1].Size, found = 0, index = 0;
        if (acknowledged.End > size) throw new CheckFailedException($"LOST index {acknowledged.End - 1} was acknowledged, and the published tree has size {size}");
        int next = 0;
        Edge edge = new();
        CompareRoots();
        while (index < size)
        {
            string path = $"tile/entries/{FullCheck.PathOf(index / 256, (int)Math.Min(256, size - index))}";
            byte[] bundle = await client.GetAsync(path);
            for (int offset = 0; offset < bundle.Length; index++)
            {
                int length = BinaryPrimitives.ReadUInt16BigEndian(bundle.AsSpan(offset));
                ReadOnlySpan<byte> entry = bundle.AsSpan(offset + 2, length);
                if (acknowledged[index] is byte[] promised)
                {
                    if (!entry.SequenceEqual(promised)) throw new CheckFailedException($"LOST index {index} was acknowledged for another entry");
                    found++;
                }

                edge.Append(SHA256.HashData([0, .. entry]));
                offset += 2 + length;
                CompareRoots(index + 1);
            }

            if (index < size && index % 256 != 0) throw new CheckFailedException($"WRONG number of entries in /{path}");
        }

        return found;

        void CompareRoots(long below = 0)
        {
            for (; next < expected.Length && expected[next].Size == below; next++)
            {
                if (edge.Root() != expected[next].Root) throw new CheckFailedException($"FORKED: root {expected[next].Root} was published at size {below}; its entries give {edge.Root()}");
            }
        }
    }

    /// <summary>The full subtrees from left to right, each smaller than the one before.</summary>
    private sealed class Edge
    {
        private readonly List<(long Leaves, byte[] Hash)> _subtrees = [];

        public void Append(byte[] leaf)
        {
            (long leaves, byte[] hash) = (1, leaf);
            while (_subtrees.Count > 0 && _subtrees[^1].Leaves == leaves)
            {
                hash = SHA256.HashData([1, .. _subtrees[^1].Hash, .. hash]);
                leaves *= 2;
                _subtrees.RemoveAt(_subtrees.Count - 1);
            }

            _subtrees.Add((leaves, hash));
        }

        public string Root() => Convert.ToBase64String(_subtrees.Count == 0 ? SHA256.HashData([]) : _subtrees.Select(subtree => subtree.Hash).Reverse().Aggregate((right, left) => SHA256.HashData([1, .. left, .. right])));
    }
}
