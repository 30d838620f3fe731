// Checks a log from its entry bytes. Everything else that the log stores or serves is a function of the entries, so it is computed again
// and compared. The caller reads the bytes in order, from any source. This file knows what they must be.
//
//   entries -> leaf hashes -> tile of level 0 -> tiles above, each when it becomes full -> roots at the sizes that were signed
//
// Memory: one right edge, and the claimed roots.
using System.Runtime.InteropServices;

namespace TransparencyLog;

/// <summary>A root hash that someone signed or stored for a tree size.</summary>
/// <param name="Size">The tree size.</param>
/// <param name="Root">The root hash that is claimed.</param>
/// <param name="Place">Where the claim was found.</param>
public readonly record struct ClaimedRoot(long Size, Hash Root, string Place);

/// <summary>
/// Rebuilds a tree from its entries and compares it with what is stored or served. It has one owner and is not safe for concurrent use.
/// Stop after the first damage: later ones would only repeat it.
/// </summary>
public sealed class TreeCheck
{
    private readonly RightEdge _edge;
    private readonly ClaimedRoot[] _claims;
    private readonly List<FullTile> _completed = [];
    private int _nextClaim;
    private long _lastClaim;

    /// <summary>Makes a check that compares these roots, given in the order of their sizes, when the tree reaches their sizes.</summary>
    /// <param name="claims">The roots. Those for sizes below that of the initial tree are ignored.</param>
    /// <param name="from">The initial tree, which is trusted until a root is compared; null to start with the first entry.</param>
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

    /// <summary>The size of the tree: the entries of the initial tree and those added.</summary>
    public long Size => _edge.Size;

    /// <summary>The root hash of the tree so far.</summary>
    public Hash Root() => _edge.Root();

    /// <summary>
    /// The tiles that the last <see cref="Add"/> filled, the lowest level first. The tile of level 0 has been compared. The caller compares the
    /// stored tiles of the levels above.
    /// </summary>
    public IReadOnlyList<FullTile> Completed => _completed;

    /// <summary>
    /// Adds the next entries, a bundle of exactly <paramref name="width"/>, and compares them with the leaf hashes that are stored or served for them.
    /// Returns the first damage, or null.
    /// </summary>
    /// <param name="bundle">The entries with big-endian uint16 length prefixes, as stored.</param>
    /// <param name="tile">The tile of level 0 that belongs to them.</param>
    /// <param name="width">The required number of entries, 1 to 256. The size of the tree before must be a multiple of 256.</param>
    /// <param name="bundlePlace">Name of the bundle in a damage.</param>
    /// <param name="tilePlace">Name of the tile in a damage.</param>
    /// <param name="leaves">The result of <see cref="Leaves"/> for the bundle, perhaps from another thread; null to hash here.</param>
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

    /// <summary>
    /// The leaf hashes of the entries of a bundle: the part of a check that does not need the tree. Null when the bundle is malformed.
    /// </summary>
    public static Hash[]? Leaves(ReadOnlySpan<byte> bundle)
    {
        if (!EntryBundle.TryCount(bundle, out int count)) return null;
        Hash[] leaves = new Hash[count];
        int i = 0;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle)) leaves[i++] = MerkleHash.Leaf(entry);
        return leaves;
    }

    /// <summary>Adds the next entry, when no leaf hash is stored to compare it with. Returns a damage if a root hash differs, or null.</summary>
    public Damage? AddEntry(ReadOnlySpan<byte> entry) => AddLeaf(MerkleHash.Leaf(entry));

    /// <summary>The same for the leaf hash of the next entry.</summary>
    public Damage? AddLeaf(in Hash leaf)
    {
        _completed.Clear();
        return Append(leaf);
    }

    /// <summary>Compares the claims about the initial tree. Call it before anything is added.</summary>
    public Damage? CheckBegin() => CheckClaims();

    /// <summary>Checks that every claim was reached. A signed size larger than the tree means that entries are missing.</summary>
    public Damage? Finish(string place) => _nextClaim == _claims.Length
        ? null
        : new Damage("size", place, null, Size, $"{_claims[^1].Size} entries, the size in {_claims[^1].Place}", $"{Size} entries");

    /// <summary>The partial tiles of level 1 and above of the tree at its current size.</summary>
    public IEnumerable<(TilePath Path, ReadOnlyMemory<byte> Hashes)> PartialTiles()
    {
        for (int level = 1; level < _edge.Levels; level++)
        {
            ReadOnlyMemory<byte> hashes = _edge.PartialTile(level);
            if (!hashes.IsEmpty) yield return (new TilePath(level, Size >> (8 * (level + 1)), hashes.Length / Hash.Size), hashes);
        }
    }

    /// <summary>
    /// Compares a tile of level 1 or above with its expected hashes. The damage names the first segment below the first wrong hash.
    /// </summary>
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

    /// <summary>The segment where the leaves below hash <paramref name="k"/> of a tile begin.</summary>
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

            // The entries up to the last claim that matched are as they were signed, so the change comes after it.
            long? index = _nextClaim > 0 ? _lastClaim : null;
            return new Damage("root", claim.Place, null, index, $"root {root} at size {Size}, from the entries", $"root {claim.Root}");
        }

        _lastClaim = Size;
        return null;
    }
}
