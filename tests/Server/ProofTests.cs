using System.Net;
using System.Text.Json;

namespace TransparencyLog.Tests.Server;

public sealed class ProofTests
{
    private const int Size = 40;

    [Fact]
    public async Task Every_inclusion_proof_of_every_size_verifies()
    {
        await using TestLog log = await StartAsync();
        List<byte[]> leaves = log.Check.Leaves;
        for (int size = 1; size <= Size; size++)
        {
            Hash root = new(Rfc6962.Root(leaves, 0, size));
            for (int index = 0; index < size; index++)
            {
                string text = await log.Http.GetStringAsync($"/proof/inclusion?index={index}&size={size}");
                Hash[] proof = size == Size ? [.. TestLog.ParseProof(text).Hashes] : [.. LogCheck.Lines(text).Select(LogCheck.ParseHash)];
                Assert.True(MerkleProof.VerifyInclusion(new Hash(leaves[index]), index, size, proof, root), $"{index} of {size}");
            }
        }
    }

    [Fact]
    public async Task Every_consistency_proof_verifies()
    {
        await using TestLog log = await StartAsync();
        List<byte[]> leaves = log.Check.Leaves;
        for (int to = 0; to <= Size; to++)
        {
            for (int from = 0; from <= to; from++)
            {
                string text = await log.Http.GetStringAsync($"/proof/consistency?from={from}&to={to}");
                Hash[] proof = [.. LogCheck.Lines(text).Select(LogCheck.ParseHash)];
                Assert.True(MerkleProof.VerifyConsistency(from, to, new Hash(Rfc6962.Root(leaves, 0, from)), new Hash(Rfc6962.Root(leaves, 0, to)), proof), $"{from} to {to}");
                if (from == 0 || from == to) Assert.Empty(text);
            }
        }
    }

    [Fact]
    public async Task Proofs_over_sealed_and_open_tiles_verify()
    {
        TestLog log = await SharedLog.GetAsync();
        List<byte[]> leaves = log.Check.Leaves;
        foreach (int size in (int[])[1, 255, 256, 257, 299, 300])
        {
            Hash root = new(Rfc6962.Root(leaves, 0, size));
            foreach (int index in ((int[])[0, 1, 254, 255, 256, 298, 299]).Where(index => index < size))
            {
                string text = await log.Http.GetStringAsync($"/proof/inclusion?index={index}&size={size}");
                Hash[] proof = size == 300 ? [.. TestLog.ParseProof(text).Hashes] : [.. LogCheck.Lines(text).Select(LogCheck.ParseHash)];
                Assert.True(MerkleProof.VerifyInclusion(new Hash(leaves[index]), index, size, proof, root), $"{index} of {size}");
                string lines = await log.Http.GetStringAsync($"/proof/consistency?from={index + 1}&to={size}");
                Assert.True(MerkleProof.VerifyConsistency(index + 1, size, new Hash(Rfc6962.Root(leaves, 0, index + 1)), root, [.. LogCheck.Lines(lines).Select(LogCheck.ParseHash)]), $"{index + 1} to {size}");
            }
        }
    }

    [Fact]
    public async Task Sizes_that_are_left_out_are_the_published_one()
    {
        TestLog log = await SharedLog.GetAsync();
        string checkpoint = (await log.GetAsync("/checkpoint")).Text;
        TlogProof proof = TestLog.ParseProof(await log.Http.GetStringAsync("/proof/inclusion?index=7"));
        Assert.Equal((7L, checkpoint), (proof.Index, System.Text.Encoding.UTF8.GetString(proof.Checkpoint.Span)));
        Assert.Equal(await log.Http.GetStringAsync("/proof/consistency?from=7&to=300"), await log.Http.GetStringAsync("/proof/consistency?from=7"));
    }

    [Theory]
    [InlineData("/proof/inclusion?index=300")]
    [InlineData("/proof/inclusion?index=0&size=301")]
    [InlineData("/proof/inclusion?index=0&size=0")]
    [InlineData("/proof/inclusion?index=7&size=7")]
    [InlineData("/proof/inclusion?index=9223372036854775807&size=9223372036854775807")]
    [InlineData("/proof/consistency?from=0&to=301")]
    [InlineData("/proof/consistency?from=301")]
    [InlineData("/proof/consistency?from=8&to=7")]
    public async Task A_range_beyond_the_published_tree_is_400_and_names_its_size(string path)
    {
        TestLog log = await SharedLog.GetAsync();
        (HttpStatusCode status, string text) = await log.GetAsync(path);
        Assert.Equal(HttpStatusCode.BadRequest, status);
        Assert.Contains("300", text);
    }

    [Theory]
    [InlineData("/proof/inclusion")]
    [InlineData("/proof/inclusion?")]
    [InlineData("/proof/inclusion?index=")]
    [InlineData("/proof/inclusion?index=01")]
    [InlineData("/proof/inclusion?index=-1")]
    [InlineData("/proof/inclusion?index=%2B1")]
    [InlineData("/proof/inclusion?index=1%20")]
    [InlineData("/proof/inclusion?index=1&index=1")]
    [InlineData("/proof/inclusion?index=1&size=2&size=2")]
    [InlineData("/proof/inclusion?index=1&x=1")]
    [InlineData("/proof/inclusion?index=9223372036854775808")]
    [InlineData("/proof/inclusion?size=1")]
    [InlineData("/proof/consistency")]
    [InlineData("/proof/consistency?to=1")]
    [InlineData("/proof/consistency?from=1&to=")]
    [InlineData("/proof/consistency?from=1&to=2&x")]
    [InlineData("/proof/consistency?from=1&to=2&")]
    [InlineData("/proof/consistency?from=1&&to=2")]
    [InlineData("/proof/consistency?from=1?to=2")]
    [InlineData("/proof/inclusion?Index=1")]
    [InlineData("/proof/inclusion?index==1")]
    [InlineData("/proof/inclusion?index=1&size=1=1")]
    [InlineData("/proof/inclusion?index=11111111111111111111111111111111111111111111111111111111111111111111111111111111111111111")]
    public async Task Any_other_query_is_400(string path)
    {
        TestLog log = await SharedLog.GetAsync();
        Assert.Equal(HttpStatusCode.BadRequest, await log.Check.StatusAsync(path));
    }

    [Theory]
    [InlineData("/proof/inclusion?index=%31")]
    [InlineData("/proof/inclusion?%69ndex=1")]
    [InlineData("/proof/consistency?from=1%26to=2")]
    [InlineData("/proof/inclusion?index=+1")]
    public async Task A_query_is_read_as_it_is_spelled(string target)
    {
        TestLog log = await SharedLog.GetAsync();
        (int status, string answer) = await RawHttp.SendAsync(log.Url, "GET", target);
        Assert.True(status == 400, answer);
    }

    [Fact]
    public async Task JSON_comes_on_Accept_exactly_as_documented()
    {
        TestLog log = await SharedLog.GetAsync();
        foreach ((string path, string start) in ((string, string)[])
        [
            ("/proof/inclusion?index=7", "{\"index\":7,\"size\":300,\"hashes\":["),
            ("/proof/inclusion?index=7&size=9", "{\"index\":7,\"size\":9,\"hashes\":["),
            ("/proof/consistency?from=7&to=9", "{\"from\":7,\"to\":9,\"hashes\":["),
            ("/proof/consistency?from=9&to=9", "{\"from\":9,\"to\":9,\"hashes\":["),
        ])
        {
            using HttpRequestMessage request = new(HttpMethod.Get, path);
            request.Headers.Add("Accept", "application/json");
            using HttpResponseMessage answer = await log.Http.SendAsync(request);
            Assert.Equal("application/json", answer.Content.Headers.ContentType!.ToString());
            string text = await answer.Content.ReadAsStringAsync();
            Assert.StartsWith(start, text);
            string plain = await log.Http.GetStringAsync(path);
            IEnumerable<Hash> hashes = plain.StartsWith("c2sp", StringComparison.Ordinal) ? TestLog.ParseProof(plain).Hashes : LogCheck.Lines(plain).Select(LogCheck.ParseHash);
            Assert.Equal($"{start}{string.Join(",", hashes.Select(hash => $"\"{hash.ToBase64()}\""))}]}}", text);
            using JsonDocument parsed = JsonDocument.Parse(text);
            Assert.Equal(3, parsed.RootElement.EnumerateObject().Count());
        }
    }

    [Theory]
    [InlineData("/proof/inclusion?index=7")]
    [InlineData("/proof/inclusion?index=7&size=9")]
    [InlineData("/proof/consistency?from=7&to=9")]
    public async Task L10_what_depends_on_Accept_says_so(string path)
    {
        TestLog log = await SharedLog.GetAsync();
        using HttpResponseMessage answer = await log.Http.GetAsync(path);
        Assert.Equal("text/plain; charset=utf-8", answer.Content.Headers.ContentType!.ToString());
        Assert.Equal("Accept", answer.Headers.Vary.ToString());
    }

    private static async Task<TestLog> StartAsync()
    {
        TestLog log = await TestLog.StartAsync();
        await log.AddBatchAsync([.. Enumerable.Range(0, Size).Select(i => BitConverter.GetBytes(i))]);
        await log.CheckLog(Size);
        return log;
    }
}
