using System.Net;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The checker is not blind: each kind of lie between it and a sound log is found, by its name.</summary>
public sealed class FullCheckTests
{
    [Fact]
    public async Task What_is_lost_forked_or_shrunk_is_found()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["one"], "--journal-file-bytes", "4194304");
        Scratch.Copy(scratch["one"], scratch["two"]); // the same key
        await using RunningProgram first = Programs.Serve(scratch["one"]), second = Programs.Serve(scratch["two"]);
        using LogClient one = new(await first.ListeningAsync()), two = new(await second.ListeningAsync());
        await one.AddBatchAsync([[1], [2], [3]]);
        await two.AddBatchAsync([[1], [7]]);
        Assert.Equal(3, await new FullCheck(vkey).RunAsync(one, [new(1, [2])]));
        Assert.True(await two.WaitPublishedAsync(2));

        await FailsAsync("LOST", new FullCheck(vkey), one, new KeyValuePair<long, byte[]>(1, [7]));
        await FailsAsync("LOST", new FullCheck(vkey), two, new KeyValuePair<long, byte[]>(2, [3]));
        FullCheck sawTwo = new(vkey), sawOne = new(vkey);
        sawTwo.Saw(await two.GetAsync("checkpoint"));
        await FailsAsync("FORKED", sawTwo, one);
        sawOne.Saw(await one.GetAsync("checkpoint"));
        await FailsAsync("SHRUNK", sawOne, two);
        await FailsAsync("UNSIGNED", new FullCheck(await Programs.CreateLogAsync(scratch["three"])), one);
    }

    [Theory]
    [InlineData("/checkpoint", 40, "UNSIGNED")]
    [InlineData("/tile/entries/000", 600, "WRONG")]
    [InlineData("/tile/entries/001.p/44", 3, "WRONG")]
    [InlineData("/tile/0/000", 8191, "WRONG")]
    [InlineData("/tile/0/001.p/44", 0, "WRONG")]
    [InlineData("/tile/1/000.p/1", 31, "WRONG")]
    public async Task One_flipped_bit_in_anything_served_is_found(string path, int at, string word)
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram server = Programs.Serve(scratch["log"]);
        Uri url = await server.ListeningAsync();
        using LogClient client = new(url);
        await client.AddBatchAsync([.. Enumerable.Range(0, 300).Select(i => new byte[] { 9, (byte)(i >> 8), (byte)i })]);
        Assert.Equal(300, await new FullCheck(vkey).RunAsync(client, [new(299, [9, 1, 43])]));

        (HttpListener between, string address) = Ports.Listen();
        using HttpListener closed = between;
        Task serving = FlipAsync(between, client, path, at);
        using LogClient through = new(new Uri($"{address}/"));
        await FailsAsync(word, new FullCheck(vkey), through);
        between.Stop();
        await serving;
    }

    private static async Task FailsAsync(string word, FullCheck check, LogClient client, params KeyValuePair<long, byte[]>[] promised)
    {
        CheckFailedException failure = await Assert.ThrowsAsync<CheckFailedException>(() => check.RunAsync(client, promised));
        Assert.StartsWith(word, failure.Message, StringComparison.Ordinal);
    }

    private static async Task FlipAsync(HttpListener between, LogClient log, string path, int at)
    {
        while (between.IsListening)
        {
            HttpListenerContext context;
            try
            {
                context = await between.GetContextAsync();
            }
            catch (Exception stopped) when (stopped is HttpListenerException or ObjectDisposedException)
            {
                return;
            }

            string asked = context.Request.Url!.AbsolutePath;
            byte[] body = await log.GetAsync(asked[1..]);
            if (asked == path) body[at] ^= 1;
            await context.Response.OutputStream.WriteAsync(body);
            context.Response.Close();
        }
    }
}
