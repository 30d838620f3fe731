// The check that begins at the entry bytes: everything a log stores or serves beside them is a function of them, so it is computed
// again and compared. The caller reads, in order, wherever the bytes are; this file knows what they must be.
//
//   entries -> leaf hashes -> tile of level 0 -> tiles above, each when it becomes full -> roots at the sizes that were signed
//
// Memory: one right edge, and the roots that are still to come.
using System.Runtime.InteropServices;

namespace TransparencyLog;

/// <summary>A root hash that someone signed or stored for a tree size.</summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash that is claimed.</param>
/// <param name="Place">Where the claim stands.</param>
public readonly record struct ClaimedRoot(long Size, Hash Root, string Place);

/// <summary>
/// Rebuilds a tree from its entries and compares what is stored or served of it. One owner. After the first damage it found it is of no
/// further use: what follows would only repeat it.
/// </summary>
public sealed class TreeCheck
{
    private readonly RightEdge _edge;
    private readonly ClaimedRoot[] _claims;
    private readonly List<FullTile> _completed = [];
    private int _nextClaim;
    private long _lastClaim;

    /// <summary>A check that will compare these roots, which are in the order of their sizes, when the tree gets there.</summary>
    /// <param name="claims">The roots; those below the beginning are left out.</param>
    /// <param name="from">The tree to go on from, which is believed until a root is compared; null to begin with the first entry.</param>
    /// <exception cref="ArgumentException">The sizes decrease.</exception>
    public TreeCheck(IEnumerable<ClaimedRoot> claims, RightEdge? from = null)
    {
        _edge = from ?? new RightEdge();
        _claims = [.. claims.Where(claim => claim.Size >= _edge.Size)];
        for (int i = 1; i < _claims.Length; i++)
        {
            if (_claims[i].Size < _claims[i - 1].Size) throw new ArgumentException("claimed roots come in the order of their sizes", nameof(claims));
        }
    }

    /// <summary>How many entries were added.</summary>
    public long Size => _edge.Size;

    /// <summary>The root hash of the entries added so far.</summary>
    public Hash Root() => _edge.Root();

    /// <summary>
    /// The tiles that the last <see cref="Add"/> made full, lowest first. The one of level 0 was compared; compare what is stored of those above.
    /// </summary>
    public IReadOnlyList<FullTile> Completed => _completed;

    /// <summary>
    /// Adds the next entries: a bundle of exactly <paramref name="width"/>, and what is stored or served as their leaf hashes. Returns the first
    /// damage, null when there is none.
    /// </summary>
    /// <param name="bundle">Entries with big-endian u16 length prefixes, as they are stored.</param>
    /// <param name="tile">The tile of level 0 that belongs to them.</param>
    /// <param name="width">How many entries there have to be, 1 to 256. The tree has a multiple of 256 entries before.</param>
    /// <param name="bundlePlace">Names the bundle in a damage.</param>
    /// <param name="tilePlace">Names the tile in a damage.</param>
    /// <param name="leaves">What <see cref="Leaves"/> gave for the bundle, perhaps on another thread; null to hash here.</param>
    public Damage? Add(ReadOnlySpan<byte> bundle, ReadOnlySpan<byte> tile, int width, string bundlePlace, string tilePlace, Hash[]? leaves = null)
    {
        long segment = Size / EntryBundle.Width;
        _completed.Clear();
        if (!EntryBundle.TryCount(bundle, out int count, out int badOffset))
        {
            return new Damage("entry-bundle", bundlePlace, segment, null, $"{width} entries with their lengths", $"a length at offset {badOffset} that does not fit");
        }

        if (count != width)
        {
            return new Damage("entry-bundle", bundlePlace, segment, Size + Math.Min(count, width), $"{width} entries", $"{count} entries");
        }

        if (tile.Length != width * Hash.Size)
        {
            return new Damage("tile", tilePlace, segment, null, $"{width} leaf hashes, {width * Hash.Size} bytes", $"{tile.Length} bytes");
        }

        leaves ??= Leaves(bundle)!;
        ReadOnlySpan<Hash> stored = MemoryMarshal.Cast<byte, Hash>(tile);
        for (int i = 0; i < width; i++)
        {
            // SPEC TT-25: each entry of a bundle hashes to the matching hash of level 0.
            if (leaves[i] != stored[i]) return new Damage("leaf-hash", tilePlace, segment, Size, $"{leaves[i]}, the hash of the entry in {bundlePlace}", stored[i].ToString());
            if (Append(leaves[i]) is Damage damage) return damage;
        }

        return null;
    }

    /// <summary>The leaf hashes of a bundle's entries: the part of a check that needs nothing of the tree. Null when the bundle is not well formed.</summary>
    public static Hash[]? Leaves(ReadOnlySpan<byte> bundle)
    {
        if (!EntryBundle.TryCount(bundle, out int count)) return null;
        Hash[] leaves = new Hash[count];
        int i = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle)) leaves[i++] = MerkleHash.Leaf(entry);
        return leaves;
    }

    /// <summary>Adds the next entry where no leaf hash is stored that could be compared.</summary>
    public Damage? AddEntry(ReadOnlySpan<byte> entry) => AddLeaf(MerkleHash.Leaf(entry));

    /// <summary>The same with its leaf hash.</summary>
    public Damage? AddLeaf(in Hash leaf)
    {
        _completed.Clear();
        return Append(leaf);
    }

    /// <summary>Compares the claims about the tree it begins with, before anything is added.</summary>
    public Damage? CheckBegin() => CheckClaims();

    /// <summary>Whether every claim was reached: a signed size larger than what there is means that entries are missing.</summary>
    public Damage? Finish(string place) => _nextClaim == _claims.Length
        ? null
        : new Damage("size", place, null, Size, $"{_claims[^1].Size} entries, the size in {_claims[^1].Place}", $"{Size} entries");

    /// <summary>The partial tiles of level 1 and above, as the tree of this size has them.</summary>
    public IEnumerable<(TilePath Path, ReadOnlyMemory<byte> Hashes)> PartialTiles()
    {
        for (int level = 1; level < _edge.Levels; level++)
        {
            ReadOnlyMemory<byte> hashes = _edge.PartialTile(level);
            if (!hashes.IsEmpty) yield return (new TilePath(level, Size >> (8 * (level + 1)), hashes.Length / Hash.Size), hashes);
        }
    }

    /// <summary>Compares a tile of level 1 or above with what it must be; the damage names the first segment below the first wrong hash.</summary>
    public static Damage? Compare(TilePath path, ReadOnlySpan<byte> expected, ReadOnlySpan<byte> found, string place)
    {
        if (found.Length != expected.Length)
        {
            return new Damage("tile", place, FirstSegment(path, 0), null, $"{expected.Length / Hash.Size} hashes, {expected.Length} bytes", $"{found.Length} bytes") { Tile = path };
        }

        int same = expected.CommonPrefixLength(found);
        if (same == expected.Length) return null;
        int k = same / Hash.Size;
        return new Damage(
            "tile", $"{place}, hash {k}", FirstSegment(path, k), null, new Hash(expected.Slice(k * Hash.Size, Hash.Size)).ToString(), new Hash(found.Slice(k * Hash.Size, Hash.Size)).ToString())
        {
            Tile = path,
        };
    }

    /// <summary>The segment in which the leaves below hash <paramref name="k"/> of a tile begin.</summary>
    private static long FirstSegment(TilePath path, int k) => ((path.Index * TilePath.FullWidth) + k) << (8 * (path.Level - 1));

    private Damage? Append(in Hash leaf)
    {
        _edge.Append(leaf, _completed);
        return CheckClaims();
    }

    private Damage? CheckClaims()
    {
        if (_nextClaim == _claims.Length || _claims[_nextClaim].Size != Size) return null;
        Hash root = Root();
        for (; _nextClaim < _claims.Length && _claims[_nextClaim].Size == Size; _nextClaim++)
        {
            ClaimedRoot claim = _claims[_nextClaim];
            if (claim.Root == root) continue;

            // Below the last claim that held everything is as it was signed: what changed lies behind it.
            long? index = _nextClaim > 0 ? _lastClaim : null;
            return new Damage("root", claim.Place, null, index, $"root {root} at size {Size}, from the entries", $"root {claim.Root}");
        }

        _lastClaim = Size;
        return null;
    }
}
