// The hashes of the tree: RFC 6962 section 2.1 with SHA-256, which RFC 9162 section 2.1.1 repeats.
//
//   empty tree   SHA-256()
//   leaf         SHA-256(0x00 || entry)
//   node         SHA-256(0x01 || left || right)
using System.Buffers;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace TransparencyLog;

/// <summary>
/// Writes the SHA-256 of <paramref name="input"/>, which may have any length, to the 32 bytes of <paramref name="hash"/>. Safe for concurrent use.
/// </summary>
public delegate void Sha256Function(ReadOnlySpan<byte> input, Span<byte> hash);

/// <summary>Leaf, node and root hashes of RFC 6962 section 2.1 (SHA-256).</summary>
public static class MerkleHash
{
    // The base library needs 400 ns for a node, of which the hash itself is 60 ns. Programs replace it with a faster function.
    private static Sha256Function sha256 = BaseLibrary;

    // Largest leaf input that is built on the stack: one prefix byte and 255 bytes of the entry.
    private const int StackInput = 256;

    /// <summary>The root hash of the empty tree: SHA-256 of no bytes.</summary>
    public static Hash Empty { get; } = Sha256([]);

    /// <summary>
    /// Makes the whole process hash with <paramref name="function"/> from now on, if its results are those of the base library. Both are compared for
    /// every length from 0 to 1,024 bytes and for the largest leaf input, 65,536 bytes. If any result differs, returns false and changes nothing.
    /// </summary>
    public static bool TryUse(Sha256Function function)
    {
        ArgumentNullException.ThrowIfNull(function);
        byte[] input = new byte[EntryBundle.MaxEntrySize + 1];
        for (int i = 0; i < input.Length; i++) input[i] = (byte)((i * 167) + (i >> 8));
        Span<byte> expected = stackalloc byte[Hash.Size], found = stackalloc byte[Hash.Size];
        foreach (int length in Enumerable.Range(0, 1025).Append(input.Length))
        {
            BaseLibrary(input.AsSpan(0, length), expected);
            function(input.AsSpan(0, length), found);
            if (!found.SequenceEqual(expected)) return false;
        }

        Volatile.Write(ref sha256, function);
        return true;
    }

    /// <summary>The leaf hash of an entry of any length: <c>SHA-256(0x00 || entry)</c>.</summary>
    public static Hash Leaf(ReadOnlySpan<byte> entry)
    {
        // SPEC TT-06: leaf H(0x00 || d), node H(0x01 || l || r), empty H("").
        int length = 1 + entry.Length;
        byte[]? rented = length <= StackInput ? null : ArrayPool<byte>.Shared.Rent(length);
        Span<byte> input = rented is null ? stackalloc byte[StackInput] : rented;
        input[0] = 0x00;
        entry.CopyTo(input[1..]);
        Hash leaf = Sha256(input[..length]);
        if (rented is not null) ArrayPool<byte>.Shared.Return(rented);
        return leaf;
    }

    /// <summary>The hash of an inner node: <c>SHA-256(0x01 || left || right)</c>.</summary>
    public static Hash Node(in Hash left, in Hash right)
    {
        Span<byte> input = stackalloc byte[1 + (2 * Hash.Size)];
        input[0] = 0x01;
        left.CopyTo(input[1..]);
        right.CopyTo(input[(1 + Hash.Size)..]);
        return Sha256(input);
    }

    /// <summary>
    /// Hashes adjacent pairs into their parents: <c>parents[i] = Node(children[2i], children[2i + 1])</c>.
    /// Both spans may begin at the same place in memory, so that a level can be hashed in place.
    /// </summary>
    /// <exception cref="ArgumentException">The number of children is odd, or there is no room for half as many parents.</exception>
    public static void Nodes(ReadOnlySpan<Hash> children, Span<Hash> parents)
    {
        if (children.Length % 2 != 0) throw new ArgumentException("children come in pairs", nameof(children));
        if (parents.Length < children.Length / 2) throw new ArgumentException("no room for the parents", nameof(parents));
        int i = 0;
        if (Sha256Lanes.IsUsable)
        {
            // Each write ends below the children that are still to be read, so hashing in place is safe.
            for (; i + Sha256Lanes.Count <= children.Length / 2; i += Sha256Lanes.Count) Sha256Lanes.Nodes(children[(2 * i)..], parents[i..]);
        }

        Sha256Function function = Volatile.Read(ref sha256);
        ReadOnlySpan<byte> pairs = MemoryMarshal.AsBytes(children);
        Span<byte> hashes = MemoryMarshal.AsBytes(parents);
        Span<byte> input = stackalloc byte[1 + (2 * Hash.Size)];
        input[0] = 0x01;
        for (; i < children.Length / 2; i++)
        {
            pairs.Slice(i * 2 * Hash.Size, 2 * Hash.Size).CopyTo(input[1..]);
            function(input, hashes.Slice(i * Hash.Size, Hash.Size));
        }
    }

    /// <summary>
    /// The Merkle tree hash of a list of leaf hashes, of any length; <see cref="Empty"/> for none.
    /// The list may also be the hashes of complete subtrees of one height, such as those of a tile.
    /// </summary>
    public static Hash Root(ReadOnlySpan<Hash> leaves)
    {
        if (leaves.IsEmpty) return Empty;
        if (leaves.Length == 1) return leaves[0];

        // RFC 6962 splits at the largest power of two below n. Pairing from the left, one level at a time, gives the same tree.
        // A last hash without a sibling moves up unchanged.
        Hash[] rented = ArrayPool<Hash>.Shared.Rent((leaves.Length + 1) / 2);
        int n = Up(leaves, rented);
        while (n > 1) n = Up(rented.AsSpan(0, n), rented);
        Hash root = rented[0];
        ArrayPool<Hash>.Shared.Return(rented);
        return root;
    }

    /// <summary>The Merkle tree hash of the hashes in a tile, 32 bytes each.</summary>
    internal static Hash Root(ReadOnlySpan<byte> hashes) => Root(MemoryMarshal.Cast<byte, Hash>(hashes));

    private static int Up(ReadOnlySpan<Hash> level, Span<Hash> above)
    {
        int pairs = level.Length / 2;
        Hash last = level[^1];
        Nodes(level[..(2 * pairs)], above);
        if (level.Length % 2 == 0) return pairs;
        above[pairs] = last;
        return pairs + 1;
    }

    private static Hash Sha256(ReadOnlySpan<byte> input)
    {
        Hash hash = default;
        Volatile.Read(ref sha256)(input, MemoryMarshal.AsBytes(new Span<Hash>(ref hash)));
        return hash;
    }

    private static void BaseLibrary(ReadOnlySpan<byte> input, Span<byte> hash) => SHA256.HashData(input, hash);
}
