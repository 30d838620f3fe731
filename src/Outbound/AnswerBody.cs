namespace TransparencyLog.Outbound;

/// <summary>Reads response bodies into memory, up to a limit.</summary>
internal static class AnswerBody
{
    private const int FirstBuffer = 16 * 1024;

    /// <summary>
    /// Reads the body. If it has more than <paramref name="limit"/> bytes, returns the first <paramref name="limit"/> bytes, and IsWhole is false.
    /// The limit counts decompressed bytes, so a small compressed response cannot expand into a large one.
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
