// Everything that the tester has read of a log: its checkpoints in the order they came, and the tiles and bundles that were requested. Checkpoints are read
// leniently (a size with a leading zero is still a size), so that one fault fails one row and not all rows after it. The rows check the exact form.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Cli.Conform;

/// <summary>A response to GET checkpoint, split into its parts.</summary>
internal sealed class SeenCheckpoint
{
    private SeenCheckpoint(byte[] bytes, byte[] text, string[] lines, string[] signatures)
    {
        Bytes = bytes;
        Text = text;
        Lines = lines;
        SignatureLines = signatures;
    }

    public byte[] Bytes { get; }

    /// <summary>The signed text, with its last newline.</summary>
    public byte[] Text { get; }

    /// <summary>The lines of the text, without their newlines.</summary>
    public IReadOnlyList<string> Lines { get; }

    /// <summary>The lines after the empty line, with their newlines.</summary>
    public IReadOnlyList<string> SignatureLines { get; }

    public long Size { get; private init; }

    public Hash Root { get; private init; }

    /// <summary>The responses for the partial tiles and the partial bundle of this size, requested as soon as the checkpoint was seen.</summary>
    public Dictionary<TilePath, Reply> Edge { get; } = [];

    /// <summary>The signature lines that can be parsed.</summary>
    public IEnumerable<NoteSignature> Signatures()
    {
        foreach (string line in SignatureLines)
        {
            if (NoteSignature.TryParseLine(Encoding.UTF8.GetBytes(line), out NoteSignature signature)) yield return signature;
        }
    }

    /// <summary>Null when not even a size and a root can be read.</summary>
    public static SeenCheckpoint? TryRead(byte[] bytes)
    {
        int split = bytes.AsSpan().LastIndexOf("\n\n"u8);
        if (split < 0) return null;
        byte[] text = bytes[..(split + 1)];
        string[] lines = Encoding.UTF8.GetString(text).Split('\n')[..^1];
        string[] signatures = [.. Encoding.UTF8.GetString(bytes.AsSpan(split + 2)).SplitAfterNewline()];
        if (lines.Length < 3 || !long.TryParse(lines[1], NumberStyles.Integer, CultureInfo.InvariantCulture, out long size) || size < 0) return null;
        return TryRoot(lines[2], out Hash root) ? new SeenCheckpoint(bytes, text, lines, signatures) { Size = size, Root = root } : null;
    }

    /// <summary>The paths of the partial tiles of every level and of the partial bundle at a size.</summary>
    public static IEnumerable<TilePath> PartialTiles(long size)
    {
        if (size % TilePath.FullWidth > 0) yield return new TilePath(TilePath.EntriesLevel, size / TilePath.FullWidth, (int)(size % TilePath.FullWidth));
        for ((int level, long hashes) = (0, size); hashes > 0; (level, hashes) = (level + 1, hashes / TilePath.FullWidth))
        {
            if (hashes % TilePath.FullWidth > 0) yield return new TilePath(level, hashes / TilePath.FullWidth, (int)(hashes % TilePath.FullWidth));
        }
    }

    private static bool TryRoot(string text, out Hash root)
    {
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        root = default;
        string trimmed = text.Trim().TrimEnd('=');
        if (trimmed.Length != 43 || Alphabet.IndexOf(trimmed[^1], StringComparison.Ordinal) is not (>= 0 and int last)) return false;
        return Hash.TryParseBase64(Encoding.UTF8.GetBytes($"{trimmed[..^1]}{Alphabet[last & ~3]}="), out root);
    }
}

/// <summary>Reads a log.</summary>
internal sealed class LogTester(Prefix prefix, string url, IReadOnlyList<INoteVerifier> keys, TimeSpan watch, long minimumIndex, TimeProvider time, CancellationToken stop)
{
    /// <summary>Most sizes whose partial tiles are requested: 5 requests for each, and as many at the end.</summary>
    private const int MostWatched = 12;

    private readonly Dictionary<TilePath, Reply> _read = [];

    public Prefix Prefix => prefix;

    public string Url => url.TrimEnd('/');

    public IReadOnlyList<INoteVerifier> Keys => keys;

    public long MinimumIndex => minimumIndex;

    /// <summary>All answers to GET checkpoint.</summary>
    public List<Reply> Replies { get; } = [];

    /// <summary>The checkpoints that could be read, in the order they came.</summary>
    public List<SeenCheckpoint> Seen { get; } = [];

    /// <summary>The checkpoint of the largest size. Without one, a row that needs it is not observed.</summary>
    public SeenCheckpoint Newest => Seen.Count > 0 ? Seen.MaxBy(one => one.Size)! : throw new NotObservedException("there is no checkpoint whose size and root can be made out (TT-01)");

    /// <summary>Reads the checkpoint, and goes on reading it until the watch time is over.</summary>
    public async Task StartAsync()
    {
        await LookAsync();
        if (Replies[0].Status == 0) throw new GoneException();
        const int Looks = 60; // at most, however long the watch is
        TimeSpan pause = TimeSpan.FromSeconds(Math.Max(1, watch.TotalSeconds / Looks));
        for (TimeSpan passed = pause; passed <= watch; passed += pause)
        {
            await Task.Delay(pause, time, stop);
            await LookAsync();
        }

        await LookAsync();
    }

    /// <summary>Reads the checkpoint once more. The partial tiles of a size that was not seen before are requested immediately.</summary>
    public async Task LookAsync()
    {
        Reply reply = await prefix.GetAsync("checkpoint");
        Replies.Add(reply);
        if (reply.Status != 200 || SeenCheckpoint.TryRead(reply.Body) is not SeenCheckpoint seen) return;
        bool known = Seen.Exists(one => one.Size == seen.Size);
        Seen.Add(seen);
        if (known || Seen.Count(one => one.Edge.Count > 0) >= MostWatched) return;
        foreach (TilePath path in SeenCheckpoint.PartialTiles(seen.Size).Where(path => EndOf(path) > minimumIndex)) seen.Edge[path] = await AskAsync(path);
    }

    /// <summary>The response for a tile or bundle. Each path is requested until one response is a 200, which is kept for the run.</summary>
    public async Task<Reply> ReadAsync(TilePath path)
    {
        if (_read.TryGetValue(path, out Reply? known) && known.Status == 200) return known;
        return _read[path] = await AskAsync(path);
    }

    /// <summary>
    /// The hashes of a tile of the newest checkpoint, as many as the tree of that size has there. A row that cannot get them is not observed: other rows check
    /// whether they are served.
    /// </summary>
    public async Task<byte[]> HashesAsync(int level, long index)
    {
        int width = TilePath.WidthAt(level, index, Newest.Size);
        TilePath path = new(level, index, width);
        Reply reply = await ReadAsync(path);
        if (reply.Status != 200 && path.IsPartial) reply = await ReadAsync(new TilePath(level, index)); // it may have become full since
        if (reply.Status != 200 || reply.Decoded() is not byte[] body || body.Length < width * Hash.Size) throw new NotObservedException($"{path} cannot be read ({(reply.Status == 200 ? "too few hashes" : reply)})");
        return body[..(width * Hash.Size)];
    }

    /// <summary>The entries of a bundle of the newest checkpoint; null when the response is not a bundle with that many entries.</summary>
    public async Task<byte[]?> BundleAsync(long index)
    {
        int width = TilePath.WidthAt(TilePath.EntriesLevel, index, Newest.Size);
        TilePath path = new(TilePath.EntriesLevel, index, width);
        Reply reply = await ReadAsync(path);
        if (reply.Status != 200 && path.IsPartial) reply = await ReadAsync(new TilePath(TilePath.EntriesLevel, index));
        if (reply.Status != 200) throw new NotObservedException($"{path} cannot be read ({reply})");
        if (reply.Decoded() is not byte[] body || !EntryBundle.TryCount(body, out int count) || count < width) return null;
        return body[..EntryBundle.PrefixLength(body, width)];
    }

    /// <summary>The root hash that the tiles make for a size, which is at most the newest size.</summary>
    public async Task<Hash> RootAsync(long size)
    {
        if (size == 0) return MerkleHash.Empty;
        ProofPlan plan = ProofPlan.Root(size);
        Dictionary<TilePath, byte[]> tiles = [];
        foreach (TilePath path in plan.Tiles) tiles[path] = (await HashesAsync(path.Level, path.Index))[..(path.Width * Hash.Size)];
        return plan.TryBuild(path => tiles[path], out Hash[] root) ? root[0] : throw new NotObservedException("the tiles of the right edge cannot be read");
    }

    /// <summary>The index after the last entry that a tile covers.</summary>
    public static long EndOf(TilePath path)
    {
        int shift = 8 * Math.Max(path.Level, 0);
        long hashes = (path.Index * TilePath.FullWidth) + path.Width;
        return shift >= 63 || hashes > long.MaxValue >> shift ? long.MaxValue : hashes << shift;
    }

    private Task<Reply> AskAsync(TilePath path) => prefix.GetAsync(path.ToString(), path.IsEntries ? "gzip, identity" : null);
}

/// <summary>Splits a text into lines that keep their newlines.</summary>
internal static class LineSplit
{
    public static IEnumerable<string> SplitAfterNewline(this string text)
    {
        for (int at = 0; at < text.Length;)
        {
            int end = text.IndexOf('\n', at) + 1;
            if (end == 0) end = text.Length;
            yield return text[at..end];
            at = end;
        }
    }
}
