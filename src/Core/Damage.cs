using System.Text;

namespace TransparencyLog;

/// <summary>One place where the bytes of a log are not what they must be.</summary>
/// <param name="Kind">A stable word for the kind of damage: <c>entry-bundle</c>, <c>leaf-hash</c>, <c>tile</c>, <c>seal</c>, <c>checkpoint</c> ...</param>
/// <param name="Place">The file, record or URL path.</param>
/// <param name="Segment">The segment (256 entries), if the damage is inside one.</param>
/// <param name="Index">The index of the entry, if known. For a wrong root hash: the index of the first entry that can be wrong.</param>
/// <param name="Expected">What must be there.</param>
/// <param name="Found">What is there.</param>
public sealed record Damage(string Kind, string Place, long? Segment, long? Index, string Expected, string Found)
{
    /// <summary>The damaged hash tile, if it is a stored tile of level 1 or above.</summary>
    public TilePath? Tile { get; init; }

    /// <summary>One line for people: kind, place, segment, index, expected, found.</summary>
    public override string ToString()
    {
        StringBuilder line = new();
        line.Append(Kind).Append(": ").Append(Place);
        if (Segment is long segment) line.Append(", segment ").Append(segment);
        if (Index is long index) line.Append(", index ").Append(index);
        return line.Append(": expected ").Append(Expected).Append(", found ").Append(Found).ToString();
    }
}
