namespace TransparencyLog.Outbound;

/// <summary>Reads bodies into memory, never more than is allowed.</summary>
internal static class AnswerBody
{
    private const int FirstBuffer = 16 * 1024;

    /// <summary>
    /// Reads the body. When it has more than <paramref name="limit"/> bytes, only those come, and it is not whole. Compressed or not, what is counted is what comes out: a small
    /// answer cannot become a large one.
    /// </summary>
    public static async Task<(byte[] Body, bool IsWhole)> ReadAsync(HttpResponseMessage response, int limit, AnswerClock clock)
    {
        clock.BeginBody(response.Content.Headers.ContentLength);
        Stream stream = await response.Content.ReadAsStreamAsync(clock.Token).ConfigureAwait(false);
        await using (stream.ConfigureAwait(false))
        {
            byte[] buffer = new byte[Math.Min(limit + 1, FirstBuffer)];
            int length = 0;
            while (true)
            {
                int read = await stream.ReadAsync(buffer.AsMemory(length), clock.Token).ConfigureAwait(false);
                if (read == 0) return (buffer[..length], true);
                length += read;
                clock.Count(read);
                if (length > limit) return (buffer[..limit], false);
                if (length == buffer.Length) Array.Resize(ref buffer, (int)Math.Min(limit + 1L, buffer.Length * 2L));
            }
        }
    }
}
