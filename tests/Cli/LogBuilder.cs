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

    public static MlDsa44PrivateKey MlDsaKey { get; } = MlDsa44PrivateKey.FromSeed(Seed);

    public static MlDsa44Cosigner Cosigner { get; } = new(Origin, MlDsaKey);

    /// <summary>Small entries, but for segments 3 and 4, whose bundles take two parts each.</summary>
    public static byte[] EntryAt(long index) => index / 256 is 3 or 4
        ? [.. Encoding.ASCII.GetBytes($"large entry {index:d6} "), .. Enumerable.Repeat((byte)(index % 251), 5000)]
        : Encoding.ASCII.GetBytes($"entry {index}");

    /// <summary>Builds a log of <paramref name="size"/> entries with a signed head at each of <paramref name="heads"/>.</summary>
    public static async Task CreateAsync(string path, long size, long[] heads, JournalOptions? options = null, NoteSigner? signer = null)
    {
        Directory.CreateDirectory(path);
        KeyFile.Create(Path.Combine(path, "key.pem"), Origin, VerifierKey.Ed25519, Key);
        LogDirectory.Create(path, new LogIdentity(Origin, Signer.Key.ToString(), "key.pem"), TimeProvider.System, options, "key.pem");
        await FillAsync(path, size, heads, options, text => [(signer ?? Signer).Sign(text)]);
    }

    /// <summary>The same with an ML-DSA-44 key too; <paramref name="sign"/> makes the lines of the heads.</summary>
    public static async Task CreateWithMlDsaAsync(string path, long size, long[] heads, Func<byte[], NoteSignature[]>? sign = null)
    {
        Directory.CreateDirectory(path);
        KeyFile.Create(Path.Combine(path, "key.pem"), Origin, VerifierKey.Ed25519, Key);
        KeyFile.Create(Path.Combine(path, "key-ml-dsa.pem"), Origin, MlDsaKey);
        LogIdentity identity = new(Origin, Signer.Key.ToString(), "key.pem", MlDsa44: new LogKey(Cosigner.Key.ToString(), "key-ml-dsa.pem"));
        LogDirectory.Create(path, identity, TimeProvider.System, options: null, "key.pem", "key-ml-dsa.pem");
        await FillAsync(path, size, heads, options: null, sign ?? (text => [Signer.Sign(text), Cosigner.Cosign(text, 1_700_000_000)]));
    }

    private static async Task FillAsync(string path, long size, long[] heads, JournalOptions? options, Func<byte[], NoteSignature[]> sign)
    {
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
                if (heads.Contains(edge.Size)) await SignAsync(log, edge.Size, edge.Root(), sign);
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

    private static async Task SignAsync(LogDirectory log, long size, Hash root, Func<byte[], NoteSignature[]> sign)
    {
        byte[] text = new Checkpoint(Origin, size, root).ToText();
        Assert.True(await log.Register.SwapAsync(log.Register.Current, new TreeHead(size, root, new Note(text, sign(text)).ToBytes()), "test", default));
    }
}
