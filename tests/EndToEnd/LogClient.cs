using System.Globalization;
using System.Net;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>An answer to an append. <paramref name="Indexes"/> is empty unless the status is 200; without a status there was no answer: the server has gone.</summary>
internal sealed record AddAnswer(HttpStatusCode? Status, IReadOnlyList<long> Indexes, string Body)
{
    public bool IsAcknowledged => Status == HttpStatusCode.OK;
}

/// <summary>Speaks to one log server, and nothing more: no proofs, no retries.</summary>
internal sealed class LogClient(Uri log) : IDisposable
{
    private readonly HttpClient _http = new() { BaseAddress = log, Timeout = TimeSpan.FromSeconds(60) };

    /// <summary>POST /add.</summary>
    public Task<AddAnswer> AddAsync(byte[] entry, string query = "") => PostAsync("add" + query, entry);

    /// <summary>POST /add-batch.</summary>
    public async Task<AddAnswer> AddBatchAsync(IReadOnlyList<byte[]> entries)
    {
        using MemoryStream body = new();
        foreach (byte[] entry in entries)
        {
            body.Write([(byte)(entry.Length >> 8), (byte)entry.Length]);
            body.Write(entry);
        }

        return await PostAsync("add-batch", body.ToArray());
    }

    /// <summary>GET of a path without its first slash; fails unless the answer is 200.</summary>
    public async Task<byte[]> GetAsync(string path)
    {
        (HttpStatusCode? status, byte[] body) = await TryGetAsync(path);
        return status == HttpStatusCode.OK ? body : throw new InvalidOperationException($"GET /{path}: {status} {Encoding.UTF8.GetString(body)}");
    }

    /// <summary>GET of a path; without a status there was no answer: the server has gone.</summary>
    public async Task<(HttpStatusCode? Status, byte[] Body)> TryGetAsync(string path)
    {
        try
        {
            using HttpResponseMessage response = await _http.GetAsync(path);
            return (response.StatusCode, await response.Content.ReadAsByteArrayAsync());
        }
        catch (Exception gone) when (gone is HttpRequestException or System.Net.Sockets.SocketException) // the second where the program ends between connecting and sending
        {
            return (null, Encoding.UTF8.GetBytes(gone.Message));
        }
    }

    /// <summary>The published size: the second line of the checkpoint; -1 when none is published, or nobody answers.</summary>
    public async Task<long> PublishedSizeAsync()
    {
        (HttpStatusCode? status, byte[] body) = await TryGetAsync("checkpoint");
        return status == HttpStatusCode.OK ? long.Parse(Encoding.UTF8.GetString(body).Split('\n')[1], CultureInfo.InvariantCulture) : -1;
    }

    /// <summary>Waits until the published tree has at least this size. False after the limit.</summary>
    public Task<bool> WaitPublishedAsync(long size, TimeSpan? limit = null) => Until.TrueAsync(async () => await PublishedSizeAsync() >= size, limit ?? Until.Patience);

    public void Dispose() => _http.Dispose();

    private async Task<AddAnswer> PostAsync(string path, byte[] body)
    {
        try
        {
            using ByteArrayContent content = new(body);
            using HttpResponseMessage response = await _http.PostAsync(path, content);
            string text = await response.Content.ReadAsStringAsync();
            bool isIndexes = response.StatusCode == HttpStatusCode.OK && text.All(character => char.IsAsciiDigit(character) || character == '\n');
            long[] indexes = isIndexes
                ? [.. text.TrimEnd('\n').Split('\n').Select(line => long.Parse(line, CultureInfo.InvariantCulture))]
                : [];
            return new AddAnswer(response.StatusCode, indexes, text);
        }
        catch (Exception gone) when (gone is HttpRequestException or System.Net.Sockets.SocketException) // the second where the program ends between connecting and sending
        {
            return new AddAnswer(null, [], gone.Message);
        }
    }
}

/// <summary>Waiting for a condition, with a limit.</summary>
internal static class Until
{
    /// <summary>Longest that anything may take that has to come: all of it takes well under a second on a quiet machine, and tests run on busy ones.</summary>
    public static readonly TimeSpan Patience = TimeSpan.FromMinutes(3);

    private static readonly TimeSpan Step = TimeSpan.FromMilliseconds(5);

    public static async Task<bool> TrueAsync(Func<Task<bool>> condition, TimeSpan limit)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!await condition())
        {
            if (TimeProvider.System.GetElapsedTime(start) > limit) return false;
            await Task.Delay(Step);
        }

        return true;
    }
}
