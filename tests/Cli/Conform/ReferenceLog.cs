// A log as c2sp.org/tlog-tiles describes it, and the same with one fault each: what the tester has to tell apart.

using System.IO.Compression;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Tests.Client;

namespace TransparencyLog.Tests.Cli;

/// <summary>What is wrong with it.</summary>
public enum LogFault
{
    None,
    CheckpointOfAnotherType,
    CheckpointCached,
    CheckpointNotSigned,
    CheckpointSignatureBroken,
    LeadingZero,
    RootWithTrailingBits,
    SignatureWithTrailingBits,
    Extension,
    AnotherRoot,
    Rollback,
    Fork,
    Rewritten,
    TilesOfAnotherType,
    BundlesOfAnotherType,
    WiderPartialTile,
    ShortFullTile,
    FullAtPartialPath,
    PartialGone,
    OldPartialGone,
    PartialLate,
    FirstGone,
    UpperLevelWrong,
    PartialHashedIntoAbove,
    EmptyTiles,
    LevelWithZero,
    ZeroGroups,
    Width256,
    WidthWithZero,
    AnotherEntry,
    EntryMissing,
    NoGzip,
    TilesNotCached,
}

/// <summary>A log that grows by its checkpoint being asked for: from 600 to 650 to 700 entries.</summary>
internal sealed class ReferenceLog : IDisposable
{
    public const string Origin = "example.com/log";

    private static readonly long[] Sizes = [600, 650, 700];

    private readonly MemoryLog _log = new(700);
    private readonly MemoryLog _other = new(700, seed: 9);
    private readonly LogFault _fault;
    private readonly HashSet<string> _asked = [];
    private int _looks;

    public ReferenceLog(LogFault fault)
    {
        _fault = fault;
        Site = new TestSite(request => Task.FromResult(Answer(request)));
    }

    public TestSite Site { get; }

    public VerifierKey Key => _log.Signer.Key;

    private long Size => Sizes[Math.Clamp(_looks - 1, 0, Sizes.Length - 1)];

    public void Dispose()
    {
        Site.Dispose();
        _log.Dispose();
        _other.Dispose();
    }

    private SiteAnswer Answer(SiteRequest request)
    {
        if (request.Method is not ("GET" or "HEAD")) return SiteAnswer.Text(405, "");
        lock (_asked)
        {
            return request.Path == "checkpoint" ? CheckpointAnswer() : Tile(Canonical(request.Path));
        }
    }

    private SiteAnswer CheckpointAnswer()
    {
        _looks++;
        long size = _fault == LogFault.Rollback && _looks == 3 ? Sizes[0] : Size;
        Hash root = _log.Root(size);
        if (_fault == LogFault.AnotherRoot) root = MerkleHash.Leaf("another"u8);
        if (_fault == LogFault.Fork && _looks == 4) root = MerkleHash.Leaf("fork"u8);
        if (_fault == LogFault.Rewritten && size < 700) root = MerkleHash.Leaf("rewritten"u8);
        string text = Encoding.UTF8.GetString(new Checkpoint(Origin, size, root).ToText());
        if (_fault == LogFault.LeadingZero) text = text.Replace($"\n{size}\n", $"\n0{size}\n");
        if (_fault == LogFault.RootWithTrailingBits) text = text[..^3] + Next(text[^3]) + "=\n";
        if (_fault == LogFault.Extension) text += "an extension\n";
        byte[] bytes = Encoding.UTF8.GetBytes(text);
        NoteSigner signer = _fault == LogFault.CheckpointNotSigned ? _other.Signer : _log.Signer;
        NoteSignature line = signer.Sign(bytes);
        if (_fault == LogFault.CheckpointSignatureBroken) line = new NoteSignature(line.Name, line.KeyId, _log.Signer.Sign("another text\n"u8).Signature);
        string signature = line.ToLine();
        if (_fault == LogFault.SignatureWithTrailingBits) signature = signature[..^3] + Next(signature[^3]) + "=\n"; // 68 bytes end in one "="
        return new SiteAnswer(200, Encoding.UTF8.GetBytes($"{text}\n{signature}"), _fault == LogFault.CheckpointOfAnotherType ? "text/plain" : "text/plain; charset=utf-8")
        {
            Headers = { ["Cache-Control"] = _fault == LogFault.CheckpointCached ? "max-age=3600" : "max-age=2" },
        };
    }

    private SiteAnswer Tile(string path)
    {
        if (_fault == LogFault.EmptyTiles && path is "tile/0/000.p/0" or "tile/entries/000.p/0") return new SiteAnswer(200, [], "application/octet-stream");
        if (_fault == LogFault.PartialHashedIntoAbove && path == "tile/1/000.p/3") return new SiteAnswer(200, new byte[96], "application/octet-stream");
        if (!TilePath.TryParse(Encoding.ASCII.GetBytes(path), out TilePath tile) || !tile.IsCoveredBy(Size) || IsGone(tile)) return SiteAnswer.Text(404, "");
        byte[] whole = _log.Files[new TilePath(tile.Level, tile.Index, TilePath.WidthAt(tile.Level, tile.Index, 700)).ToString()];
        byte[] body = tile.IsEntries ? whole[..EntryBundle.PrefixLength(whole, tile.Width)] : whole[..(tile.Width * Hash.Size)];
        switch (_fault)
        {
            case LogFault.WiderPartialTile when tile.IsPartial && tile.Level == 0:
                body = [.. body, .. new byte[Hash.Size]];
                break;
            case LogFault.ShortFullTile when !tile.IsPartial && tile.Level == 0:
                body = body[..^Hash.Size];
                break;
            case LogFault.FullAtPartialPath when tile.IsPartial && tile.Index == 0 && !tile.IsEntries && tile.Level == 0:
                body = whole;
                break;
            case LogFault.UpperLevelWrong when tile.Level == 1:
                body = [.. new byte[body.Length]];
                break;
            case LogFault.AnotherEntry when tile.IsEntries && tile.Index == 0:
                body = [.. body];
                body[5] ^= 1;
                break;
            case LogFault.EntryMissing when tile.IsEntries && !tile.IsPartial:
                body = whole[..EntryBundle.PrefixLength(whole, 255)];
                break;
        }

        bool other = _fault == (tile.IsEntries ? LogFault.BundlesOfAnotherType : LogFault.TilesOfAnotherType);
        SiteAnswer answer = new(200, body, other ? "text/plain" : "application/octet-stream") { Headers = { ["Cache-Control"] = _fault == LogFault.TilesNotCached ? "no-cache" : "max-age=31536000, immutable" } };
        if (!tile.IsEntries || _fault == LogFault.NoGzip) return answer;
        using MemoryStream gzip = new();
        using (GZipStream zip = new(gzip, CompressionLevel.Fastest)) zip.Write(body);
        answer.Headers["Content-Encoding"] = "gzip";
        return answer with { Body = gzip.ToArray() };
    }

    private bool IsGone(TilePath tile) => _fault switch
    {
        LogFault.PartialGone => tile.IsPartial && tile.Level == 1,
        LogFault.OldPartialGone => tile.IsPartial && tile.Width == 600 % 256 && Size > 600,
        LogFault.PartialLate => tile.IsPartial && _asked.Add(tile.ToString()),
        LogFault.FirstGone => tile is { Level: <= 0, Index: 0 },
        _ => false,
    };

    /// <summary>The path as a log takes it that is not strict in one place.</summary>
    private string Canonical(string path) => _fault switch
    {
        LogFault.LevelWithZero => path.Replace("tile/00/", "tile/0/"),
        LogFault.ZeroGroups => path.Replace("/x000/", "/"),
        LogFault.Width256 => path.Replace(".p/256", ""),
        LogFault.WidthWithZero => path.Replace(".p/0", ".p/"),
        _ => path,
    };

    /// <summary>A base64 character with its lowest bit set: before one "=", two bits of it are unused.</summary>
    private static char Next(char character)
    {
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        return Alphabet[Alphabet.IndexOf(character) | 1];
    }
}
