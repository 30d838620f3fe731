using System.Net;
using System.Text.Json;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Options;

namespace TransparencyLog.Tests.Server;

public sealed class HttpTests
{
    private static readonly (string Path, string Methods)[] Routes =
    [
        ("/", "GET, HEAD"), ("/add", "POST"), ("/add-batch", "POST"), ("/checkpoint", "GET, HEAD"), ("/tile/0/000", "GET, HEAD"),
        ("/tile/entries/001.p/44", "GET, HEAD"), ("/entry/299", "GET, HEAD"), ("/proof/inclusion?index=0", "GET, HEAD"),
        ("/proof/consistency?from=1", "GET, HEAD"), ("/healthz", "GET, HEAD"), ("/readyz", "GET, HEAD"), ("/status", "GET, HEAD"), ("/metrics", "GET, HEAD"), ("/openapi/v1.json", "GET, HEAD"),
    ];

    public static TheoryData<string> Paths => [.. Routes.Select(route => route.Path)];

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task H08_other_methods_are_405_with_Allow(string path)
    {
        TestLog log = await SharedLog.GetAsync();
        string allowed = Routes.Single(route => route.Path == path).Methods;
        foreach (string method in (string[])["GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "BREW"])
        {
            if (allowed.Split(", ").Contains(method)) continue;
            using HttpRequestMessage request = new(new HttpMethod(method), path);
            using HttpResponseMessage answer = await log.Http.SendAsync(request);
            Assert.True(answer.StatusCode == HttpStatusCode.MethodNotAllowed, $"{method} {path}: {answer.StatusCode}");
            Assert.Equal(allowed, string.Join(", ", answer.Content.Headers.Allow.Order(StringComparer.Ordinal)));
            if (method != "HEAD") await ProblemAsync(answer, "method-not-allowed");
        }
    }

    [Theory]
    [MemberData(nameof(Paths))]
    public async Task H08_HEAD_is_GET_without_a_body(string path)
    {
        if (path.StartsWith("/add", StringComparison.Ordinal)) return;
        TestLog log = await SharedLog.GetAsync();
        using HttpResponseMessage get = await log.Http.GetAsync(path);
        using HttpResponseMessage head = await log.Http.SendAsync(new HttpRequestMessage(HttpMethod.Head, path));
        Assert.Equal(HttpStatusCode.OK, get.StatusCode);
        Assert.Equal((get.StatusCode, get.Content.Headers.ContentType), (head.StatusCode, head.Content.Headers.ContentType));
        if (!path.StartsWith("/openapi", StringComparison.Ordinal) && path != "/metrics") Assert.Equal((await get.Content.ReadAsByteArrayAsync()).Length, head.Content.Headers.ContentLength);
        Assert.Equal(get.Headers.CacheControl?.ToString(), head.Headers.CacheControl?.ToString());
        (int status, string answer) = await RawHttp.SendAsync(log.Url, "HEAD", path);
        Assert.Equal(200, status);
        Assert.EndsWith("\r\n\r\n", answer);
    }

    [Theory]
    [InlineData("/checkpoint", "text/plain; charset=utf-8", "public, max-age=1")]
    [InlineData("/tile/0/000", "application/octet-stream", "public, max-age=31536000, immutable")]
    [InlineData("/tile/0/001.p/44", "application/octet-stream", "public, max-age=31536000, immutable")]
    [InlineData("/tile/1/000.p/1", "application/octet-stream", "public, max-age=31536000, immutable")]
    [InlineData("/tile/entries/000", "application/octet-stream", "public, max-age=31536000, immutable")]
    [InlineData("/entry/0", "application/octet-stream", "public, max-age=31536000, immutable")]
    [InlineData("/tile/0/002.p/1", "application/problem+json", "no-store")]
    [InlineData("/entry/300", "application/problem+json", "no-store")]
    [InlineData("/healthz", "text/plain; charset=utf-8", "no-store")]
    [InlineData("/readyz", "text/plain; charset=utf-8", "no-store")]
    [InlineData("/status", "application/json", "no-store")]
    [InlineData("/metrics", "text/plain; version=0.0.4; charset=utf-8", "no-store")]
    [InlineData("/", "text/html; charset=utf-8", "no-store")]
    public async Task TT02_TT03_TT07_TT12_TT23_L09_content_types_and_caching(string path, string type, string caching)
    {
        TestLog log = await SharedLog.GetAsync();
        (int status, string answer) = await RawHttp.SendAsync(log.Url, "GET", path);
        Assert.Equal(type == "application/problem+json" ? 404 : 200, status);
        Assert.Contains($"\r\nContent-Type: {type}\r\n", answer);
        Assert.Contains($"\r\nCache-Control: {caching}\r\n", answer);
        Assert.Contains("\r\nAccess-Control-Allow-Origin: *\r\n", answer);
        Assert.Contains("\r\nX-Content-Type-Options: nosniff\r\n", answer);
        Assert.DoesNotContain("\r\nServer:", answer);
    }

    [Theory]
    [InlineData("/add")]
    [InlineData("/add-batch")]
    [InlineData("/checkpoint")]
    public async Task H05_a_body_with_a_content_encoding_is_415(string path)
    {
        TestLog log = await SharedLog.GetAsync();
        foreach (string encoding in (string[])["gzip", "br", "identity", "x"])
        {
            using ByteArrayContent content = new([0, 1, 2]);
            content.Headers.TryAddWithoutValidation("Content-Encoding", encoding);
            using HttpResponseMessage answer = await log.Http.PostAsync(path, content);
            Assert.Equal(HttpStatusCode.UnsupportedMediaType, answer.StatusCode);
            await ProblemAsync(answer, "encoded-body");
        }
    }

    [Theory]
    [InlineData("PUT", "/checkpoint")]
    [InlineData("POST", "/nothing")]
    [InlineData("POST", "/add?x=1")]
    [InlineData("POST", "/checkpoint")]
    public async Task A_refusal_of_a_request_whose_body_was_not_read_says_that_the_connection_ends(string method, string path)
    {
        TestLog log = await SharedLog.GetAsync();
        string answer = await RawHttp.ExchangeAsync(log.Url, $"{method} {path} HTTP/1.1\r\nHost: {log.Url.Authority}\r\nContent-Length: 3\r\n\r\nabc");
        Assert.Contains("\r\nConnection: close\r\n", answer);
        answer = await RawHttp.ExchangeAsync(log.Url, $"{method} {path} HTTP/1.1\r\nHost: {log.Url.Authority}\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n");
        Assert.Contains("\r\nConnection: close\r\n", answer);
    }

    [Fact]
    public async Task A_refusal_of_a_body_that_was_read_keeps_the_connection()
    {
        TestLog log = await SharedLog.GetAsync();
        using HttpResponseMessage answer = await log.Http.PostAsync("/add-batch", new ByteArrayContent([0]));
        Assert.Equal(HttpStatusCode.BadRequest, answer.StatusCode);
        Assert.NotEqual(true, answer.Headers.ConnectionClose);
    }

    [Theory]
    [InlineData("GET", "/nothing", 404, "not-found")]
    [InlineData("GET", "/tile/0/999", 404, "not-found")]
    [InlineData("GET", "/entry/300", 404, "not-found")]
    [InlineData("GET", "/entry/01", 404, "not-found")]
    [InlineData("GET", "/proof/inclusion", 400, "bad-request")]
    [InlineData("GET", "/proof/consistency?from=x", 400, "bad-request")]
    [InlineData("GET", "/add", 405, "method-not-allowed")]
    [InlineData("POST", "/add", 400, "bad-request")]
    [InlineData("POST", "/add-batch", 400, "bad-request")]
    public async Task H12_H13_refusals_are_problems_with_a_stable_type_and_echo_nothing(string method, string path, int status, string name)
    {
        TestLog log = await SharedLog.GetAsync();
        using HttpRequestMessage request = new(new HttpMethod(method), path);
        request.Headers.Add("X-Echo", "echo-echo");
        request.Headers.Add("User-Agent", "echo-echo");
        if (method == "POST") request.Content = new ByteArrayContent([]);
        using HttpResponseMessage answer = await log.Http.SendAsync(request);
        Assert.Equal(status, (int)answer.StatusCode);
        await ProblemAsync(answer, name);
        Assert.DoesNotContain("echo-echo", answer.ToString() + await answer.Content.ReadAsStringAsync());
    }

    [Fact]
    public async Task Entries_are_served_by_index()
    {
        TestLog log = await SharedLog.GetAsync();
        foreach (int index in (int[])[0, 1, 255, 256, 299])
        {
            using HttpResponseMessage answer = await log.Http.GetAsync($"/entry/{index}");
            Assert.Equal("application/octet-stream", answer.Content.Headers.ContentType!.ToString());
            Assert.Equal(SharedLog.EntryAt(index), await answer.Content.ReadAsByteArrayAsync());
        }

        foreach (string bad in (string[])["/entry/300", "/entry/-1", "/entry/01", "/entry/", "/entry/1/", "/entry/%31", "/entry/9223372036854775807", "/entry/9223372036854775808", "/entry/+1", "/entry/1x?x", "/entry/a"])
        {
            (int status, _) = await RawHttp.SendAsync(log.Url, "GET", bad);
            Assert.Equal(404, status);
        }
    }

    [Fact]
    public async Task The_API_document_lists_every_resource_and_method()
    {
        TestLog log = await SharedLog.GetAsync();
        using JsonDocument document = JsonDocument.Parse(await log.Http.GetByteArrayAsync("/openapi/v1.json"));
        IEnumerable<string> operations = document.RootElement.GetProperty("paths").EnumerateObject()
            .SelectMany(path => path.Value.EnumerateObject().Select(operation => $"{operation.Name} {path.Name}"));
        Assert.Equal(
            [
                "get /checkpoint", "get /entry/{index}", "get /healthz", "get /index/{hash}", "get /metrics", "get /proof/consistency", "get /proof/inclusion", "get /readyz", "get /status", "get /tile/{path}",
                "head /checkpoint", "head /entry/{index}", "head /healthz", "head /index/{hash}", "head /metrics", "head /proof/consistency", "head /proof/inclusion", "head /readyz", "head /status", "head /tile/{path}",
                "post /add", "post /add-batch",
            ],
            operations.Order(StringComparer.Ordinal));
        foreach (string parameter in (string[])["wait", "index", "size", "from", "to", "path", "hash"]) Assert.Contains($"\"name\": \"{parameter}\"", document.RootElement.GetRawText());
    }

    [Fact]
    public async Task Health_says_the_sizes_and_readiness()
    {
        TestLog log = await SharedLog.GetAsync();
        foreach (string path in (string[])["/healthz", "/readyz"])
        {
            (HttpStatusCode status, string text) = await log.GetAsync(path);
            Assert.Equal((HttpStatusCode.OK, "ready\ndurable 300\nsigned 300\npublished 300\nscrub off\n"), (status, text));
        }
    }

    [Fact]
    public async Task Section_4_6_the_limits_of_connections_headers_and_bodies_are_set()
    {
        TestLog log = await SharedLog.GetAsync();
        KestrelServerOptions options = log.App.Services.GetRequiredService<IOptions<KestrelServerOptions>>().Value;
        KestrelServerLimits limits = options.Limits;
        Assert.False(options.AddServerHeader);
        Assert.InRange(limits.MaxConcurrentConnections!.Value, 8, 4096);
        Assert.Equal(
            (TimeSpan.FromSeconds(10), TimeSpan.FromSeconds(60), 0L, 16 * 1024, 4 * 1024, 100),
            (limits.RequestHeadersTimeout, limits.KeepAliveTimeout, limits.MaxRequestBodySize, limits.MaxRequestHeadersTotalSize, limits.MaxRequestLineSize, limits.Http2.MaxStreamsPerConnection));
        Assert.Equal((240.0, TimeSpan.FromSeconds(5)), (limits.MinRequestBodyDataRate!.BytesPerSecond, limits.MinRequestBodyDataRate.GracePeriod));

        (int status, _) = await RawHttp.SendAsync(log.Url, "GET", "/" + new string('a', 5000));
        Assert.Equal(414, status);
        (status, _) = await RawHttp.SendAsync(log.Url, "GET", "/checkpoint", $"X: {new string('a', 17_000)}\r\n");
        Assert.Equal(431, status);
    }

    private static async Task ProblemAsync(HttpResponseMessage answer, string name)
    {
        Assert.Equal("application/problem+json", answer.Content.Headers.ContentType!.ToString());
        string text = await answer.Content.ReadAsStringAsync();
        using JsonDocument problem = JsonDocument.Parse(text);
        Assert.Equal($"urn:transparency-log:problem:{name}", problem.RootElement.GetProperty("type").GetString());
        Assert.Equal((int)answer.StatusCode, problem.RootElement.GetProperty("status").GetInt32());
        Assert.NotEmpty(problem.RootElement.GetProperty("title").GetString()!);
        Assert.NotEmpty(problem.RootElement.GetProperty("detail").GetString()!);
        Assert.DoesNotContain("Exception", text);
        Assert.DoesNotContain("   at ", text);
        Assert.DoesNotContain("/tmp", text);
    }
}
