using System.Net;
using System.Text;
using System.Text.Json;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

public sealed class AddTests
{
    [Fact]
    public async Task L14_an_entry_has_1_to_65535_bytes()
    {
        await using TestLog log = await TestLog.StartAsync();
        Assert.Equal(0, await log.AddAsync([7]));
        Assert.Equal(1, await log.AddAsync(Bytes(65_535)));
        await log.CheckLog(2);

        (HttpStatusCode status, string text) = await log.PostAsync("/add", []);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("1 to 65535 bytes", text);
        (status, text) = await log.PostAsync("/add", Bytes(65_536));
        Assert.Equal(HttpStatusCode.RequestEntityTooLarge, status);
        Assert.Contains("1 to 65535 bytes", text);
        await log.CheckLog(2);
    }

    [Fact]
    public async Task H02_a_body_that_is_not_there_in_time_is_408_whatever_its_rate()
    {
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Settings = settings => settings with { BodyLimit = TimeSpan.FromMilliseconds(200) } });
        using System.Net.Sockets.TcpClient client = new();
        await client.ConnectAsync(IPAddress.Parse(log.Url.Host), log.Url.Port);
        System.Net.Sockets.NetworkStream stream = client.GetStream();
        await stream.WriteAsync(Encoding.ASCII.GetBytes($"POST /add HTTP/1.1\r\nHost: {log.Url.Authority}\r\nContent-Length: 1000\r\n\r\nhalf of it"));
        byte[] answer = new byte[512];
        int length = await stream.ReadAsync(answer).AsTask().WaitAsync(TimeSpan.FromSeconds(60));
        Assert.Equal(408, RawHttp.StatusOf(Encoding.ASCII.GetString(answer, 0, length)));
        await log.CheckLog(0);
    }

    [Fact]
    public async Task The_index_is_bare_decimal_text()
    {
        await using TestLog log = await TestLog.StartAsync();
        using HttpResponseMessage answer = await log.Http.PostAsync("/add", new ByteArrayContent([1]));
        Assert.Equal("0", await answer.Content.ReadAsStringAsync());
        Assert.Equal("text/plain; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
    }

    [Theory]
    [InlineData("application/octet-stream")]
    [InlineData("text/plain; charset=utf-16")]
    [InlineData("application/x-www-form-urlencoded")]
    [InlineData("multipart/form-data; boundary=x")]
    [InlineData("application/json")]
    [InlineData("nonsense")]
    public async Task Any_content_type_is_taken_and_none_is_looked_into(string type)
    {
        await using TestLog log = await TestLog.StartAsync();
        byte[] entry = Encoding.UTF8.GetBytes("{\"a\":");
        ByteArrayContent content = new(entry);
        content.Headers.TryAddWithoutValidation("Content-Type", type);
        using HttpResponseMessage answer = await log.Http.PostAsync("/add", content);
        Assert.Equal(HttpStatusCode.OK, answer.StatusCode);
        await log.CheckLog(1);
        Assert.Equal(entry, log.Check.Entries[0]);
    }

    [Fact]
    public async Task A_body_without_a_length_is_taken_up_to_the_limit_however_it_is_cut()
    {
        await using TestLog log = await TestLog.StartAsync();
        byte[] entry = Bytes(65_535);
        foreach (int piece in (int[])[65_535, 1000, 1])
        {
            entry[0]++;
            string answer = await RawHttp.ExchangeAsync(log.Url, Chunked(log.Url, "/add", entry, piece));
            Assert.Equal(200, RawHttp.StatusOf(answer));
        }

        await log.CheckLog(3);
    }

    [Theory]
    [InlineData("/add", 65_536)]
    [InlineData("/add-batch", (2 * 1024 * 1024) + 1)]
    public async Task H04_a_body_without_a_length_over_the_limit_is_413(string path, int size)
    {
        await using TestLog log = await TestLog.StartAsync();
        foreach (int length in (int[])[size, size + 1024, size + 200_000])
        {
            string answer = await RawHttp.ExchangeAsync(log.Url, Chunked(log.Url, path, Bytes(length), 8192));
            Assert.Equal(413, RawHttp.StatusOf(answer));
            Assert.Contains("urn:transparency-log:problem:too-large", answer);
        }

        await log.CheckLog(0);
    }

    [Theory]
    [InlineData("/add", 65_536)]
    [InlineData("/add", 31_000_000)]
    [InlineData("/add", 9_000_000_000_000_000_000)]
    [InlineData("/add-batch", 2_097_153)]
    [InlineData("/add-batch", 31_000_000)]
    public async Task H04_an_announced_length_over_the_limit_is_413_before_a_byte_of_it_came(string path, long length)
    {
        await using TestLog log = await TestLog.StartAsync();
        string answer = await RawHttp.ExchangeAsync(log.Url, $"POST {path} HTTP/1.1\r\nHost: {log.Url.Authority}\r\nContent-Length: {length}\r\n\r\n");
        Assert.Equal(413, RawHttp.StatusOf(answer));
        Assert.Contains("urn:transparency-log:problem:too-large", answer);
    }

    [Fact]
    public async Task Waiting_for_published_gives_a_proof_that_verifies_for_the_entry()
    {
        await using TestLog log = await TestLog.StartAsync();
        for (int i = 0; i < 5; i++)
        {
            byte[] entry = Bytes(10 + i);
            using HttpResponseMessage answer = await log.Http.PostAsync("/add?wait=published", new ByteArrayContent(entry));
            Assert.Equal("text/plain; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
            TlogProof proof = TestLog.ParseProof(await answer.Content.ReadAsStringAsync());
            Checkpoint checkpoint = log.Check.Open(proof.Checkpoint.ToArray());
            Assert.Equal(i, proof.Index);
            Assert.True(MerkleProof.VerifyInclusion(new Hash(Rfc6962.Leaf(entry)), i, checkpoint.Size, [.. proof.Hashes], checkpoint.Root));
        }

        await log.CheckLog(5);
    }

    [Fact]
    public async Task Waiting_for_witnessed_where_nobody_is_asked_is_400()
    {
        await using TestLog log = await TestLog.StartAsync();
        (HttpStatusCode status, string text) = await log.PostAsync("/add?wait=witnessed", [1]);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("quorum none", text);
        await log.CheckLog(0);
    }

    [Theory]
    [InlineData("wait=")]
    [InlineData("wait=Durable")]
    [InlineData("wait=durable&wait=durable")]
    [InlineData("wait=durable&x=1")]
    [InlineData("Wait=durable")]
    [InlineData("x")]
    public async Task Any_other_query_is_400_and_nothing_is_appended(string query)
    {
        await using TestLog log = await TestLog.StartAsync();
        Assert.Equal(HttpStatusCode.BadRequest, (await log.PostAsync("/add?" + query, [1])).Status);
        await log.CheckLog(0);
    }

    [Fact]
    public async Task C07_a_thousand_parallel_equal_entries_get_one_index()
    {
        await using TestLog log = await TestLog.StartAsync();
        byte[] entry = Bytes(100);
        long[] indexes = await Task.WhenAll(Enumerable.Range(0, 1000).Select(_ => log.AddAsync(entry)));
        Assert.Equal([0L], indexes.Distinct());
        await log.CheckLog(1);
    }

    [Fact]
    public async Task A_body_that_ends_early_changes_nothing()
    {
        await using TestLog log = await TestLog.StartAsync();
        using (System.Net.Sockets.TcpClient client = new())
        {
            await client.ConnectAsync(IPAddress.Loopback, log.Url.Port);
            await client.GetStream().WriteAsync(Encoding.ASCII.GetBytes($"POST /add HTTP/1.1\r\nHost: {log.Url.Authority}\r\nContent-Length: 10\r\n\r\nhalf"));
            client.LingerState = new System.Net.Sockets.LingerOption(true, 0);
        }

        Assert.Equal(0, await log.AddAsync("whole"));
        await log.CheckLog(1);
    }

    internal static byte[] Bytes(int length)
    {
        byte[] bytes = new byte[length];
        new Random(length).NextBytes(bytes);
        return bytes;
    }

    private static string Chunked(Uri server, string path, byte[] body, int piece)
    {
        StringBuilder request = new($"POST {path} HTTP/1.1\r\nHost: {server.Authority}\r\nConnection: close\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int offset = 0; offset < body.Length; offset += piece)
        {
            int length = Math.Min(piece, body.Length - offset);
            request.Append($"{length:x}\r\n").Append(Encoding.Latin1.GetString(body, offset, length)).Append("\r\n");
        }

        return request.Append("0\r\n\r\n").ToString();
    }
}
