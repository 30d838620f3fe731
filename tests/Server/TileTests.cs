using System.Buffers.Binary;
using System.Net;
using System.Text.Json;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

public sealed class TileTests
{
    [Fact]
    public async Task L03_L04_the_paths_that_are_no_tiles_are_404_over_the_wire()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.AddBatchAsync(Entries(0, 300));
        await log.CheckLog(300);
        using JsonDocument vectors = JsonDocument.Parse(await File.ReadAllBytesAsync(Path.Combine(Repository.Root, "tests/vectors/tiles/paths.json")));
        int count = 0;
        foreach (JsonElement path in vectors.RootElement.GetProperty("invalid").EnumerateArray())
        {
            foreach (string target in (string[])[path.GetString()!, path.GetString()!.Replace("tile/0/", "tile/entries/")])
            {
                if (target.AsSpan().ContainsAny(" \r\n\t")) continue;
                await NotFoundAsync(log, "/" + target);
                count++;
            }
        }

        Assert.True(count >= 40, $"{count} paths");
        foreach (JsonElement path in vectors.RootElement.GetProperty("valid").EnumerateArray())
        {
            string target = path.GetProperty("path").GetString()!;
            (int status, _) = await RawHttp.SendAsync(log.Url, "GET", "/" + target);
            Assert.Equal(target is "tile/0/000" or "tile/0/000.p/255" ? 200 : 404, status);
        }
    }

    [Theory]
    [InlineData("/tile/%30/000")]
    [InlineData("/tile/0/00%30")]
    [InlineData("/tile/0/000/")]
    [InlineData("/tile/0/0?")]
    [InlineData("/tile/0?x=/000")]
    [InlineData("/tile/0/000#x")]
    [InlineData("//tile/0/000")]
    [InlineData("/tile//0/000")]
    [InlineData("/./tile/0/000")]
    [InlineData("/tile/0/../0/000")]
    [InlineData("/tile/0/%2e%2e/0/000")]
    [InlineData("/tile/0%2f000")]
    [InlineData("/tile\\0\\000")]
    [InlineData("/TILE/0/000")]
    [InlineData("/tile/ENTRIES/000")]
    [InlineData("/tile/0/000.P/1")]
    [InlineData("/tile/+0/000")]
    [InlineData("/tile/00/000")]
    [InlineData("/tile/0/x000/000")]
    [InlineData("/tile/0/0000")]
    [InlineData("/tile/0/000.p/0")]
    [InlineData("/tile/0/000.p/01")]
    [InlineData("/tile/0/000.p/256")]
    [InlineData("/tile/0/000.p/255/")]
    [InlineData("/tile/0/000.p/255/x")]
    [InlineData("/tile/64/000")]
    [InlineData("/tile/-1/000")]
    [InlineData("/tile/63/000")]
    [InlineData("/tile/8/000")]
    [InlineData("/tile/0/x009/x223/x372/x036/x854/x775/807")]
    [InlineData("/tile/0/x009/x223/x372/x036/x854/x775/808")]
    [InlineData("/tile/0/x018/x446/x744/x073/x709/x551/616")]
    [InlineData("/tile/0/000\0")]
    [InlineData("/tile/0/000%00")]
    [InlineData("/tile/0")]
    [InlineData("/tile/")]
    [InlineData("/tile")]
    [InlineData("/tile/../data/key.pem")]
    [InlineData("/data/key.pem")]
    [InlineData("/Checkpoint")]
    [InlineData("/checkpoint/")]
    [InlineData("/checkpoint/?")]
    [InlineData("/%63heckpoint")]
    [InlineData("//checkpoint")]
    [InlineData("/add/")]
    [InlineData("/ADD")]
    [InlineData("/healthz?x")]
    [InlineData("/index.html")]
    [InlineData("/openapi/v2.json")]
    [InlineData("*")]
    public async Task L01_L02_L05_L10_any_other_spelling_is_404_or_400(string target)
    {
        TestLog log = await SharedLog.GetAsync();
        foreach (string method in (string[])["GET", "HEAD", "POST", "OPTIONS"])
        {
            if (target == "*" && method != "OPTIONS") continue;
            if ((target is "/tile/63/000" or "/tile/8/000" or "/tile/0/x009/x223/x372/x036/x854/x775/807") && method is ("POST" or "OPTIONS")) continue; // tiles of a larger tree: 405
            (int status, string answer) = await RawHttp.SendAsync(log.Url, method, target, method == "POST" ? "Content-Length: 0\r\n" : "");
            Assert.True(status is 404 or 400, $"{method} {target}: {answer}");
        }
    }

    [Theory]
    [InlineData("/checkpoint")]
    [InlineData("/tile/0/000")]
    [InlineData("/tile/entries/000")]
    [InlineData("/tile/0/001.p/1")]
    [InlineData("/entry/3")]
    public async Task N09_a_query_and_an_absolute_target_answer_what_the_path_alone_names(string path)
    {
        TestLog log = await SharedLog.GetAsync();
        byte[] expected = await log.Http.GetByteArrayAsync(path);
        foreach (string query in (string[])["?", "?cachebust=1", "?/../x", "?a=b&c=%00"])
        {
            using HttpResponseMessage answer = await log.Http.GetAsync(path + query);
            Assert.Equal(System.Net.HttpStatusCode.OK, answer.StatusCode);
            Assert.Equal(expected, await answer.Content.ReadAsByteArrayAsync());
        }

        foreach (string target in (string[])[$"{log.Url.GetLeftPart(UriPartial.Authority)}{path}", $"http://other.example{path}?x"])
        {
            (int status, string answer) = await RawHttp.SendAsync(log.Url, "GET", target, "");
            Assert.True(status == 200, $"{target}: {answer}");
        }
    }

    [Fact]
    public async Task L13_every_size_up_to_600_has_exactly_its_tiles()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.CheckLog(0);
        for (int size = 1; size <= 600; size++)
        {
            await log.AddAsync(BitConverter.GetBytes(size), "published");
            bool turn = size % 256 is 255 or 0 or 1 or 2 || size is 2 or 3 or 100 or 600;
            if (turn) await log.CheckLog(size);
            await WidthsAsync(log, size, all: turn);
        }
    }

    [Fact]
    public async Task L13_the_sizes_around_a_second_and_a_third_level_have_their_tiles()
    {
        await using TestLog log = await TestLog.StartAsync();
        int size = 0;
        foreach (int next in (int[])[65_278, 65_279, 65_280, 65_281, 65_534, 65_535, 65_536, 65_537])
        {
            await log.AddBatchAsync(Entries(size, next));
            size = next;
            if (size < 65_534 && size != 65_280) continue;
            await log.CheckLog(size);
            foreach (int level in (int[])[0, 1, 2, 3])
            {
                long hashes = (long)size >> (8 * level);
                (long n, int width) = ((hashes - 1) / 256, (int)((hashes - 1) % 256) + 1);
                if (hashes > 0) Assert.Equal(HttpStatusCode.OK, await log.Check.StatusAsync(LogCheck.PathOf(level, n, width)));
                Assert.Equal(HttpStatusCode.NotFound, await log.Check.StatusAsync(hashes == 0 ? LogCheck.PathOf(level, 0, 1) : width < 256 ? LogCheck.PathOf(level, n, width + 1) : LogCheck.PathOf(level, n + 1, 1)));
            }
        }

        await log.RestartAsync();
        await log.CheckLog(size);
    }

    /// <summary>The newest width of each level and what is just beyond it; with <paramref name="all"/> every width of every tile.</summary>
    private static async Task WidthsAsync(TestLog log, int size, bool all)
    {
        foreach (int level in (int[])[-1, 0, 1, 2])
        {
            int hashes = size >> (8 * Math.Max(0, level));
            for (int n = all ? 0 : Math.Max(0, (hashes - 1) / 256); n <= hashes / 256; n++)
            {
                int width = Math.Min(256, hashes - (n * 256));
                byte[] whole = width == 0 ? [] : await log.Http.GetByteArrayAsync(LogCheck.PathOf(level, n, width));
                for (int w = all ? 1 : Math.Max(1, width); w <= 256; w++)
                {
                    if (!all && w > width + 1 && w is not (255 or 256)) continue;
                    using HttpResponseMessage answer = await log.Http.GetAsync(LogCheck.PathOf(level, n, w));
                    Assert.True((answer.StatusCode == HttpStatusCode.OK) == (w <= width), $"{LogCheck.PathOf(level, n, w)} at size {size}: {answer.StatusCode}");
                    if (w > width) continue;
                    byte[] bytes = await answer.Content.ReadAsByteArrayAsync();
                    int length = level < 0 ? PrefixOf(whole, w) : 32 * w;
                    Assert.True(bytes.AsSpan().SequenceEqual(whole.AsSpan(0, length)), $"{LogCheck.PathOf(level, n, w)} at size {size}");
                }
            }
        }
    }

    private static int PrefixOf(byte[] bundle, int entries)
    {
        int offset = 0;
        for (int i = 0; i < entries; i++) offset += 2 + BinaryPrimitives.ReadUInt16BigEndian(bundle.AsSpan(offset));
        return offset;
    }

    private static byte[][] Entries(int from, int to) => [.. Enumerable.Range(from, to - from).Select(i => BitConverter.GetBytes(i))];

    private static async Task NotFoundAsync(TestLog log, string target)
    {
        (int status, string answer) = await RawHttp.SendAsync(log.Url, "GET", target);
        Assert.True(status is 404, $"{target}: {answer}");
        Assert.Contains("urn:transparency-log:problem:not-found", answer);
    }
}
