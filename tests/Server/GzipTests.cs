using System.IO.Compression;
using System.Text;
using TransparencyLog.Server.Http;

namespace TransparencyLog.Tests.Server;

/// <summary>TT-26: bundles compressed at the HTTP level for whoever asks, and for nobody else.</summary>
public sealed class GzipTests
{
    [Theory]
    [InlineData("gzip", true)]
    [InlineData("GZip", true)]
    [InlineData("x-gzip", true)]
    [InlineData("gzip, identity", true)]
    [InlineData("identity, gzip", true)]
    [InlineData("deflate, gzip;q=1.0, *;q=0.5", true)]
    [InlineData("br;q=1.0, gzip;q=0.001", true)]
    [InlineData("*", true)]
    [InlineData("*;q=0.1", true)]
    [InlineData("gzip ; q=0.5", true)]
    [InlineData("gzip;q=0.5, identity;q=0.5", true)]
    [InlineData("identity;q=0, gzip", true)]
    [InlineData("gzip;Q=1.000", true)]
    [InlineData(",, gzip ,", true)]
    [InlineData("gzip;q=0, x-gzip", true)]
    [InlineData("gzip;q=1.", true)]
    [InlineData("", false)]
    [InlineData("identity", false)]
    [InlineData("br, deflate", false)]
    [InlineData("gzip;q=0", false)]
    [InlineData("gzip;q=0.000", false)]
    [InlineData("gzip;q=0, *", false)]
    [InlineData("*;q=0", false)]
    [InlineData("gzip;q=0.5, identity", false)]
    [InlineData("gzip;q=0.5, identity;q=0.501", false)]
    [InlineData("gzip;q=2", false)]
    [InlineData("gzip;q=1.001", false)]
    [InlineData("gzip;q=0.0001", false)]
    [InlineData("gzip;q=-1", false)]
    [InlineData("gzip;q=", false)]
    [InlineData("gzip;q", false)]
    [InlineData("gzip;level=9", false)]
    [InlineData("gzipped", false)]
    [InlineData("not gzip", false)]
    [InlineData(";q=1", false)]
    public async Task TT26_weights_say_who_gets_gzip(string header, bool expected)
    {
        Assert.Equal(expected, AcceptEncoding.PrefersGzip(header));
        TestLog log = await SharedLog.GetAsync();
        (int status, string answer) = await RawHttp.SendAsync(log.Url, "GET", "/tile/entries/000", $"Accept-Encoding: {header}\r\n");
        Assert.Equal(200, status);
        Assert.Contains("\r\nVary: Accept-Encoding\r\n", answer);

        // While another test has something compressed, the identity is what one gets.
        if (!expected) Assert.DoesNotContain("Content-Encoding", answer);
    }

    [Fact]
    public async Task TT26_a_full_bundle_in_gzip_is_the_bundle_and_HEAD_says_what_GET_says()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddBatchAsync([.. Enumerable.Range(0, 700).Select(i => Encoding.UTF8.GetBytes($"{{\"entry\":{i},\"name\":\"one like the other\"}}"))]);
        await log.CheckLog(700);
        for (int round = 0; round < 4; round++)
        {
            byte[] plain = await log.Http.GetByteArrayAsync("/tile/entries/001");
            using HttpResponseMessage get = await SendAsync(log, HttpMethod.Get, "/tile/entries/001");
            using HttpResponseMessage head = await SendAsync(log, HttpMethod.Head, "/tile/entries/001");
            byte[] gzip = await get.Content.ReadAsByteArrayAsync();
            Assert.Equal(plain, await UnzipAsync(gzip));
            Assert.True(gzip.Length * 2 < plain.Length);
            foreach (HttpResponseMessage answer in (HttpResponseMessage[])[get, head])
            {
                Assert.Equal("gzip", Assert.Single(answer.Content.Headers.ContentEncoding));
                Assert.Equal("Accept-Encoding", answer.Headers.Vary.ToString());
                Assert.Equal(gzip.Length, answer.Content.Headers.ContentLength);
                Assert.Equal("application/octet-stream", answer.Content.Headers.ContentType!.ToString());
                Assert.Equal("public, max-age=31536000, immutable", answer.Headers.CacheControl!.ToString().Replace("max-age=31536000, public", "public, max-age=31536000"));
            }
        }

        // Tiles of hashes, partial bundles, single entries and refusals go out as they are.
        foreach (string path in (string[])["/tile/0/000", "/tile/0/002.p/5", "/tile/entries/000.p/255", "/tile/entries/002.p/188", "/entry/3", "/checkpoint", "/tile/entries/002", "/tile/entries/999"])
        {
            using HttpResponseMessage answer = await SendAsync(log, HttpMethod.Get, path);
            Assert.Empty(answer.Content.Headers.ContentEncoding);
        }
    }

    [Fact]
    public async Task TT26_a_bundle_that_does_not_get_smaller_goes_out_as_it_is()
    {
        await using TestLog log = await TestLog.StartAsync();
        Random random = new(3);
        await log.AddBatchAsync([.. Enumerable.Range(0, 256).Select(_ =>
        {
            byte[] entry = new byte[100];
            random.NextBytes(entry);
            return entry;
        })]);
        await log.CheckLog(256);
        for (int round = 0; round < 3; round++)
        {
            using HttpResponseMessage answer = await SendAsync(log, HttpMethod.Get, "/tile/entries/000");
            Assert.Empty(answer.Content.Headers.ContentEncoding);
            Assert.Equal(256 * 102, answer.Content.Headers.ContentLength);
        }
    }

    [Theory]
    [InlineData(0)]
    [InlineData(256 * 1024)]
    public async Task TT26_many_at_once_get_the_right_bytes_within_the_bound(int cache)
    {
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Settings = settings => settings with { ReadCacheBytes = cache } });
        await log.AddBatchAsync([.. Enumerable.Range(0, 20 * 256).Select(i => Encoding.UTF8.GetBytes($"entry {i}, {new string('x', i % 90)}"))]);
        await log.CheckLog(20 * 256);
        byte[][] plain = new byte[20][];
        for (int i = 0; i < 20; i++) plain[i] = await log.Http.GetByteArrayAsync($"/tile/entries/{i:000}");
        int compressed = 0;
        await Task.WhenAll(Enumerable.Range(0, 8).Select(seed => Task.Run(async () =>
        {
            Random random = new(seed);
            for (int i = 0; i < 60; i++)
            {
                int number = random.Next(20);
                using HttpResponseMessage answer = await SendAsync(log, HttpMethod.Get, $"/tile/entries/{number:000}");
                byte[] body = await answer.Content.ReadAsByteArrayAsync();
                bool isGzip = answer.Content.Headers.ContentEncoding.Contains("gzip");
                if (isGzip) Interlocked.Increment(ref compressed);
                Assert.Equal(plain[number], isGzip ? await UnzipAsync(body) : body);
                Assert.InRange(log.Engine.Tiles.Hot.Bytes, 0, cache);
            }
        })));
        Assert.InRange(compressed, 1, 8 * 60);
    }

    private static Task<HttpResponseMessage> SendAsync(TestLog log, HttpMethod method, string path)
    {
        HttpRequestMessage request = new(method, path);
        request.Headers.AcceptEncoding.ParseAdd("gzip, identity");
        return log.Http.SendAsync(request);
    }

    private static async Task<byte[]> UnzipAsync(byte[] gzip)
    {
        using GZipStream unzipped = new(new MemoryStream(gzip), CompressionMode.Decompress);
        using MemoryStream all = new();
        await unzipped.CopyToAsync(all);
        return all.ToArray();
    }
}
