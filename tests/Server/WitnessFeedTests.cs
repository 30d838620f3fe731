using TransparencyLog.Client;
using TransparencyLog.Server;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

public sealed class WitnessFeedTests
{
    [Fact]
    public async Task A_renewal_of_an_older_head_neither_replaces_nor_follows_a_newer_one()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        NoteSigner signer = new("example.com/log", key);
        await using StubWitness witness = await StubWitness.StartAsync(signer.Key, "example.com/witness");
        TaskCompletionSource first = new();
        witness.Behave = async (context, body) =>
        {
            await first.Task;
            await witness.HonestlyAsync(context, body);
        };
        GrownLog tree = new(30, signer);
        List<WitnessEvent> events = [];
        using WitnessClient client = new(witness.Url.ToString(), [Verifiers.TryCreate(witness.Cosigners[0].Key)!], new WitnessClientOptions { AttemptTimeout = TimeSpan.FromSeconds(20) });
        WitnessFeed feed = new(client, new WitnessFeedOptions(), (from, head, _) => ValueTask.FromResult(tree.Prove(from, head.Size)), new OwnWords([], () => null, (_, _, _) => throw new InvalidOperationException("nobody contradicts")), () => 30, one => { lock (events) events.Add(one); });
        using CancellationTokenSource stop = new();
        Task running = feed.RunAsync(stop.Token);

        feed.Submit(tree.HeadAt(10));
        await Eventually.TrueAsync(() => witness.RequestCount == 1, "10 is asked for");
        feed.Submit(tree.HeadAt(30));
        feed.Submit(tree.HeadAt(20));
        first.SetResult();
        await Eventually.TrueAsync(() => witness.Honest.Size == 30, "30 is cosigned");
        feed.Submit(tree.HeadAt(20));
        feed.Submit(tree.HeadAt(30));
        await Eventually.TrueAsync(
            () =>
            {
                lock (events) return events.OfType<WitnessEvent.Cosigned>().Count(one => one.Checkpoint.Size == 30) == 2;
            },
            "30 is renewed");
        Assert.False(running.IsCompleted);
        lock (events) Assert.DoesNotContain(20L, events.OfType<WitnessEvent.Cosigned>().Select(one => one.Checkpoint.Size));
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => running);
    }

    [Fact]
    public async Task G06_a_409_with_a_smaller_size_gets_the_proof_from_there()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        for (int i = 0; i < 10; i++) await witnessed.Log.AddAsync($"{i}", "published");
        int asked = witnessed[0].RequestCount;

        // The witness has forgotten everything after the first restart, and then everything at all.
        foreach (bool lost in (bool[])[false, true])
        {
            if (lost) witnessed[0].Honest.Size = 0;
            await witnessed.RestartAsync();
            await witnessed.ReadyAsync();
            await witnessed.Log.CheckLog(10);
            IReadOnlyList<AddCheckpointRequest> requests = [.. witnessed[0].Requests.Skip(asked)];
            long[] expected = lost ? [10L, 0] : [10L];
            Assert.Equal(expected, requests.Select(request => request.OldSize));
            asked += requests.Count;
        }

        await witnessed.Log.AddAsync("more", "published");
        Assert.Equal(10, witnessed[0].Requests[^1].OldSize);
        await witnessed.Log.CheckLog(11);
    }

    [Fact]
    public async Task G06_a_witness_that_another_feeder_brought_to_an_older_head_of_ours_is_proved_forward()
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(2);
        await witnessed.ServeAsync("quorum a\n");
        await witnessed.ReadyAsync();
        witnessed[1].Behave = StubWitness.Says(500, "");
        for (int i = 0; i < 5; i++) await witnessed.Log.AddAsync($"{i}", "published");
        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await witnessed.Log.AddAsync("last", "published");
        await Eventually.TrueAsync(() => witnessed[1].Honest.Size == 6, "b follows");
        Assert.All(witnessed[1].Requests, request => Assert.True(request.OldSize <= 6));
    }

    [Theory]
    [InlineData("")]
    [InlineData("-1\n")]
    [InlineData("01\n")]
    [InlineData("1")]
    [InlineData(" 1\n")]
    [InlineData("1\n\n")]
    [InlineData("18446744073709551616\n")]
    [InlineData("9223372036854775808\n")]
    [InlineData("<html><body>conflict</body></html>")]
    public async Task G08_a_409_without_a_size_is_an_error_of_the_witness_no_loop_and_no_halt(string answer)
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n");
        await Eventually.TrueAsync(() => witnessed[1].RequestCount > 0, "b was asked");
        int before = witnessed[1].RequestCount;
        witnessed[1].Behave = StubWitness.Says(409, answer);
        await witnessed.Log.AddAsync("one", "published");
        await witnessed.Log.Logged.WaitAsync(4, "409 without a tree size");
        Assert.InRange(witnessed[1].RequestCount - before, 1, 2);
        await witnessed.Log.AddAsync("two", "published");
        Assert.Equal(EngineState.Ready, witnessed.Log.Engine.State);
        await witnessed.Log.CheckLog(2);
    }

    [Fact]
    public async Task G08_a_409_that_goes_back_and_forth_ends_after_three()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n");
        for (int i = 0; i < 9; i++) await witnessed.Log.AddAsync($"{i}", "published");
        int size = 0;
        witnessed[1].Behave = (context, _) => StubWitness.SayAsync(context, 409, System.Text.Encoding.ASCII.GetBytes($"{++size % 7}\n"));
        await witnessed.Log.AddAsync("last", "published");
        await witnessed.Log.Logged.WaitAsync(4, "3 conflicts in a row");
        Assert.Equal(EngineState.Ready, witnessed.Log.Engine.State);
        await witnessed.Log.CheckLog(10);
    }
}
