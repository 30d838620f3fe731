using System.Text;
using System.Text.Unicode;
using TransparencyLog.Hosting;

namespace TransparencyLog.Server.Http;

/// <summary>
/// The target of a request, byte for byte as it came over the wire: every resource has one spelling, and nothing is decoded. Reading a target allocates
/// nothing.
/// </summary>
internal static class Target
{
    // The longest path of a tile has 52 characters, the longest index 19, a hash 64.
    private const int MaxRead = 64;

    public static string Of(HttpContext context) => RequestTarget.Of(context);

    /// <summary>Reads <c>/tile/...</c>: SPEC TT-10, only the canonical path. This method and the next two ignore a query (N-09).</summary>
    public static bool TryReadTile(ReadOnlySpan<char> target, out TilePath tile)
    {
        target = RequestTarget.PathOf(target);
        Span<byte> ascii = stackalloc byte[MaxRead];
        tile = default;
        return target.StartsWith("/tile/") && TryAscii(target[1..], ascii, out int length) && TilePath.TryParse(ascii[..length], out tile);
    }

    /// <summary>Reads <c>/entry/INDEX</c>.</summary>
    public static bool TryReadEntry(ReadOnlySpan<char> target, out long index)
    {
        index = 0;
        target = RequestTarget.PathOf(target);
        return target.StartsWith("/entry/") && TryReadSize(target["/entry/".Length..], out index);
    }

    /// <summary>Reads <c>/index/LEAFHASH</c>: 64 lower-case hexadecimal digits.</summary>
    public static bool TryReadHash(ReadOnlySpan<char> target, out Hash hash)
    {
        Span<byte> ascii = stackalloc byte[MaxRead];
        hash = default;
        target = RequestTarget.PathOf(target);
        return target.StartsWith("/index/") && TryAscii(target["/index/".Length..], ascii, out int length) && Hash.TryParseHex(ascii[..length], out hash);
    }

    /// <summary>
    /// Reads the query of a target: <c>first=N</c> and <c>second=N</c>, in either order, each at most once, where N is a tree size or index. A parameter that
    /// is left out is null. False for anything else.
    /// </summary>
    public static bool TryReadQuery(ReadOnlySpan<char> target, string first, string second, out long? firstValue, out long? secondValue)
    {
        (firstValue, secondValue) = (null, null);
        int start = target.IndexOf('?');
        if (start < 0) return true;
        foreach (Range part in target[(start + 1)..].Split('&'))
        {
            ReadOnlySpan<char> pair = target[(start + 1)..][part];
            int equals = pair.IndexOf('=');
            if (equals < 0 || !TryReadSize(pair[(equals + 1)..], out long value)) return false;
            if (pair[..equals].SequenceEqual(first) && firstValue is null) firstValue = value;
            else if (pair[..equals].SequenceEqual(second) && secondValue is null) secondValue = value;
            else return false;
        }

        return true;
    }

    private static bool TryReadSize(ReadOnlySpan<char> text, out long size)
    {
        Span<byte> ascii = stackalloc byte[MaxRead];
        size = 0;
        return TryAscii(text, ascii, out int length) && Strict.TryReadSize(ascii[..length], out size);
    }

    private static bool TryAscii(ReadOnlySpan<char> text, Span<byte> ascii, out int length)
    {
        length = 0;
        return text.Length <= ascii.Length && Ascii.FromUtf16(text, ascii, out length) == System.Buffers.OperationStatus.Done;
    }
}
