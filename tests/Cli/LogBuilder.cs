// A data directory as a server leaves it, built through Storage and Signing alone: entries -> journal frames -> right edge -> segments and
// upper tiles -> signed heads. The server normally does this.
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>Makes log directories.</summary>
internal static class LogBuilder
{
    public const string Origin = "example.com/log";

    public static byte[] Seed { get; } = [.. Enumerable.Repeat((byte)7, Ed25519.SeedSize)];

    public static Ed25519PrivateKey Key { get; } = Ed25519PrivateKey.FromSeed(Seed);

    public static NoteSigner Signer { get; } = new(Origin, Key);

    /// <summary>Small entries, but for segments 3 and 4, whose bundles take two parts each.</summary>
    public static byte[] EntryAt(long index) => index / 256 is 3 or 4
        ? [.. Encoding.ASCII.GetBytes($"large entry {index:d6} "), .. Enumerable.Repeat((byte)(index % 251), 5000)]
        : Encoding.ASCII.GetBytes($"entry {index}");

    /// <summary>Builds a log of <paramref name="size"/> entries with a signed head at each of <paramref name="heads"/>.</summary>
    public static async Task CreateAsync(string path, long size, long[] heads, JournalOptions? options = null, NoteSigner? signer = null)
    {
        LogIdentity identity = new(Origin, Signer.Key.ToString(), "key.pem");
        Directory.CreateDirectory(path);
        KeyFile.Create(Path.Combine(path, "key.pem"), Origin, VerifierKey.Ed25519, Key);
        LogDirectory.Create(path, identity, TimeProvider.System, options, "key.pem");
        LogDirectory log = await LogDirectory.OpenAsync(path, null, TimeProvider.System, options);
        await using (log.ConfigureAwait(false))
        {
            RightEdge edge = new();
            JournalFrame frame = new();
            List<FullTile> completed = [];
            List<byte> bundle = [];
            while (edge.Size < size)
            {
                // One frame up to the next head, or what fits.
                long stop = heads.Where(head => head > edge.Size).Append(size).Min();
                frame.Clear();
                while (edge.Size + frame.Count < Math.Min(stop, size) && frame.TryAdd(EntryAt(edge.Size + frame.Count)))
                {
                }

                long first = await log.Journal.AppendAsync(frame, default);
                for (int i = 0; i < frame.Count; i++) await SealAsync(log, edge, EntryAt(first + i), bundle, completed);
                if (heads.Contains(edge.Size)) await SignAsync(log, edge.Size, edge.Root(), signer ?? Signer);
            }

            await log.Tiles.FlushAsync(default);
        }
    }

    public static byte[] Checkpoint(long size, Hash root, NoteSigner signer)
    {
        byte[] text = new Checkpoint(Origin, size, root).ToText();
        return new Note(text, [signer.Sign(text)]).ToBytes();
    }

    private static async Task SealAsync(LogDirectory log, RightEdge edge, byte[] entry, List<byte> bundle, List<FullTile> completed)
    {
        completed.Clear();
        edge.Append(MerkleHash.Leaf(entry), completed);
        bundle.AddRange([(byte)(entry.Length >> 8), (byte)entry.Length, .. entry]);
        foreach (FullTile tile in completed)
        {
            if (tile.Level > 0)
            {
                await log.Tiles.PutUpperTileAsync(tile, default);
                continue;
            }

            await log.Tiles.PutSegmentAsync(new SealedSegment(tile.Index, bundle.ToArray(), tile.Hashes, tile.Root), default);
            bundle.Clear();
        }
    }

    private static async Task SignAsync(LogDirectory log, long size, Hash root, NoteSigner signer) =>
        Assert.True(await log.Register.SwapAsync(log.Register.Current, new TreeHead(size, root, Checkpoint(size, root, signer)), "test", default));
}
