// What comes over HTTP beside notes: the target of a request, a header, the body of add-batch.

using System.Text;
using TransparencyLog.Server.Http;
using TransparencyLog.Storage;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of c2sp.org/tlog-tiles and of spec/log-api.md.</summary>
internal static class HttpTargets
{
    /// <summary>TilePath.TryParse and ToString, and what is computed from a path.</summary>
    public static Target TilePath(string name) => new(name, Path, typeof(TilePath))
    {
        Seeds = [.. World.Vectors("tiles/paths.json").Where(text => text.AsSpan().StartsWith("tile"u8))],
        Words = ["tile/"u8.ToArray(), "entries/"u8.ToArray(), "x001/"u8.ToArray(), "x999/"u8.ToArray(), "000"u8.ToArray(), ".p/"u8.ToArray(), ".p/255"u8.ToArray(), "/"u8.ToArray()],
        MaxLength = 512,
    };

    /// <summary>Target: every resource of the log, by what stands in the request line.</summary>
    public static Target RequestTarget(string name) => new(name, Resource, typeof(Server.Http.Target), typeof(TilePath), typeof(Strict), typeof(Hash))
    {
        Seeds =
        [
            "/tile/0/x001/x234/067.p/89"u8.ToArray(), "/tile/entries/000"u8.ToArray(), "/entry/0"u8.ToArray(), "/entry/9223372036854775807"u8.ToArray(), World.Utf8($"/index/{World.Leaf(1).ToHex()}"),
            "/proof/inclusion?index=5&size=9"u8.ToArray(), "/proof/consistency?from=1&to=3"u8.ToArray(),
        ],
        Words = ["/tile/"u8.ToArray(), "/entry/"u8.ToArray(), "/index/"u8.ToArray(), "?"u8.ToArray(), "&"u8.ToArray(), "index="u8.ToArray(), "size="u8.ToArray(), "%2e"u8.ToArray(), "from="u8.ToArray(), "to="u8.ToArray()],
        MaxLength = 512,
    };

    /// <summary>Accept-Encoding, in one header line or, at newlines, in several.</summary>
    public static Target AcceptEncoding(string name) => new(name, Encodings, typeof(AcceptEncoding))
    {
        Seeds = ["gzip"u8.ToArray(), "gzip;q=0.5, identity;q=0.001, *;q=0"u8.ToArray(), "GZIP ; q=1.000 , br"u8.ToArray(), "x-gzip\nidentity; Q=0"u8.ToArray()],
        Words = ["gzip"u8.ToArray(), "x-gzip"u8.ToArray(), "identity"u8.ToArray(), "*"u8.ToArray(), ";q="u8.ToArray(), "0.999"u8.ToArray(), ", "u8.ToArray()],
        MaxLength = 4096,
    };

    /// <summary>The body of add-batch: what the endpoint says of it, and what bundle, frame and journal say, which have to agree.</summary>
    public static Target Batch(string name) => new(name, Bundle, typeof(EntryBundle), typeof(JournalFrame))
    {
        Seeds = [[0, 3, 111, 110, 101, 0, 0, 0, 2, 97, 98], [0, 1, 65], [.. Enumerable.Range(0, 300).SelectMany(i => (byte[])[0, 2, (byte)(i >> 8), (byte)i])], [255, 255, .. new byte[65535]], []],
        MaxLength = 70 * 1024,

        // A hash for every three bytes, here a second time to compare. Comparing each entry with each would take ten times as long.
        Time = TimeSpan.FromMilliseconds(60),
    };

    private static void Path(byte[] input)
    {
        if (!TransparencyLog.TilePath.TryParse(input, out TilePath tile)) return;
        RequireSame(input, Encoding.ASCII.GetBytes(tile.ToString()), "a tile path");
        Require(tile == new TilePath(tile.Level, tile.Index, tile.Width), "a tile path made of its parts is another");
        Require(!tile.IsCoveredBy(0), "the empty tree has a tile");
        bool covered = false;
        for (int bits = 1; bits < 64; bits++)
        {
            bool now = tile.IsCoveredBy(long.MaxValue >> (63 - bits));
            Require(now || !covered, "a larger tree has lost a tile");
            covered = now;
        }

        if (tile.Level >= 1) Require(TileStore.RecordNumber(tile.Level, tile.Index) >= 0, "a tile of the tree without a number");
    }

    private static void Resource(byte[] input)
    {
        // As the web server gives it: a character for each byte.
        string target = Encoding.Latin1.GetString(input);
        // The path alone names a resource (N-09).
        string path = target.Split('?')[0];
        if (Server.Http.Target.TryReadTile(target, out TilePath tile)) Require(path == $"/{tile}", "a tile has two spellings");
        if (Server.Http.Target.TryReadEntry(target, out long index)) Require(path == FormattableString.Invariant($"/entry/{index}"), "an entry has two spellings");
        if (Server.Http.Target.TryReadHash(target, out Hash hash)) Require(path == $"/index/{hash.ToHex()}", "a hash has two spellings");
        foreach ((string first, string second) in new[] { ("index", "size"), ("from", "to") })
        {
            if (!Server.Http.Target.TryReadQuery(target, first, second, out long? one, out long? other)) continue;
            int start = target.IndexOf('?', StringComparison.Ordinal);
            string query = start < 0 ? "" : target[(start + 1)..];
            string a = one is null ? "" : FormattableString.Invariant($"{first}={one}"), b = other is null ? "" : FormattableString.Invariant($"{second}={other}");
            string[] spellings = a.Length > 0 && b.Length > 0 ? [$"{a}&{b}", $"{b}&{a}"] : [a + b];
            Require(spellings.Contains(query, StringComparer.Ordinal), "a query has another spelling");
        }
    }

    private static void Encodings(byte[] input)
    {
        string[] lines = Encoding.Latin1.GetString(input).Split('\n');
        bool gzip = Server.Http.AcceptEncoding.PrefersGzip(lines);
        if (gzip) Require(Array.Exists(lines, line => line.Contains("gzip", StringComparison.OrdinalIgnoreCase) || line.Contains('*', StringComparison.Ordinal)), "gzip without anybody asking for it");
        Require(gzip == Server.Http.AcceptEncoding.PrefersGzip(string.Join(',', lines)), "two header lines are not what one is");
        Require(!Server.Http.AcceptEncoding.PrefersGzip(""), "no header is a wish");
    }

    private static void Bundle(byte[] input)
    {
        bool whole = EntryBundle.TryCount(input, out int count, out int badOffset);
        Require(whole == badOffset < 0 && (whole || (count == 0 && badOffset < input.Length)), "a bundle: answer, count and offset say different things");
        Hash[] leaves = [];
        Problem? problem = AppendEndpoints.Refuse(input, out int counted, ref leaves);
        Require(whole || problem is not null, "a body is taken that is no bundle");
        if (!whole) return;
        Require(JournalFrame.Holds(input, count) && !JournalFrame.Holds(input, count + 1), "a frame does not hold what a bundle does");
        byte[] again = new byte[input.Length];
        int length = 0, entries = 0;
        bool empty = false;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(input))
        {
            if (problem is null) Require(leaves[entries] == MerkleHash.Leaf(entry), "a leaf hash is of another entry");
            length += EntryBundle.Write(entry, again.AsSpan(length));
            entries++;
            empty |= entry.IsEmpty;
            Require(entries > 16 || EntryBundle.PrefixLength(input, entries) == length, "the prefix of a bundle ends elsewhere");
        }

        if (leaves.Length > 0) System.Buffers.ArrayPool<Hash>.Shared.Return(leaves);
        RequireSame(input, again.AsSpan(0, length), "a bundle");
        Require(entries == count && counted == count, "two counts of one bundle");
        Require(problem is null == (count > 0 && !empty), "a batch without entries, or with an empty one, is taken; or another is not");
    }
}
