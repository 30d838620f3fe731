using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Cli;

/// <summary>A log of 258 segments, one full tile of level 1 and 37 open entries, built once and copied for each damage.</summary>
public sealed class WholeDirectory : IDisposable
{
    public const long Size = (258 * 256) + 37;

    private readonly Scratch _scratch = new();
    private readonly Lazy<string> _path, _quick;

    public WholeDirectory()
    {
        _path = new Lazy<string>(() => Make("log", null));
        _quick = new Lazy<string>(() => Make("quick", LogDirectory.OptionsFor(LogBuilder.Origin) with { FileBytes = JournalOptions.MinFileBytes }));
    }

    /// <summary>With the usual journal, of one file.</summary>
    public string Path => _path.Value;

    /// <summary>With a journal of small files, which is read and written ten times as fast.</summary>
    public string Quick => _quick.Value;

    /// <summary>The quick one, but for a damage of the one large file.</summary>
    internal string For(PlantedDamage damage) => damage.WantsLargeJournal ? Path : Quick;

    private string Make(string name, JournalOptions? journal)
    {
        LogBuilder.CreateAsync(_scratch["made-" + name], Size, [100, 600, 1500, 258 * 256, Size], journal).GetAwaiter().GetResult();
        Copy(_scratch["made-" + name], _scratch[name]);
        return _scratch[name];
    }

    /// <summary>
    /// A copy whose zeros take no room: a journal file is 64 MiB of them. In this process: a child would hold the directory locks of the tests
    /// beside it between its fork and its exec, and they would find their logs in use.
    /// </summary>
    public static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to, File.GetUnixFileMode(from));
        foreach (string directory in Directory.GetDirectories(from)) Copy(directory, System.IO.Path.Combine(to, System.IO.Path.GetFileName(directory)));
        byte[] block = new byte[1024 * 1024];
        foreach (string file in Directory.GetFiles(from))
        {
            using FileStream source = File.OpenRead(file);
            using FileStream copy = new(
                System.IO.Path.Combine(to, System.IO.Path.GetFileName(file)),
                new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = File.GetUnixFileMode(file) });
            copy.SetLength(source.Length);
            while (source.ReadAtLeast(block, block.Length, throwOnEndOfStream: false) is int read and > 0)
            {
                if (block.AsSpan(0, read).IndexOfAnyExcept((byte)0) < 0) copy.Position += read;
                else copy.Write(block, 0, read);
            }
        }
    }

    public void Dispose() => _scratch.Dispose();
}

/// <summary>One thing that is wrong, and how it has to be named.</summary>
internal sealed record PlantedDamage(string Name, Action<Forger> Plant, string Kind, string Place, long? Segment, long? Index, string Expected, string Found)
{
    /// <summary>Whether it is one of a journal of one large file.</summary>
    public bool WantsLargeJournal => Name.Contains("journal", StringComparison.Ordinal);
}

/// <summary>The list of failures.md row I-12: each file by flip, truncation, removal, exchange and addition.</summary>
internal static class DamagedDirectories
{
    private static readonly string Other = MerkleHash.Leaf("other"u8).ToString();

    public static readonly PlantedDamage[] All =
    [
        // Entries and seals. Without the CRC the record itself tells; with it only the hashes do.
        new("an entry byte flipped", f => f.Flip(f.Part(5, 0), Forger.EntryOffset(1300), crc: false), "storage", "part 0 of record 5", 5, null, "CRC-32C", ""),
        new("an entry byte flipped, CRC forged", f => f.Flip(f.Part(5, 0), Forger.EntryOffset(1300), crc: true), "leaf-hash", "segments, record 5", 5, 1300, "the hash of the entry in", Leaf(1300)),
        new("an entry of a second part flipped, CRC forged", f => f.Flip(f.Part(3, 1), 100_000, crc: true), "leaf-hash", "segments, record 3", 3, 996, "the hash of the entry in", Leaf(996)),
        new("a length prefix flipped, CRC forged", f => f.Flip(f.Part(5, 0), Forger.EntryOffset(1300) - 2, crc: true), "entry-bundle", "parts of record 5", 5, null, "256 entries with their lengths", "offset"),
        new("two equal flips 8 bytes apart", f => f.Edit(f.Part(5, 0), bytes => { bytes[100] ^= 8; bytes[108] ^= 8; }, crc: false), "storage", "part 0 of record 5", 5, null, "CRC-32C", ""),
        new("4 KiB of zeros in a part", f => f.Put(f.Part(3, 0), 8192, new byte[4096], crc: false), "storage", "part 0 of record 3", 3, null, "CRC-32C", ""),
        new("4 KiB of another segment in a part", f => f.Put(f.Part(3, 0), 8192, Forger.Payload(f.Part(4, 0))[8192..12288], crc: false), "storage", "part 0 of record 3", 3, null, "CRC-32C", ""),
        new("4 KiB of another segment in a part, CRC forged", f => f.Put(f.Part(3, 0), 8192, Forger.Payload(f.Part(4, 0))[8192..12288], crc: true), "leaf-hash", "segments, record 3", 3, 769, "the hash of the entry in", Leaf(769)),
        new("a leaf hash flipped", f => f.Flip(f.Record("segments", 5), Forger.TileAt + (20 * 32), crc: false), "storage", "record 5", 5, null, "CRC-32C", ""),
        new("a leaf hash forged", f => f.Put(f.Record("segments", 5), Forger.TileAt + (20 * 32), MerkleHash.Leaf("other"u8).ToArray(), crc: true), "leaf-hash", "segments, record 5", 5, 1300, Leaf(1300), Other),
        new("parts of two segments exchanged", f => f.Swap(f.Part(3, 0), f.Part(4, 0), crc: false), "storage", "part 0 of record 3", 3, null, "number 3", "number 4"),
        new("parts of two segments exchanged, CRC forged", f => f.Swap(f.Part(3, 0), f.Part(4, 0), crc: true), "leaf-hash", "segments, record 3", 3, 768, Leaf(1024), Leaf(768)),
        new("seals of two segments exchanged", f => f.Swap(f.Record("segments", 10), f.Record("segments", 11), crc: false), "storage", "record 10", 10, null, "number 10", "number 11"),
        new("seals of two segments exchanged, CRC forged", f => f.Swap(f.Record("segments", 10), f.Record("segments", 11), crc: true), "seal", "record 10", 10, null, "first index 2560", "first index 2816"),
        new("the root in a seal forged", f => f.Put(f.Record("segments", 7), Forger.RootAt, MerkleHash.Leaf("other"u8).ToArray(), crc: true), "seal", "record 7", 7, null, "from the entries", $"root {Other}"),
        new("the chain of seals broken", f => f.Put(f.Record("segments", 7), Forger.PreviousAt, MerkleHash.Leaf("other"u8).ToArray(), crc: true), "seal", "record 7", 7, null, "the hash of the seal before", Other),
        new("the address of the record before forged", f => f.Edit(f.Record("segments", 7), bytes => bytes[19] ^= 8, crc: true), "address", "record 7", 7, null, "the address of the record before", ""),
        new("a part's length in a seal forged", f => f.Flip(f.Record("segments", 7), Forger.PreviousAt + 32 + 2 + 11, crc: true), "seal", "segments", 7, null, "part 0 of", "bytes"),
        new("a whole segment forged below a signed head", f => f.ForgeSegment(1300), "root", "heads, offset", null, 600, "at size 1500, from the entries", "root "),
        new("a whole segment forged", f => f.ForgeSegment(3000), "seal", "record 12", 12, null, "the hash of the seal before", ""),
        new("the last segment forged", f => f.ForgeSegment((257 * 256) + 9), "root", "heads, offset", null, 1500, "at size 66048, from the entries", "root "),

        // Tiles above.
        new("an upper tile flipped", f => f.Flip(f.Record("tree", 0), 41 + (77 * 32), crc: false), "storage", "tree, record 0", null, null, "CRC-32C", ""),
        new("a hash of an upper tile forged", f => f.Put(f.Record("tree", 0), 41 + (77 * 32), MerkleHash.Leaf("other"u8).ToArray(), crc: true), "tile", "record 0, tile/1/000, hash 77", 77, null, "", Other),
        new("the root of an upper tile forged", f => f.Put(f.Record("tree", 0), 9, MerkleHash.Leaf("other"u8).ToArray(), crc: true), "tile", "record 0, tile/1/000", 255, null, "from the entries", $"root {Other}"),
        new("an upper tile with another name", f => f.Flip(f.Record("tree", 0), 8, crc: true), "tile", "record 0, tile/1/000", 255, null, "tile 0 of level 1", "something else"),

        // Address files, commit files, data files.
        new("an address exchanged for another record's", f => Forger.Write(f["segments/addresses"], 7 * 8, Forger.Read(f["segments/addresses"], 9 * 8, 8)), "storage", "record 7", 7, null, "number 7", "number 9"),
        new("an address flipped", f => Forger.FlipByte(f["segments/addresses"], (7 * 8) + 6), "storage", "record 7", 7, null, "", ""),
        new("an address beyond everything", f => Forger.Write(f["segments/addresses"], 7 * 8, [1]), "address", "record 7", 7, null, "an address below", ""),
        new("the last address flipped", f => Forger.FlipByte(f["segments/addresses"], (257 * 8) + 6), "storage", "record 257", null, null, "", ""),
        new("the address file shorter", f => Forger.Truncate(f["segments/addresses"], 100 * 8), "address", "address 257", null, null, "8 bytes", "the end of the file"),
        new("the address file gone", f => File.Delete(f["segments/addresses"]), "storage", "segments/addresses", null, null, "the addresses of its records", "no such file"),
        new("the segments cut off in the middle", f => Forger.Truncate(f["segments/data.0"], 1_000_000), "storage", "record 257", null, null, "", ""),
        new("the segments cut off by a byte", f => Forger.Truncate(f["segments/data.0"], f.Record("segments", 257) is var last ? last.Offset + last.Length - 1 : 0), "storage", "record 257", null, null, "bytes", "bytes before the end of the file"),
        new("the segments' data gone", f => File.Delete(f["segments/data.0"]), "storage", "record 257", null, null, "data.0", "no such file"),
        new("the segments' commit flipped", f => Forger.FlipByte(f["segments/commit"], 24), "storage", "segments/commit", null, null, "a whole commit file", "CRC"),
        new("the segments' commit gone", f => File.Delete(f["segments/commit"]), "storage", "segments/commit", null, null, "a commit file", "nothing"),
        new("the tree's data gone", f => File.Delete(f["tree/data.0"]), "storage", "tree, record 0", null, null, "data.0", "no such file"),
        new("the tree gone", f => Directory.Delete(f["tree"], recursive: true), "storage", "tree", null, null, "a directory", "nothing"),

        // What was signed.
        new("the commit record of a size long ago", f => File.WriteAllBytes(f["commit"], Lines(f["heads"])[2]), "commit", "commit", null, null, "size 66085", "size 600"),
        new("the commit record flipped", f => Forger.FlipByte(f["commit"], 60), "commit", "commit", null, null, "a head record", "CRC"),
        new("the commit record gone", f => File.Delete(f["commit"]), "commit", "commit", null, null, "a head record", "no such file"),
        new("a line of the history flipped", f => Forger.FlipByte(f["heads"], Lines(f["heads"])[0].Length + 30), "heads", "heads, offset", null, null, "a head record", "CRC"),
        new("a line of the history forged", f => File.WriteAllBytes(f["heads"], [.. Lines(f["heads"])[0], .. Head(600, 1), .. Lines(f["heads"])[3]]), "commit", "commit", null, null, "", ""),
        new("a history that goes back", f => File.WriteAllBytes(f["heads"], [.. Text(f["heads"]), .. Lines(f["heads"])[2]]), "heads", "heads, offset", null, null, "a head that follows size 66085", "size 600"),
        new("the history without its newest lines", f => File.WriteAllBytes(f["heads"], [.. Lines(f["heads"])[..3].SelectMany(line => line)]), "commit", "commit", null, null, "size 600", "size 66085"),
        new("the history empty", f => File.WriteAllBytes(f["heads"], []), "heads", "heads", null, null, "the history of signed heads", "an empty file"),
        new("the zeros behind the history flipped", f => Forger.FlipByte(f["heads"], 900_000), "heads", "heads, offset", null, null, "a head record", "CRC"),
        new("the history gone", f => File.Delete(f["heads"]), "heads", "heads", null, null, "the history of signed heads", "no such file"),
        new("a checkpoint signed by another key", f => { File.WriteAllBytes(f["commit"], ForeignHead()); File.WriteAllBytes(f["heads"], ForeignHead()); }, "signature", "heads, offset 0", null, null, $"a signature by {LogBuilder.Signer.Key}", "no line of that key"),
        new("a head signed at a root that the tree never had", f => { File.WriteAllBytes(f["commit"], Head(600, 1)); File.WriteAllBytes(f["heads"], Head(600, 1)); }, "root", "heads, offset 0", null, null, "at size 600, from the entries", "root "),
        new("a head signed at a size that is not there", f => { File.WriteAllBytes(f["commit"], Head(WholeDirectory.Size + 1, 1)); File.WriteAllBytes(f["heads"], Head(WholeDirectory.Size + 1, 1)); }, "size", "journal", null, WholeDirectory.Size, "66086 entries", "66085 entries"),
        new("a published checkpoint of another tree", f => File.WriteAllBytes(f["published"], LogBuilder.Checkpoint(512, MerkleHash.Empty, LogBuilder.Signer)), "root", "published", null, 100, "at size 512, from the entries", $"root {MerkleHash.Empty}"),
        new("a published checkpoint that is cut", f => File.WriteAllBytes(f["published"], LogBuilder.Checkpoint(512, MerkleHash.Empty, LogBuilder.Signer)[..^9]), "checkpoint", "published", null, null, "a signed checkpoint", "something else"),
        new("a published checkpoint beyond what is signed", f => File.WriteAllBytes(f["published"], LogBuilder.Checkpoint(70_000, MerkleHash.Empty, LogBuilder.Signer)), "checkpoint", "published", null, null, "at most size 66085", "size 70000"),

        // The journal.
        new("a byte of the journal flipped", f => Forger.FlipByte(f["journal/000000000001"], 700), "journal", "journal/000000000001, offset 0", null, null, "frame 1", ""),
        new("an entry in the journal that differs from its segment", f => f.ForgeJournal("entry 300"u8.ToArray(), "ENTRY 300"u8.ToArray()), "journal", "journal", 1, 300, $"leaf hash {Leaf(300)}", $"leaf hash {MerkleHash.Leaf("ENTRY 300"u8)}"),
        new("an open entry in the journal forged", f => f.ForgeJournal("entry 66060"u8.ToArray(), "ENTRY 66060"u8.ToArray()), "root", "heads, offset", null, 66048, "at size 66085, from the entries", "root "),
        new("the journal cut off", f => Forger.Truncate(f["journal/000000000001"], 32 * 1024 * 1024), "journal", "journal/000000000001", null, null, "67108864 bytes", "33554432 bytes"),
        new("the journal emptied", f => { Forger.Truncate(f["journal/000000000001"], 0); Forger.Truncate(f["journal/000000000001"], 64 * 1024 * 1024); }, "journal", "journal", null, null, "entries up to 66047", "0 as the next index"),
        new("the journal's file gone", f => File.Delete(f["journal/000000000001"]), "journal", "journal", null, null, "journal files", "none"),
        new("the journal without its last frame", f => { int at = Forger.Find(f["journal/000000000001"], "entry 66060"u8.ToArray()) / 512 * 512; Forger.Write(f["journal/000000000001"], at, new byte[4096]); }, "size", "journal", null, 66048, "66085 entries", "66048 entries"),

        // Identity, strangers.
        new("the identity gone", f => File.Delete(f["log"]), "identity", "log", null, null, "the identity of the log", "no such file"),
        new("the identity cut", f => Forger.Truncate(f["log"], 30), "identity", "log", null, null, "tlog-directory v1", "30 other bytes"),
        new("another origin in the identity", f => Forger.Write(f["log"], 27, "E"u8.ToArray()), "identity", "log", null, null, "a vkey whose name is the origin", "another name"),
        new("another key in the identity", f => Forger.FlipByte(f["log"], 90), "identity", "log", null, null, "a vkey", ""),
        new("a stray file", f => File.WriteAllBytes(f["notes.txt"], [1]), "stray-file", "notes.txt", null, null, "nothing of that name", "a file"),
        new("a stray directory", f => Directory.CreateDirectory(f["segments.old"]), "stray-file", "segments.old", null, null, "nothing of that name", "a directory"),
        new("a stray file among the segments", f => File.WriteAllBytes(f["segments/data.0.bak"], [1]), "stray-file", "segments/data.0.bak", null, null, "nothing of that name", "a file"),
        new("a data file too many", f => File.WriteAllBytes(f["tree/data.7"], [1]), "storage", "tree", null, null, "data.1", "data.7"),
        new("a stray file in the journal", f => File.WriteAllBytes(f["journal/1"], [1]), "journal", "journal/1", null, null, "journal files only", "a file named 1"),
    ];

    private static string Leaf(long index) => MerkleHash.Leaf(LogBuilder.EntryAt(index)).ToString();

    /// <summary>What a file holds before the zeros at its end.</summary>
    public static byte[] Text(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        return bytes[..(bytes.AsSpan().LastIndexOfAnyExcept((byte)0) + 1)];
    }

    /// <summary>The lines of a history.</summary>
    public static List<byte[]> Lines(string path)
    {
        List<byte[]> lines = [];
        foreach (string line in File.ReadAllText(path).Split('\n')[..^1]) lines.Add(System.Text.Encoding.ASCII.GetBytes(line + "\n"));
        return lines;
    }

    /// <summary>A head with a good signature and a good CRC over a root of nothing.</summary>
    private static byte[] Head(long size, byte fill)
    {
        Hash root = new(Enumerable.Repeat(fill, 32).ToArray());
        return HeadLine(size, root, LogBuilder.Checkpoint(size, root, LogBuilder.Signer));
    }

    private static byte[] ForeignHead()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(Enumerable.Repeat((byte)8, Ed25519.SeedSize).ToArray());
        return HeadLine(0, MerkleHash.Empty, LogBuilder.Checkpoint(0, MerkleHash.Empty, new NoteSigner(LogBuilder.Origin, key)));
    }

    /// <summary>A line of a history with another reason, and its CRC right.</summary>
    public static byte[] WithReason(byte[] line, string reason)
    {
        string[] words = System.Text.Encoding.ASCII.GetString(line).Split(' ');
        words[3] = Convert.ToBase64String(System.Text.Encoding.UTF8.GetBytes(reason));
        return WithCrc(string.Join(' ', words[..7]) + " ");
    }

    private static byte[] HeadLine(long size, Hash root, byte[] checkpoint) =>
        WithCrc($"tlog-head v1 0 {Convert.ToBase64String("test"u8)} {size} {root} {Convert.ToBase64String(checkpoint)} ");

    private static byte[] WithCrc(string line) => System.Text.Encoding.ASCII.GetBytes($"{line}{Forger.Crc(System.Text.Encoding.ASCII.GetBytes(line)):x8}\n");
}
