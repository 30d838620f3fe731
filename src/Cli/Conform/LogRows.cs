// The rows of spec/conformance.md that a log answers for: its notes and checkpoints (sections 1 and 2) and what it serves of its tree (section 3).

using System.Globalization;
using System.Text;

namespace TransparencyLog.Cli.Conform;

/// <summary>A log, row by row.</summary>
internal sealed class LogRows(LogTester log)
{
    private const string GetCheckpoint = "GET checkpoint";

    /// <summary>The "few seconds" of TT-03.</summary>
    private const int Few = 10;

    public IEnumerable<Row> All() => [.. Checkpoints(), .. Notes(), .. Tiles(), .. Paths(), .. Bundles(), .. Growth()];

    /// <summary>Rows that no request shows.</summary>
    public static IEnumerable<Row> Unseen() =>
    [
        .. Row.UnseenAll("asked of whoever reads notes", "SN-05 M", "SN-06 M", "SN-11 M", "SN-12 S", "SN-13 M", "SN-14 M", "SN-15 S", "SN-16 M", "SN-17 M"),
        .. Row.UnseenAll("asked of parsers of keys", "SN-21 M", "SN-22 D", "SN-26 M"),
        .. Row.UnseenAll("a vkey for which it does not hold is refused before the run begins", "SN-19 S", "SN-24 M", "SN-25 M"),
        .. Row.UnseenAll("the business of an implementation, not of its answers", "SN-23 S", "SN-28 D"),
        .. Row.UnseenAll("asked of whoever reads checkpoints", "CP-04 MN", "CP-12 M"),
        .. Row.UnseenAll("two sizes as examples; TT-16 asks the same at the size of this log", "TT-18 D"),
        .. Row.UnseenAll("a log may; TT-19 takes the full tile where the partial one is gone", "TT-20 MAY"),
        .. Row.UnseenAll("asked of clients", "TT-21 MN", "TT-22 MAY", "TT-27 S", "TT-28 S", "TT-29 M", "TT-30 M", "TT-31 M", "TT-38 M"),
        .. Row.UnseenAll("other encodings have URLs of their own, which the tester does not know", "TT-32 M"),
        .. Row.UnseenAll("a retention policy is a text; TT-34 asks what is served", "TT-33 M", "TT-35 MAY", "TT-36 S", "TT-37 M", "TT-42 S"),
        .. Row.UnseenAll("there is no endpoint for the minimum index to ask", "TT-39 D"),
    ];

    private IEnumerable<Row> Checkpoints()
    {
        yield return new Row("TT-01", "M", GetCheckpoint, "200, a checkpoint; and no smaller one later", () =>
        {
            if (log.Replies.FirstOrDefault(reply => reply.Status != 200) is Reply other) throw new RowFailedException(other.ToString());
            if (log.Seen.Count < log.Replies.Count) throw new RowFailedException($"no checkpoint: {log.Replies.First(reply => SeenCheckpoint.TryRead(reply.Body) is null)}");
            for (int i = 1; i < log.Seen.Count; i++)
            {
                if (log.Seen[i].Size < log.Seen[i - 1].Size) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"size {log.Seen[i].Size} after {log.Seen[i - 1].Size}"));
            }

            return Told($"size {log.Newest.Size}, {log.Seen.Count} times asked");
        });
        yield return new Row("TT-02", "M", GetCheckpoint, "Content-Type: text/plain; charset=utf-8", () =>
            Need(log.Replies[0].ContentType, MediaTypes.IsPlainUtf8(log.Replies[0].ContentType)));
        yield return new Row("TT-03", "S", GetCheckpoint, string.Create(CultureInfo.InvariantCulture, $"caching headers of {Few} s at most"), () =>
        {
            string? caching = log.Replies[0].Headers.GetValueOrDefault("Cache-Control");
            return Need(caching, caching is not null && (MaxAge(caching) is <= Few || caching.Contains("no-cache", StringComparison.OrdinalIgnoreCase) || caching.Contains("no-store", StringComparison.OrdinalIgnoreCase)));
        });
        yield return new Row("TT-04", "M", GetCheckpoint, "an Ed25519 signature by the log that verifies", () =>
        {
            INoteVerifier[] keys = [.. log.Keys.Where(key => key.Key.SignatureType == VerifierKey.Ed25519)];
            if (keys.Length == 0) throw new NotObservedException("no Ed25519 vkey of the log was given");
            foreach (SeenCheckpoint one in All(log))
            {
                if (!keys.Any(key => one.Signatures().Any(line => Matches(key, line) && key.Verify(one.Text, line.Signature.Span)))) throw new RowFailedException($"none, but {Short(string.Concat(one.SignatureLines))}");
            }

            return Told($"so in {log.Seen.Count} answers");
        });
        yield return new Row("TT-05", "S", GetCheckpoint, "the origin is the URL without scheme and last slash", () =>
        {
            string bare = log.Url[(log.Url.IndexOf("://", StringComparison.Ordinal) + 3)..];
            return Need(log.Newest.Lines[0], log.Newest.Lines[0] == bare);
        });
        yield return new Row("CP-01", "M", GetCheckpoint, "at least three lines, none empty", () => EachAsync(one => one.Lines.Count < 3 || one.Lines.Any(line => line.Length == 0) ? Short(string.Join("\\n", one.Lines)) : null));
        yield return new Row("CP-02", "M", GetCheckpoint, "an origin that is not empty", () => EachAsync(one => one.Lines[0].Length == 0 ? "an empty one" : null));
        yield return new Row("CP-03", "S", GetCheckpoint, "an origin without scheme, space and plus", () => EachAsync(one => one.Lines[0].Contains("://", StringComparison.Ordinal) || !VerifierKey.IsKeyName(one.Lines[0]) ? Short(one.Lines[0]) : null));
        yield return new Row("CP-05", "M", GetCheckpoint, "the size in decimal without leading zeros", () => EachAsync(one => Strict.TryReadSize(Encoding.UTF8.GetBytes(one.Lines[1]), out _) ? null : $"\"{Short(one.Lines[1])}\""));
        yield return new Row("CP-06", "M", GetCheckpoint, "the root as the one base64 of 32 bytes", () => EachAsync(one => Hash.TryParseBase64(Encoding.UTF8.GetBytes(one.Lines[2]), out _) ? null : $"\"{Short(one.Lines[2])}\""));
        yield return new Row("CP-07", "M", GetCheckpoint, "no empty extension line", () => EachAsync(one => one.Lines.Skip(3).Any(line => line.Length == 0) ? "an empty one" : null));
        yield return new Row("CP-08", "SN", GetCheckpoint, "no extension lines", () => EachAsync(one => one.Lines.Count > 3 ? Short(one.Lines[3]) : null));
        yield return new Row("CP-09", "MN", "GET checkpoint from time to time, and the tiles", "every checkpoint is one of the same tree", async () =>
        {
            if (log.Newest.Size == 0) throw new NotObservedException("the log is empty");
            foreach (SeenCheckpoint one in log.Seen)
            {
                if (log.Seen.FirstOrDefault(other => other.Size == one.Size && other.Root != one.Root) is SeenCheckpoint other) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"two roots for size {one.Size}: {one.Root} and {other.Root}"));
            }

            if (log.Seen.All(one => one.Size == log.Newest.Size)) throw new NotObservedException("all checkpoints that were seen have one size: --watch, while the log grows");
            if (await log.RootAsync(log.Newest.Size) != log.Newest.Root) throw new NotObservedException("the tiles do not give the root of the newest checkpoint (TT-06)");
            foreach (SeenCheckpoint one in log.Seen.Where(one => one.Size < log.Newest.Size).DistinctBy(one => one.Size))
            {
                Hash root = await log.RootAsync(one.Size);
                if (root != one.Root) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"size {one.Size} with root {one.Root}, where the tiles of size {log.Newest.Size} give {root}"));
            }

            return await Told($"{log.Seen.Select(one => one.Size).Distinct().Count()} sizes");
        });
        yield return new Row("CP-10", "S", GetCheckpoint, "the key name of the log's line is the origin", () => EachAsync(one => one.Signatures().Any(line => line.Name == one.Lines[0]) ? null : "no line of that name"));
        yield return new Row("CP-11", "S", GetCheckpoint, "an ML-DSA-44 signature by the log", () => EachAsync(one => one.Signatures().Any(line => line.Name == one.Lines[0] && line.Signature.Length == Cosignature.MlDsa44Size) ? null : "none"));
        yield return new Row("CP-13", "D", GetCheckpoint, "the root of size 0 is SHA-256 of nothing", () =>
            log.Seen.FirstOrDefault(one => one.Size == 0) is SeenCheckpoint empty ? Need(empty.Root.ToBase64(), empty.Root == MerkleHash.Empty) : throw new NotObservedException("the log is not empty"));
        yield return new Row("CP-14", "D", "GET checkpoint from time to time", "no two roots for one size", () =>
            log.Seen.GroupBy(one => one.Size).FirstOrDefault(group => group.Select(one => one.Root).Distinct().Count() > 1) is { } fork
                ? throw new RowFailedException($"a proof of misbehaviour, to be kept: {string.Join(" and ", fork.DistinctBy(one => one.Root).Select(one => Convert.ToBase64String(one.Bytes)))}")
                : log.Seen.Count > 0 ? Told($"none in {log.Seen.Count} answers") : throw new NotObservedException("there is no checkpoint"));
    }

    private IEnumerable<Row> Notes()
    {
        yield return new Row("SN-01", "M", GetCheckpoint, "text, an empty line, signature lines", () =>
        {
            foreach (Reply reply in log.Replies.Where(reply => reply.Status == 200))
            {
                int split = reply.Body.AsSpan().LastIndexOf("\n\n"u8);
                if (split < 0 || split + 2 >= reply.Body.Length) throw new RowFailedException(reply.ToString());
            }

            return log.Seen.Count > 0 ? Told("so it is") : throw new NotObservedException("there is no checkpoint");
        });
        yield return new Row("SN-02", "M", GetCheckpoint, "lines of em dash, space, key name, space, base64, newline", () => LinesAsync(line => line.Split(' ') is ["—", _, { Length: > 1 }] && line.EndsWith('\n') ? null : $"\"{Short(line)}\""));
        yield return new Row("SN-03", "M", GetCheckpoint, "UTF-8", () => EachAsync(one => Strict.IsUtf8(one.Bytes) ? null : "bytes that are no UTF-8"));
        yield return new Row("SN-04", "MN", GetCheckpoint, "no control character but newline", () => EachAsync(one => one.Bytes.Any(character => character is < 0x20 and not (byte)'\n') ? "a control character" : null));
        yield return new Row("SN-07", "M", GetCheckpoint, "key names that are not empty", () => LinesAsync(line => NameOf(line) is "" ? "an empty name" : null));
        yield return new Row("SN-08", "MN", GetCheckpoint, "no space and no plus in a key name", () => LinesAsync(line => NameOf(line) is { Length: > 0 } name && !VerifierKey.IsKeyName(name) ? Short(name) : null));
        yield return new Row("SN-09", "M", GetCheckpoint, "a key ID of 4 bytes and a signature", () => LinesAsync(line => Strict.TryReadBase64(Encoding.UTF8.GetBytes(Base64Of(line)), Note.MaxSize, out byte[] bytes) && bytes.Length < 5 ? $"{bytes.Length.ToString(CultureInfo.InvariantCulture)} bytes" : null));
        yield return new Row("SN-10", "M", GetCheckpoint, "base64 of RFC 4648 section 4 in its one form", () => LinesAsync(line => Strict.TryReadBase64(Encoding.UTF8.GetBytes(Base64Of(line)), Note.MaxSize, out _) ? null : $"\"{Short(Base64Of(line))}\""));
        yield return new Row("SN-18", "S", GetCheckpoint, "key names without a scheme", () => LinesAsync(line => NameOf(line)?.Contains("://", StringComparison.Ordinal) == true ? Short(line) : null));
        yield return new Row("SN-20", "M", GetCheckpoint, "lines with the name and key ID of a key that was given verify over the text", () =>
        {
            if (!All(log).Any(one => one.Signatures().Any(line => log.Keys.Any(key => Matches(key, line))))) throw new NotObservedException("no line has the name and key ID of a key that was given");
            return EachAsync(one => one.Signatures().FirstOrDefault(line => log.Keys.FirstOrDefault(key => Matches(key, line)) is INoteVerifier key && !key.Verify(one.Text, line.Signature.Span)) is { Name: not null } bad ? $"a line of {bad.Name} that does not" : null);
        });
        yield return new Row("SN-27", "SN", "the keys that were given", "no public key under two types", () =>
            log.Keys.Select(key => Convert.ToHexString(key.Key.PublicKey.Span)).Distinct(StringComparer.Ordinal).Count() == log.Keys.Count ? Told("none") : throw new RowFailedException("one public key twice"));
    }

    private IEnumerable<Row> Tiles()
    {
        yield return new Row("TT-06", "M", "GET the tiles that the root is made of", "the root of the checkpoint", async () =>
        {
            SeenCheckpoint newest = NotEmpty();
            Hash root = await log.RootAsync(newest.Size);
            return root == newest.Root ? root.ToString() : throw new RowFailedException($"{root}, where {newest.Root} is signed");
        });
        yield return new Row("TT-07", "M", "GET a tile of each level", "Content-Type: application/octet-stream", () => TypesAsync(Sample(entries: false)));
        yield return new Row("TT-09", "M", "GET the last full tile of each level", "200 at the path that tlog-tiles gives", async () =>
        {
            TilePath[] paths = [.. Sample(entries: false).Where(path => !path.IsPartial).GroupBy(path => path.Level).Select(level => level.Last())];
            if (paths.Length == 0) throw new NotObservedException("the log has no full tile yet");
            foreach (TilePath path in paths)
            {
                if (await log.ReadAsync(path) is { Status: not 200 } reply) throw new RowFailedException(reply.ToString(), path.ToString());
            }

            return string.Join(", ", paths);
        });
        yield return new Row("TT-12", "S", "GET a full tile twice", "the same bytes, and caching headers of a day at least", async () =>
        {
            if (NotEmpty().Size < TilePath.FullWidth) throw new NotObservedException("the log has no full tile yet");
            TilePath path = new(0, (log.Newest.Size / TilePath.FullWidth) - 1);
            Reply first = await log.ReadAsync(path), second = await log.Prefix.GetAsync(path.ToString());
            if (first.Status != 200) throw new NotObservedException($"{path} cannot be read (TT-09)");
            if (!first.Body.AsSpan().SequenceEqual(second.Body)) throw new RowFailedException("other bytes", path.ToString());
            string? caching = first.Headers.GetValueOrDefault("Cache-Control");
            return await Need(caching, caching is not null && (caching.Contains("immutable", StringComparison.OrdinalIgnoreCase) || MaxAge(caching) >= 86_400));
        });
        yield return new Row("TT-13", "M", "GET full tiles", "8,192 bytes", async () =>
        {
            TilePath[] full = [.. Sample(entries: false).Where(path => !path.IsPartial)];
            if (full.Length == 0) throw new NotObservedException("the log has no full tile yet");
            foreach (TilePath path in full) await LengthAsync(path, 256 * Hash.Size);
            return "8,192 bytes";
        });
        yield return new Row("TT-14", "M", "GET a tile of each level and the full tile below its last hash", "the hash is the tree hash of that tile", async () =>
        {
            int compared = 0;
            for ((int level, long hashes) = (1, NotEmpty().Size >> 8); hashes > 0; (level, hashes) = (level + 1, hashes >> 8))
            {
                byte[] above = await log.HashesAsync(level, (hashes - 1) / 256), below = await log.HashesAsync(level - 1, hashes - 1);
                Hash[] children = [.. Enumerable.Range(0, 256).Select(i => new Hash(below.AsSpan(i * Hash.Size, Hash.Size)))];
                Hash expected = MerkleHash.Root(children), found = new(above.AsSpan((int)((hashes - 1) % 256) * Hash.Size, Hash.Size));
                if (found != expected) throw new RowFailedException($"{found}, where the tile below gives {expected}", string.Create(CultureInfo.InvariantCulture, $"the last hash of level {level}"));
                compared++;
            }

            return compared > 0 ? string.Create(CultureInfo.InvariantCulture, $"so on {compared} levels") : throw new NotObservedException("the log has one level");
        });
        yield return new Row("TT-15", "MN", "GET at each level a tile that is wider by one hash, that of what is not full below", "404, or another 4xx", () => MissingAsync(() => Levels().Select(level =>
        {
            long hashes = log.Newest.Size >> (8 * level);
            return (level, hashes);
        }).Where(one => one.level > 0 && one.hashes % 256 < 255).Select(one => new TilePath(one.level, one.hashes / 256, (int)(one.hashes % 256) + 1).ToString())));
        yield return new Row("TT-16", "M", "GET the partial tile of each level", "as many hashes as its path says", async () =>
        {
            TilePath[] partial = [.. SeenCheckpoint.PartialTiles(NotEmpty().Size).Where(path => !path.IsEntries)];
            if (partial.Length == 0) throw new NotObservedException("the log has no partial tile at this size");
            int read = 0;
            foreach (TilePath path in partial)
            {
                Reply reply = await log.ReadAsync(path);
                if (reply.Status != 200) continue; // TT-19
                if (reply.Decoded()?.Length != path.Width * Hash.Size) throw new RowFailedException(Length(reply), path.ToString());
                read++;
            }

            return read > 0 ? string.Join(", ", partial) : throw new NotObservedException("no partial tile can be read (TT-19)");
        });
        yield return new Row("TT-17", "MN", "GET tiles of width 0, and the one behind the last", "404, or another 4xx", () => MissingAsync(() =>
        [
            "tile/0/000.p/0", "tile/entries/000.p/0", new TilePath(0, (log.Newest.Size / 256) + 1).ToString(), new TilePath(TilePath.EntriesLevel, (log.Newest.Size / 256) + 1).ToString(),
            .. log.Newest.Size % 256 == 0 ? new[] { new TilePath(0, log.Newest.Size / 256).ToString() } : [],
        ]));
    }

    private IEnumerable<Row> Paths()
    {
        yield return new Row("TT-08", "M", "GET levels 00, 64, -1 and 0x0", "404, or another 4xx", () => MissingAsync(() => ["tile/00/" + FirstTile(), "tile/64/" + FirstTile(), "tile/-1/" + FirstTile(), "tile/0x0/" + FirstTile()]));
        yield return new Row("TT-10", "D", "GET the first tile and bundle with a group of zeros before, one or two digits less, one more, a slash behind", "404, or another 4xx", () => MissingAsync(() =>
        [
            "tile/0/x000/" + FirstTile(), "tile/entries/x000/" + FirstTile(), "tile/0/" + FirstTile()[1..], "tile/0/" + FirstTile()[2..], "tile/0/0" + FirstTile(), "tile/0/" + FirstTile() + "/", "tile/0/X000/" + FirstTile(),
        ]));
        yield return new Row("TT-11", "M", "GET widths 256, 257, with a leading zero, with a sign, and none", "404, or another 4xx", () => MissingAsync(() =>
            ["tile/0/000.p/256", "tile/entries/000.p/256", "tile/0/000.p/257", "tile/0/000.p/01", "tile/0/000.p/+1", "tile/0/000.p/"]));
        yield return new Row("TT-41", "D", "GET the first tile and bundle as a partial one of width 1", "a hash, an entry, or 404", async () =>
        {
            _ = NotEmpty();
            if (log.MinimumIndex > 0) throw new NotObservedException("the first tile may be pruned");
            TilePath tile = new(0, 0, 1), bundle = new(TilePath.EntriesLevel, 0, 1);
            Reply hash = await log.ReadAsync(tile), entry = await log.ReadAsync(bundle);
            if (hash.Status == 200 && hash.Decoded()?.Length != Hash.Size) throw new RowFailedException(Length(hash), tile.ToString());
            if (entry.Status == 200 && !(entry.Decoded() is byte[] body && EntryBundle.TryCount(body, out int count) && count == 1)) throw new RowFailedException(Length(entry), bundle.ToString());
            return string.Create(CultureInfo.InvariantCulture, $"{hash.Status} and {entry.Status}");
        });
    }

    private IEnumerable<Row> Bundles()
    {
        yield return new Row("TT-23", "M", "GET the first bundle and the last ones", "Content-Type: application/octet-stream", () => TypesAsync(Sample(entries: true)));
        yield return new Row("TT-24", "M", "GET the first bundle and the last ones", "as many entries behind 2 byte lengths as the path says", async () =>
        {
            foreach (TilePath path in Sample(entries: true))
            {
                Reply reply = await log.ReadAsync(path);
                if (reply.Status != 200) continue; // TT-19, TT-23
                if (!(reply.Decoded() is byte[] body && EntryBundle.TryCount(body, out int count) && count == path.Width)) throw new RowFailedException(Length(reply), path.ToString());
            }

            return string.Join(", ", Sample(entries: true));
        });
        yield return new Row("TT-25", "M", "GET the first bundle and the last ones, and the tiles of level 0 beside them", "each entry has its hash there", async () =>
        {
            long entries = 0;
            foreach (long index in Sample(entries: true).Select(path => path.Index).Distinct())
            {
                byte[] bundle = await log.BundleAsync(index) ?? throw new NotObservedException("a bundle cannot be read (TT-24)");
                byte[] tile = await log.HashesAsync(0, index);
                int at = 0;
                foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle))
                {
                    if (!MerkleHash.Leaf(entry).ToArray().AsSpan().SequenceEqual(tile.AsSpan(at * Hash.Size, Hash.Size))) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"another hash for entry {(index * 256) + at}"));
                    at++;
                }

                entries += at;
            }

            return string.Create(CultureInfo.InvariantCulture, $"so for {entries} entries");
        });
        yield return new Row("TT-26", "S", "GET a bundle with Accept-Encoding: gzip, identity", "Content-Encoding: gzip", async () =>
        {
            TilePath path = Sample(entries: true).First();
            Reply reply = await log.ReadAsync(path);
            if (reply.Status != 200) throw new NotObservedException($"{path} cannot be read");
            string? coding = reply.Headers.GetValueOrDefault("Content-Encoding");
            return coding == "gzip" ? coding : throw new RowFailedException(coding is null ? "no Content-Encoding" : coding, path.ToString());
        });
        yield return new Row("TT-34", "MN", "GET the first tile and bundle that the minimum index leaves", "200", async () =>
        {
            long index = Math.Min(log.MinimumIndex, NotEmpty().Size - 1) / 256;
            foreach (int level in (int[])[0, TilePath.EntriesLevel])
            {
                TilePath path = new(level, index, TilePath.WidthAt(level, index, log.Newest.Size));
                Reply reply = await log.ReadAsync(path);
                if (reply.Status != 200 && path.IsPartial) reply = await log.ReadAsync(new TilePath(level, index));
                if (reply.Status != 200) throw new RowFailedException(reply.ToString(), path.ToString());
            }

            return "200";
        });
    }

    private IEnumerable<Row> Growth()
    {
        yield return new Row("TT-40", "D", "GET the partial tiles and the partial bundle of a checkpoint as soon as it is seen", "200", async () =>
        {
            int asked = 0;
            foreach ((TilePath path, Reply first) in Edges())
            {
                asked++;
                if (first.Status == 200 || await FullAsync(path)) continue;
                Reply later = await log.ReadAsync(path);
                if (later.Status == 200) throw new RowFailedException($"{first}, and later 200", path.ToString());
                throw new NotObservedException($"{path} is not there at all (TT-19)");
            }

            return asked > 0 ? string.Create(CultureInfo.InvariantCulture, $"200 to {asked}") : throw new NotObservedException("no checkpoint that was seen has partial tiles");
        });
        yield return new Row("TT-19", "M", "GET the partial tiles and partial bundles of every size that was seen, once more at the end", "200, or 200 for the full one", async () =>
        {
            int asked = 0;
            foreach ((TilePath path, _) in Edges())
            {
                asked++;
                Reply reply = await log.Prefix.GetAsync(path.ToString(), path.IsEntries ? "gzip, identity" : null);
                if (reply.Status != 200 && !await FullAsync(path)) throw new RowFailedException(reply.ToString(), path.ToString());
            }

            int sizes = log.Seen.Select(one => one.Size).Distinct().Count();
            return asked > 0 ? string.Create(CultureInfo.InvariantCulture, $"200 to {asked}, of {sizes} sizes") : throw new NotObservedException("no checkpoint that was seen has partial tiles");
        });
    }

    private IEnumerable<(TilePath Path, Reply First)> Edges() => All(log).SelectMany(one => one.Edge).Select(one => (one.Key, one.Value));

    /// <summary>SPEC TT-20: a log may drop a partial tile once the full one is there.</summary>
    private async Task<bool> FullAsync(TilePath path) => (await log.ReadAsync(new TilePath(path.Level, path.Index))).Status == 200;

    /// <summary>The first tile of level 0 at the size of the log: "000", or "000.p/W" in a small log.</summary>
    private string FirstTile() => new TilePath(0, 0, TilePath.WidthAt(0, 0, NotEmpty().Size)).ToString()["tile/0/".Length..];

    private IEnumerable<int> Levels()
    {
        int levels = 1;
        while (levels < 8 && log.Newest.Size >> (8 * levels) > 0) levels++;
        return Enumerable.Range(0, levels + 1); // and one level above the highest
    }

    /// <summary>
    /// The first tile, the last full tile and the partial tile of each level; the same for bundles. Leaves out pruned ones.
    /// </summary>
    private List<TilePath> Sample(bool entries)
    {
        List<TilePath> sample = [];
        long size = NotEmpty().Size;
        for ((int level, long hashes) = (entries ? TilePath.EntriesLevel : 0, size); hashes > 0; (level, hashes) = (level + 1, hashes >> 8))
        {
            foreach (long index in (long[])[0, (hashes / 256) - 1, hashes / 256])
            {
                int width = TilePath.WidthAt(level, index, size);
                TilePath path = new(level, Math.Max(index, 0), Math.Max(width, 1));
                if (width > 0 && LogTester.EndOf(path) > log.MinimumIndex && !sample.Contains(path)) sample.Add(path);
            }

            if (entries) break;
        }

        return sample;
    }

    private SeenCheckpoint NotEmpty() => log.Newest.Size > 0 ? log.Newest : throw new NotObservedException("the log is empty");

    private async Task<string> TypesAsync(List<TilePath> paths)
    {
        int read = 0;
        foreach (TilePath path in paths)
        {
            Reply reply = await log.ReadAsync(path);
            if (reply.Status != 200) continue; // TT-09, TT-19, TT-34
            if (!MediaTypes.IsOctets(reply.ContentType)) throw new RowFailedException(reply.ContentType is null ? "no Content-Type" : $"Content-Type: {reply.ContentType}", path.ToString());
            read++;
        }

        return read > 0 ? string.Create(CultureInfo.InvariantCulture, $"so for {read}") : throw new NotObservedException("none can be read (TT-09, TT-19)");
    }

    /// <summary>
    /// Requires a 4xx for each of these paths. If a path is served because the log has grown in the meantime, the row is not observed.
    /// </summary>
    private async Task<string> MissingAsync(Func<IEnumerable<string>> paths)
    {
        long size = NotEmpty().Size;
        List<string> came = [];
        foreach (string path in paths())
        {
            Reply reply = await log.Prefix.GetAsync(path);
            came.Add(reply.Status.ToString(CultureInfo.InvariantCulture));
            if (reply.Status is >= 400 and < 500) continue;
            await log.LookAsync();
            if (reply.Status == 200 && log.Newest.Size > size && TilePath.TryParse(Encoding.ASCII.GetBytes(path), out TilePath tile) && tile.IsCoveredBy(log.Newest.Size)) throw new NotObservedException("the log has grown while it was asked");
            throw new RowFailedException(Length(reply), path);
        }

        return came.Count > 0 ? string.Join(", ", came.Distinct()) : throw new NotObservedException("there is no such tile at this size");
    }

    private async Task LengthAsync(TilePath path, int expected)
    {
        Reply reply = await log.ReadAsync(path);
        if (reply.Status != 200) throw new NotObservedException($"{path} cannot be read (TT-09)");
        if (reply.Decoded()?.Length != expected) throw new RowFailedException(Length(reply), path.ToString());
    }

    private Task<string> EachAsync(Func<SeenCheckpoint, string?> fault)
    {
        foreach (SeenCheckpoint one in All(log))
        {
            if (fault(one) is string found) throw new RowFailedException(found);
        }

        return Told($"so in {log.Seen.Count} answers");
    }

    private Task<string> LinesAsync(Func<string, string?> fault) => EachAsync(one => one.SignatureLines.Select(fault).FirstOrDefault(found => found is not null));

    private static List<SeenCheckpoint> All(LogTester log) => log.Seen.Count > 0 ? log.Seen : throw new NotObservedException("there is no checkpoint whose size and root can be made out (TT-01)");

    private static Task<string> Told(FormattableString text) => Task.FromResult(text.ToString(CultureInfo.InvariantCulture));

    private static Task<string> Told(string text) => Task.FromResult(text);

    private static Task<string> Need(string? came, bool holds) => holds ? Task.FromResult(came!) : throw new RowFailedException(came ?? "no such header");

    private static int? MaxAge(string caching)
    {
        foreach (string part in caching.Split(','))
        {
            if (part.Trim() is string directive && directive.StartsWith("max-age=", StringComparison.OrdinalIgnoreCase) && Strict.TryReadSize(Encoding.UTF8.GetBytes(directive["max-age=".Length..]), out long seconds)) return (int)Math.Min(seconds, int.MaxValue);
        }

        return null;
    }

    private static string Length(Reply reply) => reply.Status == 200 ? string.Create(CultureInfo.InvariantCulture, $"200 with {reply.Decoded()?.Length ?? 0} bytes") : reply.ToString();

    private static bool Matches(INoteVerifier key, NoteSignature line) => line.KeyId == key.Key.KeyId && line.Name == key.Key.Name;

    private static string? NameOf(string line) => line.StartsWith("— ", StringComparison.Ordinal) && line.LastIndexOf(' ') is >= 2 and int last ? line[2..last] : null;

    private static string Base64Of(string line) => line.TrimEnd('\n').Split(' ')[^1];

    private static string Short(string text) => text.Length > 60 ? text[..60] + "..." : text.TrimEnd('\n');
}
