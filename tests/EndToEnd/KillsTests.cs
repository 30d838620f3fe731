// The main job, end to end, under fire: real entries from eight producers through a log and three witnesses with a 2-of-3 policy, while
// log and witnesses are killed without warning.

using System.Collections.Concurrent;
using System.Globalization;
using System.Net;

namespace TransparencyLog.Tests.EndToEnd;

public sealed class KillsTests
{
    private const int Entries = 12_000, Producers = 8, Kills = 12;

    [Fact]
    public async Task D01_every_acknowledged_entry_keeps_its_index_through_twelve_kills_of_log_and_witnesses()
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        byte[][] entries = RealEntries.Take(Entries);
        using Scratch scratch = new();
        await using Network network = await Network.CreateAsync(scratch, witnesses: 3, quorum: 2);
        await network.StartLogAsync();
        await network.ReadyAsync();
        FullCheck check = new(network.VerifierKey);
        ConcurrentDictionary<long, byte[]> acknowledged = new();
        using Producing producing = new(network.LogUrl, entries, acknowledged);
        try
        {
            for (int round = 1; round <= Kills; round++)
            {
                // A kill somewhere within this round's share of the entries, while producers are in the middle of it.
                producing.Allow(Entries * round / Kills);
                await producing.ReachedAsync((Entries * (round - 1) / Kills) + random.Next(Entries / Kills));
                int victim = random.Next(2) == 0 ? -1 : random.Next(network.Witnesses);
                if (victim < 0)
                {
                    await network.KillLogAsync();
                    await network.StartLogAsync();
                }
                else
                {
                    await network.KillWitnessAsync(victim);
                    await network.StartWitnessAsync(victim);
                }

                using LogClient client = new(network.LogUrl);
                await check.RunAsync(client, acknowledged.ToArray());
            }

            await producing.ReachedAsync(Entries);
            await producing.Done;
            Assert.Equal(Entries, acknowledged.Values.Select(Convert.ToBase64String).Distinct(StringComparer.Ordinal).Count());
            using LogClient last = new(network.LogUrl);
            long size = await check.RunAsync(last, acknowledged.ToArray());

            // A retry of an entry whose answer was lost in a kill gets the same index, while the log remembers it.
            Assert.InRange(size, Entries, Entries + (Kills * Producers));
            await ProveSomeAsync(network, scratch, acknowledged, random);
            Assert.True(await Until.TrueAsync(async () => await SizesOfWitnessesAsync(network) is long[] sizes && sizes.All(one => one == size), Until.Patience), "a witness stays behind");

            Ended remote = await Programs.RunAsync(Programs.Tool, "fsck", network.LogUrl.ToString(), "--policy", network.Policy);
            Assert.True(remote.ExitCode == 0, remote.ToString());
            Ended stopped = await network.Log.StopAsync();
            Assert.True(stopped.ExitCode == 0, stopped.ToString());
            Ended local = await Programs.RunAsync(Programs.Tool, "fsck", network.LogData);
            Assert.True(local.ExitCode == 0, local.ToString());
        }
        catch (Exception failure)
        {
            throw new InvalidOperationException($"seed {seed}: {failure.Message}\nlog: {network.Log.Errors}", failure);
        }
    }

    private static async Task ProveSomeAsync(Network network, Scratch scratch, ConcurrentDictionary<long, byte[]> acknowledged, Random random)
    {
        for (int i = 0; i < 5; i++)
        {
            (long index, byte[] entry) = acknowledged.ElementAt(random.Next(acknowledged.Count));
            await File.WriteAllBytesAsync(scratch["entry"], entry);
            File.Delete(scratch["one.tlog-proof"]);
            Ended proved = await Programs.RunAsync(Programs.Tool, "prove", network.LogUrl.ToString(), index.ToString(CultureInfo.InvariantCulture), "--out", scratch["one.tlog-proof"]);
            Assert.True(proved.ExitCode == 0, proved.ToString());
            Ended verified = await Programs.RunAsync(Programs.Tool, "verify", scratch["one.tlog-proof"], "--entry", scratch["entry"], "--policy", network.Policy);
            Assert.True(verified.ExitCode == 0, verified.ToString());
        }
    }

    private static async Task<long[]> SizesOfWitnessesAsync(Network network)
    {
        List<long> sizes = [];
        for (int i = 0; i < network.Witnesses; i++)
        {
            sizes.Add(await network.CosignedByAsync(i) is string checkpoint ? long.Parse(checkpoint.Split('\n')[1], CultureInfo.InvariantCulture) : -1);
        }

        return [.. sizes];
    }

    /// <summary>Producers that send each entry until it is acknowledged, and never run further ahead than they are allowed.</summary>
    private sealed class Producing : IDisposable
    {
        private readonly ConcurrentDictionary<long, byte[]> _acknowledged;
        private readonly byte[][] _entries;
        private readonly CancellationTokenSource _stop = new();
        private int _next = -1;
        private int _allowed;
        private int _reached;

        public Producing(Uri log, byte[][] entries, ConcurrentDictionary<long, byte[]> acknowledged)
        {
            _entries = entries;
            _acknowledged = acknowledged;
            Done = Task.WhenAll(Enumerable.Range(0, Producers).Select(_ => Task.Run(() => ProduceAsync(log))));
        }

        public Task Done { get; }

        public void Allow(int entries) => Volatile.Write(ref _allowed, entries);

        public async Task ReachedAsync(int entries)
        {
            bool reached = await Until.TrueAsync(
                () => Done.IsFaulted ? throw Done.Exception! : Task.FromResult(Volatile.Read(ref _reached) >= entries), Until.Patience);
            Assert.True(reached, $"{_reached} of {entries} entries acknowledged");
        }

        public void Dispose()
        {
            _stop.Cancel();
            _stop.Dispose();
        }

        private async Task ProduceAsync(Uri log)
        {
            using LogClient client = new(log);
            CancellationToken stop = _stop.Token;
            while (Interlocked.Increment(ref _next) is int mine && mine < _entries.Length)
            {
                while (mine >= Volatile.Read(ref _allowed)) await Task.Delay(1, stop);
                AddAnswer answer = await client.AddAsync(_entries[mine]);
                while (!answer.IsAcknowledged)
                {
                    Assert.True(answer.Status is null or HttpStatusCode.ServiceUnavailable, answer.ToString());
                    await Task.Delay(5, stop);
                    answer = await client.AddAsync(_entries[mine]);
                }

                Assert.True(_acknowledged.TryAdd(answer.Indexes[0], _entries[mine]), $"index {answer.Indexes[0]} was given twice");
                Interlocked.Increment(ref _reached);
            }
        }
    }
}
