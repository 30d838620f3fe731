// The checker of the end-to-end tests: a log over HTTP, rebuilt from its entry bytes. It shares no code of the tree with the log:
// hashes are RFC 6962 section 2.1, recursive, straight from the text; paths are c2sp.org/tlog-tiles. Only the signature of the
// checkpoint is checked with the house's code, which foreign vectors hold.

using System.Buffers.Binary;
using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>What is wrong with a log. The first word of the text says what kind: LOST, SHRUNK, FORKED, WRONG, MISSING, UNSIGNED.</summary>
internal sealed class CheckFailedException(string message) : Exception(message);

/// <summary>
/// Checks one log again and again over its life, and remembers every checkpoint it has seen. After each run of <see cref="RunAsync"/>: every
/// byte under the published checkpoint was downloaded and hashed, the root is the signed one, every tile of every level is right, every
/// acknowledged entry stands at its index, and every checkpoint seen before is a prefix.
/// </summary>
internal sealed class FullCheck(string vkey)
{
    private readonly INoteVerifier _key = VerifierKey.TryParse(Encoding.UTF8.GetBytes(vkey), out VerifierKey? key)
        ? Verifiers.TryCreate(key)!
        : throw new ArgumentException($"not a vkey: {vkey}", nameof(vkey));
    private readonly List<(long Size, string Root)> _seen = [];

    /// <summary>Takes note of a checkpoint that the log has shown: nothing smaller and nothing inconsistent may follow.</summary>
    public void Saw(byte[] checkpoint)
    {
        (long size, string root) = Read(checkpoint);
        _seen.Add((size, root));
    }

    /// <summary>Waits a moment for the tree to cover what was acknowledged, then checks all of it. Returns the published size.</summary>
    /// <param name="client">The log.</param>
    /// <param name="acknowledged">Index and entry of every append that was answered with 200.</param>
    public async Task<long> RunAsync(LogClient client, IEnumerable<KeyValuePair<long, byte[]>> acknowledged)
    {
        KeyValuePair<long, byte[]>[] promised = [.. acknowledged];
        long least = promised.Length == 0 ? 0 : promised.Max(entry => entry.Key) + 1;
        bool covers = await client.WaitPublishedAsync(least, TimeSpan.FromSeconds(20));
        byte[] checkpoint = await FetchAsync(client, "checkpoint");
        (long size, string root) = Read(checkpoint);
        if (!covers) throw new CheckFailedException($"LOST index {least - 1} was acknowledged, and the published tree stays at size {size}");

        List<byte[]> entries = await DownloadAsync(client, size);
        foreach ((long index, byte[] entry) in promised)
        {
            if (!entries[(int)index].AsSpan().SequenceEqual(entry)) throw new CheckFailedException($"LOST index {index} was acknowledged for another entry");
        }

        Tree tree = new(entries);
        if (tree.Root(size) != root) throw new CheckFailedException($"WRONG root {root} at size {size}; the entries give {tree.Root(size)}");
        await CheckTilesAsync(client, tree, size);
        foreach ((long seenSize, string seenRoot) in _seen)
        {
            if (seenSize > size) throw new CheckFailedException($"SHRUNK from size {seenSize} to {size}");
            if (tree.Root(seenSize) != seenRoot) throw new CheckFailedException($"FORKED: root {seenRoot} was published at size {seenSize}; now its entries give {tree.Root(seenSize)}");
        }

        _seen.Add((size, root));
        return size;
    }

    private (long Size, string Root) Read(byte[] checkpoint)
    {
        if (!Note.TryParse(checkpoint, out Note? note) || note.Verify([_key]).Status != NoteStatus.Verified)
        {
            throw new CheckFailedException($"UNSIGNED checkpoint: {Encoding.UTF8.GetString(checkpoint)}");
        }

        string[] lines = Encoding.UTF8.GetString(checkpoint).Split('\n');
        return (long.Parse(lines[1], CultureInfo.InvariantCulture), lines[2]);
    }

    private static async Task<List<byte[]>> DownloadAsync(LogClient client, long size)
    {
        List<byte[]> entries = [];
        for (long n = 0; n * 256 < size; n++)
        {
            byte[] bundle = await FetchAsync(client, $"tile/entries/{PathOf(n, (int)Math.Min(256, size - (n * 256)))}");
            for (int offset = 0; offset < bundle.Length;)
            {
                int length = offset + 2 > bundle.Length ? ushort.MaxValue : BinaryPrimitives.ReadUInt16BigEndian(bundle.AsSpan(offset));
                if (offset + 2 + length > bundle.Length) throw new CheckFailedException($"WRONG bundle {n}: an entry reaches beyond its end");
                entries.Add(bundle[(offset + 2)..(offset + 2 + length)]);
                offset += 2 + length;
            }
        }

        return entries.Count == size ? entries : throw new CheckFailedException($"WRONG number of entries in the bundles of size {size}: {entries.Count}");
    }

    private static async Task CheckTilesAsync(LogClient client, Tree tree, long size)
    {
        for (int level = 0; size >> (8 * level) > 0; level++)
        {
            long hashes = size >> (8 * level); // full subtrees of 256^level entries
            for (long n = 0; n * 256 < hashes; n++)
            {
                int width = (int)Math.Min(256, hashes - (n * 256));
                byte[] tile = await FetchAsync(client, $"tile/{level}/{PathOf(n, width)}");
                byte[] expected = [.. Enumerable.Range(0, width).SelectMany(i => tree.Subtree(level, (n * 256) + i))];
                if (!tile.AsSpan().SequenceEqual(expected)) throw new CheckFailedException($"WRONG tile {n} of level {level}, width {width}");
            }
        }
    }

    private static async Task<byte[]> FetchAsync(LogClient client, string path)
    {
        (System.Net.HttpStatusCode? status, byte[] body) = await client.TryGetAsync(path);
        return status == System.Net.HttpStatusCode.OK ? body : throw new CheckFailedException($"MISSING /{path}: {status} {Encoding.UTF8.GetString(body)}");
    }

    /// <summary>c2sp.org/tlog-tiles: groups of three digits, all but the last with an x; ".p/width" behind a partial one.</summary>
    public static string PathOf(long n, int width)
    {
        string path = $"{n % 1000:D3}";
        for (n /= 1000; n > 0; n /= 1000) path = $"x{n % 1000:D3}/{path}";
        return width == 256 ? path : $"{path}.p/{width}";
    }

    /// <summary>RFC 6962 section 2.1.</summary>
    private sealed class Tree(List<byte[]> entries)
    {
        private readonly Dictionary<(long From, long To), byte[]> _known = [];

        public string Root(long size) => Convert.ToBase64String(Mth(0, size));

        public byte[] Subtree(int level, long index) => Mth(index << (8 * level), (index + 1) << (8 * level));

        private byte[] Mth(long from, long to)
        {
            if (_known.TryGetValue((from, to), out byte[]? hash)) return hash;
            long n = to - from, k = 1;
            while (2 * k < n) k *= 2;
            hash = n switch
            {
                0 => SHA256.HashData([]),
                1 => SHA256.HashData([0, .. entries[(int)from]]),
                _ => SHA256.HashData([1, .. Mth(from, from + k), .. Mth(from + k, to)]),
            };
            _known.Add((from, to), hash);
            return hash;
        }
    }
}
