using System.Collections.Concurrent;

namespace TransparencyLog.Tests.Witness;

/// <summary>W-01, TW-39: one lock from the comparison to the store, for each origin.</summary>
public sealed class RaceTests
{
    [Fact]
    public async Task TW39_W01_a_request_waits_for_the_one_between_its_check_and_its_store()
    {
        TestLog log = new("example.com/race");
        await using TestWitness witness = await TestWitness.StartAsync(log);
        await witness.CosignAsync(log, 0, 5);

        // The race of the specification: A with N and B with N+K, both consistent with what is stored now.
        HeldJournal.Hold hold = witness.Journal.HoldBefore();
        Task<Answer> first = witness.PostAsync(log.Request(5, 9));
        await hold.Reached;
        Task<Answer> second = witness.PostAsync(log.Request(5, 20));
        Task<Answer> third = witness.PostAsync(log.Fork(7).Request(5, 30));
        // Nobody else is kept waiting by them: another request of the same origin that needs no state is answered.
        Assert.Equal(400, (await witness.PostAsync(TestLog.Body(9, [], log.Checkpoint(5)))).Status);
        Assert.False(second.IsCompleted);
        Assert.False(third.IsCompleted);
        hold.Release();
        witness.CheckCosigned(await first, log.Text(9));
        TestWitness.CheckConflict(await second, 9);
        TestWitness.CheckConflict(await third, 9);
        await witness.CheckStateAsync(log, 9);
        await witness.CosignAsync(log, 9, 20);
    }

    [Fact]
    public async Task W01_of_two_branches_at_once_exactly_one_is_cosigned()
    {
        const int Seed = 20260722, Origins = 128, Rounds = 24;
        TestLog[] logs = [.. Enumerable.Range(0, Origins).Select(i => new TestLog($"example.com/race{i}", 1))];
        await using TestWitness witness = await TestWitness.StartAsync(logs);
        ConcurrentBag<int> winners = [];
        await Parallel.ForAsync(0, Origins, new ParallelOptions { MaxDegreeOfParallelism = 4 }, async (i, _) =>
        {
            Random random = new(Seed + i);
            TestLog log = logs[i];
            await witness.CosignAsync(log, 0, 1);
            for (int round = 0; round < Rounds; round++)
            {
                int size = (int)log.Size;
                TestLog[] branches = [.. new[] { "a", "b" }.Select(name => log.Fork(size, $"{name}{round}", size + 1 + random.Next(3)))];
                string[] requests = [.. branches.Select(branch => branch.Request(size, branch.Size))];
                Answer[] answers = await Task.WhenAll(requests.Select(request => Task.Run(() => witness.PostAsync(request))));
                int winner = Array.FindIndex(answers, answer => answer.Status == 200);
                Assert.True(winner >= 0 && answers[1 - winner].Status == 409, $"seed {Seed + i}, round {round}: {answers[0].Status} and {answers[1].Status}");
                witness.CheckCosigned(answers[winner], branches[winner].Text(branches[winner].Size));
                TestWitness.CheckConflict(answers[1 - winner], branches[winner].Size);
                await witness.CheckStateAsync(branches[winner], branches[winner].Size);
                winners.Add(winner);
                log = branches[winner];
            }
        });
        Assert.Equal(Origins * Rounds, winners.Count);
        // Both orders have happened, or it was no race.
        Assert.Contains(0, winners);
        Assert.Contains(1, winners);
    }

    [Fact]
    public async Task Ten_requests_for_the_same_step_give_one_state()
    {
        TestLog log = new("example.com/same");
        await using TestWitness witness = await TestWitness.StartAsync(log);
        for (int size = 1; size < 40; size++)
        {
            string request = log.Request(size - 1, size);
            Answer[] answers = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => witness.PostAsync(request)));
            Assert.Equal(1, answers.Count(answer => answer.Status == 200));
            Assert.All(answers.Where(answer => answer.Status != 200), answer => TestWitness.CheckConflict(answer, size));
            await witness.CheckStateAsync(log, size);
        }
    }
}
