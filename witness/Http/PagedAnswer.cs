// An answer that lists logs. One array has the beginning and all items in their order. Every page of the answer is sent from that array, with an end added.
//
//     GET /status?from=<origin hash>&limit=<count>
//
// from is the origin hash of the first log of the page, and limit is the most logs on it. The end of a page names the first log of the next page.

using System.Globalization;
using System.Text;
using TransparencyLog.Hosting;

namespace TransparencyLog.Witness.Http;

/// <summary>The page that a query asks for: at most <see cref="Limit"/> items, starting with the log <see cref="From"/>; null for the first log.</summary>
internal readonly record struct PageRequest(Hash? From, int Limit)
{
    /// <summary>The largest limit: as many logs as the lists may name.</summary>
    public const int MostItems = TlogList.MaxLogs;

    /// <summary>
    /// Reads a target with or without a query. The query may have <c>from</c> and <c>limit</c>, each at most once and in either order. Nothing is decoded.
    /// </summary>
    public static bool TryParse(ReadOnlySpan<char> target, int usual, out PageRequest request)
    {
        request = new PageRequest(null, usual);
        int start = target.IndexOf('?');
        if (start < 0) return true;
        ReadOnlySpan<char> query = target[(start + 1)..];
        (Hash? from, int? limit) = (null, null);
        foreach (Range part in query.Split('&'))
        {
            ReadOnlySpan<char> pair = query[part];
            if (pair.StartsWith("from=") && from is null && TryReadHash(pair["from=".Length..], out Hash hash)) from = hash;
            else if (pair.StartsWith("limit=") && limit is null && TryReadLimit(pair["limit=".Length..], out int count)) limit = count;
            else return false;
        }

        request = new PageRequest(from, limit ?? usual);
        return true;
    }

    private static bool TryReadHash(ReadOnlySpan<char> text, out Hash hash)
    {
        hash = default;
        Span<byte> ascii = stackalloc byte[2 * Hash.Size];
        return text.Length == ascii.Length && System.Text.Ascii.FromUtf16(text, ascii, out int length) == System.Buffers.OperationStatus.Done && length == ascii.Length && Hash.TryParseHex(ascii, out hash);
    }

    private static bool TryReadLimit(ReadOnlySpan<char> text, out int limit)
    {
        limit = 0;
        Span<byte> ascii = stackalloc byte[4]; // the largest limit has four digits
        if (text.Length > ascii.Length || System.Text.Ascii.FromUtf16(text, ascii, out int length) != System.Buffers.OperationStatus.Done) return false;
        if (!Strict.TryReadSize(ascii[..length], out long value) || value is < 1 or > MostItems) return false;
        limit = (int)value;
        return true;
    }
}

/// <summary>The whole answer at one moment. Immutable.</summary>
/// <param name="keys">The origin hash of each item.</param>
/// <param name="bytes">The beginning and the items.</param>
/// <param name="ends">Offsets in <paramref name="bytes"/>: first where the beginning ends, then where each item ends.</param>
/// <param name="between">How many bytes at the start of an item only separate it from the item before.</param>
/// <param name="end">Makes the text after the last item of a page, from the origin hash of the first item of the next page; null when there is no next
/// page.</param>
internal sealed class PagedAnswer(IReadOnlyList<Hash> keys, byte[] bytes, int[] ends, int between, Func<Hash?, string> end)
{
    /// <summary>Length in bytes with all items, without the end.</summary>
    public int Length => bytes.Length;

    /// <summary>Sends one page. Returns false when the log with which it should begin is not listed here.</summary>
    public async ValueTask<bool> TrySendAsync(HttpContext context, PageRequest page, string contentType)
    {
        int from = 0;
        if (page.From is Hash first)
        {
            while (from < keys.Count && keys[from] != first) from++;
            if (from == keys.Count) return false;
        }

        int to = Math.Min(keys.Count, from + page.Limit);
        int start = ends[from] + (from == 0 ? 0 : between);
        ReadOnlyMemory<byte> items = to > from ? bytes.AsMemory(start, ends[to] - start) : default;
        byte[] last = Encoding.UTF8.GetBytes(end(to < keys.Count ? keys[to] : null));
        await LargeAnswers.SendAsync(context, StatusCodes.Status200OK, contentType, bytes.AsMemory(0, ends[0]), items, last).ConfigureAwait(false);
        return true;
    }
}
