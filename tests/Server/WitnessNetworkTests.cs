using Microsoft.AspNetCore.Http;
using TransparencyLog.Client;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

/// <summary>
/// Three witnesses a, b, c with an Ed25519 and an ML-DSA-44 key each, of which two have to cosign, and an optional one, d: publication goes on whatever one of each kind does.
/// </summary>
public sealed class WitnessNetworkTests
{
    private const string Quorum = "group a2 any a a-1\ngroup b2 any b b-1\ngroup c2 any c c-1\ngroup g 2 a2 b2 c2\nquorum g\n";

    public static TheoryData<string> Bad =>
    [
        "hangs", "is dead", "drips", "answers 429", "answers 100,000 lines", "answers lines of others",
        .. HostileWitnessTests.BadLines.Keys.Select(what => $"answers {what}"),
        .. Conflicts.Select(size => $"answers 409 {size}"),
        .. Redirects.Select(target => $"redirects to {target}"),
        .. Statuses.Select(status => $"answers {status}"),
    ];

    private static string[] Conflicts => ["", "-1\n", "01\n", "18446744073709551616\n", "0\n", "<html></html>"];

    private static string[] Redirects => ["http://127.0.0.1:1/add-checkpoint", "file:///etc/passwd", "http://169.254.169.254/"];

    private static int[] Statuses => [204, 400, 403, 404, 422, 500, 503];

    [Fact]
    public async Task Checkpoints_carry_both_lines_of_each_and_one_request_asks_for_both()
    {
        await using WitnessedLog witnessed = await StartAsync();
        for (int i = 1; i <= 10; i++)
        {
            await witnessed.Log.AddAsync($"{i}", "witnessed");
            await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await witnessed.Log.CheckLog(i)) is ["a", "a-1", "b", "b-1", "c", "c-1", "d", "d-1"], "all lines are public");
        }

        Assert.All(Enumerable.Range(0, 4), i => Assert.Equal(10 + 1, witnessed[i].RequestCount));
    }

    [Theory]
    [MemberData(nameof(Bad))]
    public async Task G01_G02_G03_G04_G05_G08_G09_publication_goes_on_beside_one_that(string what)
    {
        await using WitnessedLog witnessed = await StartAsync();
        TestLog log = witnessed.Log;
        foreach (int i in (int[])[2, 3])
        {
            if (what == "is dead") await witnessed[i].StopAsync();
            else witnessed[i].Behave = BehaviourOf(what, witnessed, i);
        }

        int[] asked = [witnessed[2].RequestCount, witnessed[3].RequestCount];
        for (int i = 0; i < 4; i++) await log.AddAsync($"{i}", "witnessed");
        Assert.Equal(["a", "a-1", "b", "b-1"], witnessed.WhoCosigned(await log.CheckLog(4)));
        foreach (int i in (int[])[2, 3])
        {
            await Eventually.TrueAsync(() => log.Engine.Publisher.Peers[i].Feed.State.Requests.Sum() > 1, "it was asked");
            if (what != "is dead") Assert.True(witnessed[i].RequestCount > asked[i - 2]);
            if (what != "answers 409 0\n") Assert.NotNull(log.Engine.Publisher.Peers[i].Feed.State.Trouble);
        }

        Assert.Equal(EngineState.Ready, log.Engine.State);
        Assert.Equal(["a", "a-1", "b", "b-1"], witnessed.WhoCosigned(await log.CheckLog(4)));
    }

    private static async Task<WitnessedLog> StartAsync()
    {
        WitnessedLog witnessed = await WitnessedLog.CreateAsync(4, postQuantum: true);
        await witnessed.ServeAsync(Quorum, settings => settings with { WitnessTimeout = TimeSpan.FromSeconds(1) });
        await witnessed.ReadyAsync();
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await witnessed.Log.CheckLog(0)).Count == 8, "all know the empty log");
        return witnessed;
    }

    private static Func<HttpContext, byte[], Task> BehaviourOf(string what, WitnessedLog witnessed, int self)
    {
        StubWitness witness = witnessed[self];
        switch (what)
        {
            case "hangs":
                return StubWitness.HangAsync;
            case "drips":
                return async (context, _) =>
                {
                    while (true)
                    {
                        await context.Response.Body.WriteAsync("x"u8.ToArray(), context.RequestAborted);
                        await context.Response.Body.FlushAsync(context.RequestAborted);
                        await Task.Delay(100, context.RequestAborted);
                    }
                };
            case "answers 429":
                return (context, _) =>
                {
                    context.Response.Headers.RetryAfter = "30";
                    context.Response.StatusCode = 429;
                    return Task.CompletedTask;
                };
            case "answers 100,000 lines":
                return async (context, body) =>
                {
                    byte[] lines = AddCheckpointResponse.ToBytes(witness.Honest.Cosign(StubWitness.TextOf(body).Span));
                    for (int i = 0; i < 50_000; i++) await context.Response.Body.WriteAsync(lines, context.RequestAborted);
                };
            case "answers lines of others":
                return (context, body) => StubWitness.SayAsync(context, 200, AddCheckpointResponse.ToBytes(witnessed[0].Honest.Cosign(StubWitness.TextOf(body).Span)));
        }

        if (what.StartsWith("redirects to ", StringComparison.Ordinal))
        {
            return (context, _) =>
            {
                context.Response.StatusCode = 307;
                context.Response.Headers.Location = what["redirects to ".Length..];
                return Task.CompletedTask;
            };
        }

        string answer = what["answers ".Length..];
        if (HostileWitnessTests.BadLines.TryGetValue(answer, out Func<TransparencyLog.ICosigner, byte[], INoteSigner, string>? bad))
        {
            return (context, body) => StubWitness.SayAsync(context, 200, System.Text.Encoding.UTF8.GetBytes(bad(witness.Cosigners[0], StubWitness.TextOf(body).ToArray(), witnessed.Log.Signer)));
        }

        return answer.StartsWith("409 ", StringComparison.Ordinal)
            ? StubWitness.Says(409, answer[4..])
            : StubWitness.Says(int.Parse(answer, System.Globalization.CultureInfo.InvariantCulture), "");
    }
}
