// Checks the journal of a data directory. Its frames are read as a start reads them. Entries that the segments hold as well must be equal byte for byte; the
// entries that are not sealed yet are then added to the tree.

using System.Buffers.Binary;

namespace TransparencyLog.Storage;

/// <summary>Compares the journal with the segments, and feeds its newer entries to the tree.</summary>
internal sealed class JournalCheck
{
    private readonly string _path;
    private readonly RecordLog _segments;
    private readonly TreeCheck _tree;
    private readonly long _sealed;
    private ReadOnlyMemory<byte> _bundle; // of the segment that was compared last
    private long _segment = -1;
    private int _offset;           // in _bundle, of the entry at _at
    private long _at;
    private readonly List<Hash>? _leaves; // of the entries after the segments, when the journal may be read again; null: add them to the tree directly
    private long _end;                    // the index of the next entry

    private JournalCheck(string path, RecordLog segments, TreeCheck tree, bool inUse)
    {
        _path = path;
        _segments = segments;
        _tree = tree;
        _sealed = _end = tree.Size;
        _leaves = inUse ? [] : null;
    }

    /// <summary>
    /// Checks the journal in a directory or, when <paramref name="files"/> is not null, these open files while a server keeps writing to them. In the second
    /// case damage of the journal leaves the tree unchanged, so that the check can be repeated; a wrong root does not.
    /// </summary>
    public static void Run(string path, JournalFiles? files, JournalOptions options, long signed, RecordLog segments, TreeCheck tree, List<string> notes)
    {
        JournalCheck check = new(path, segments, tree, files is not null);
        JournalScan scan = files is null ? JournalScan.Read(path, options, signed, check.Visit) : JournalScan.Read(path, files, options, signed, check.Visit);
        long next = scan.NextIndex;
        if (next < check._sealed) throw DirectoryCheck.Damaged("journal", path, $"entries up to {check._sealed - 1}, as the segments have", $"{next} as the next index: one of the two is an older copy");
        foreach (Hash leaf in check._leaves ?? []) DirectoryCheck.Require(tree.AddLeaf(leaf));
        if (files is null && scan.Torn is string torn) notes.Add(torn.Replace("was cut", "is cut by the next start", StringComparison.Ordinal));
    }

    private void Visit(JournalEntries frame)
    {
        if (frame.FirstIndex > _end)
        {
            throw new DamageException(new Damage("journal", _path, null, _end, $"entry {_end}, where the segments end", $"entry {frame.FirstIndex} as the first"));
        }

        long index = frame.FirstIndex;
        for (int offset = 0; offset < frame.Bundle.Length; index++)
        {
            ReadOnlySpan<byte> entry = Take(frame.Bundle.Span, ref offset);
            if (index < _sealed) Compare(index, entry);
            else if (_leaves is null) DirectoryCheck.Require(_tree.AddEntry(entry));
            else _leaves.Add(MerkleHash.Leaf(entry));
        }

        _end = Math.Max(_end, index);
    }

    private void Compare(long index, ReadOnlySpan<byte> entry)
    {
        if (_segment != index / EntryBundle.Width)
        {
            _segment = index / EntryBundle.Width;
            _bundle = TileStore.ReadBundle(_segments, _segment, TileStore.ReadSeal(_segments, _segment));
            _offset = EntryBundle.PrefixLength(_bundle.Span, (int)(index % EntryBundle.Width));
            _at = index;
        }

        if (_at++ != index) throw new System.Diagnostics.UnreachableException("the journal's indexes have no gap");
        ReadOnlySpan<byte> stored = Take(_bundle.Span, ref _offset);
        if (stored.SequenceEqual(entry)) return;
        string expected = $"leaf hash {MerkleHash.Leaf(stored)}, {stored.Length} bytes, as in the segment";
        throw new DamageException(new Damage("journal", _path, _segment, index, expected, $"leaf hash {MerkleHash.Leaf(entry)}, {entry.Length} bytes"));
    }

    /// <summary>Reads the entry at an offset of a well-formed bundle with any number of entries, and advances the offset.</summary>
    private static ReadOnlySpan<byte> Take(ReadOnlySpan<byte> bundle, ref int offset)
    {
        int length = BinaryPrimitives.ReadUInt16BigEndian(bundle[offset..]);
        ReadOnlySpan<byte> entry = bundle.Slice(offset + 2, length);
        offset += EntryBundle.EncodedSize(length);
        return entry;
    }
}
