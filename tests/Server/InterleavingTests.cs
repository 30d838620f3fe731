using System.Buffers;
using Microsoft.Extensions.Logging.Abstractions;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

/// <summary>
/// C-13: the intake between many writers and the sequencer, round after round with another schedule. Nothing in it answers by time here, so an append that
/// nobody wakes the sequencer for is never answered.
/// </summary>
public sealed class InterleavingTests
{
    private const int Seed = 20_262;
    private static readonly TimeSpan Patience = TimeSpan.FromSeconds(60); // of a round that takes a millisecond

    [Fact]
    public async Task C13_every_append_of_a_hundred_thousand_in_random_schedules_gets_one_answer()
    {
        int appends = 0, failed = 0, refused = 0;
        for (int round = 0; appends < 100_000; round++)
        {
            Round one = new(Seed + round, forget: false);
            Assert.True(await one.RunAsync(), $"round {round}, seed {Seed + round}: {one.Unanswered} appends have no answer");
            one.Check();
            appends += one.Appends.Count;
            failed += one.Failed;
            refused += one.Refused;
        }

        // The schedules met what they are for: frames that failed, and appends that came too late.
        Assert.InRange(failed, 100, appends / 2);
        Assert.InRange(refused, 100, appends);
    }

    [Fact]
    public async Task Control_a_sequencer_that_forgets_one_frame_is_found()
    {
        Round one = new(Seed, forget: true);
        Assert.False(await one.RunAsync(TimeSpan.FromMilliseconds(300)));
        Assert.InRange(one.Unanswered, 1, one.Appends.Count);
    }

    /// <summary>Some writers, one sequencer, one end.</summary>
    private sealed class Round(int seed, bool forget)
    {
        private static readonly byte[] Entry = [1, 2, 3];
        private static readonly byte[] Bundle = [0, 1, 7, 0, 2, 8, 9];
        private static readonly Hash Leaf = MerkleHash.Leaf(Entry);

        private readonly Random _random = new(seed);
        private readonly Intake _intake = new(1 << 20, 1000, TimeSpan.FromMinutes(10), new Duplicates(null, null, null!, NullLogger.Instance));
        private readonly List<(long First, int Count)> _stored = [];
        private int _failed, _refused;

        public List<(Append Append, int Count, Task Answer)> Appends { get; } = []; // guarded by itself

        public int Failed => _failed;

        public int Refused => _refused;

        public int Unanswered => Appends.Count(one => !one.Answer.IsCompleted);

        public async Task<bool> RunAsync(TimeSpan? patience = null)
        {
            _intake.Open(Tree(0));
            int failAt = forget ? -1 : _random.Next(60), closeAt = forget ? int.MaxValue : _random.Next(120), done = 0;
            (int writers, int sequencerSeed) = (_random.Next(1, 6), _random.Next());
            Thread sequencer = new(() => Sequence(new Random(sequencerSeed), failAt)) { IsBackground = true };
            sequencer.Start();
            Task[] all = [.. Enumerable.Range(0, writers).Select(_ => _random.Next()).Select(own => Task.Run(async () =>
            {
                Random random = new(own);
                for (int i = random.Next(5, 40); i > 0; i--)
                {
                    if (Interlocked.Increment(ref done) == closeAt) _intake.Close();
                    if (!TryAdd(random.Next(4) == 0, out Task answer)) return;
                    if (random.Next(2) == 0) await Task.WhenAny(answer); // a caller that comes again once it has its answer
                    else Spin(random);
                }
            }))];
            Task end = Task.WhenAll(all).ContinueWith(_ => _intake.Close(), TaskScheduler.Default);
            bool answered = await Task.WhenAny(EndAsync(), Task.Delay(patience ?? Patience)) is Task<bool>;
            _intake.Dispose();
            return answered;

            async Task<bool> EndAsync()
            {
                await end;
                await Task.Run(sequencer.Join);

                // As the engine does: whoever still waits when the sequencer has ended gets an answer.
                if (!forget) _intake.Fail(new UnavailableException("ended", 5));
                foreach ((_, _, Task answer) in Appends) await Task.WhenAny(answer);
                return true;
            }
        }

        /// <summary>Answered once each, and what was stored is gap-free and was given to its caller.</summary>
        public void Check()
        {
            long next = 0;
            foreach ((long first, int count) in _stored)
            {
                Assert.Equal(next, first);
                next += count;
            }

            HashSet<long> given = [];
            foreach ((Append append, int count, Task answer) in Appends)
            {
                Assert.False(append.TryAnswer(null), "a second answer was possible");
                if (!answer.IsCompletedSuccessfully) continue;
                for (int i = 0; i < count; i++) Assert.True(given.Add(append.First + i), $"index {append.First + i} was given twice");
            }

            Assert.Equal(next, given.Count);
            Assert.True(given.Count == 0 || given.Max() == next - 1);
        }

        private bool TryAdd(bool bundle, out Task answer)
        {
            try
            {
                Append append = bundle ? _intake.Add(Bundle, [Leaf, Leaf], null, 0) : _intake.Add(new ReadOnlySequence<byte>(Entry), Leaf, 0);
                answer = append.Durable.AsTask();
                _ = answer.ContinueWith(failed => failed.Exception, TaskScheduler.Default); // looked at below, whatever it says
                lock (Appends) Appends.Add((append, bundle ? 2 : 1, answer));
                return true;
            }
            catch (UnavailableException)
            {
                Interlocked.Increment(ref _refused);
                answer = Task.CompletedTask;
                return false;
            }
        }

        private void Sequence(Random random, int failAt)
        {
            for (int i = 0; _intake.Take() is Group group; i++)
            {
                Spin(random);
                if (forget && i == 2) continue;
                if (i == failAt)
                {
                    _failed++;
                    _intake.Fail(new InvalidOperationException("the disk"));
                    return;
                }

                _stored.Add((group.FirstIndex, group.Frame.Count));
                _intake.Complete(group);
                Spin(random);
                _intake.Return(group, Tree(group.FirstIndex + group.Frame.Count));
            }
        }

        private static void Spin(Random random)
        {
            int spins = random.Next(4) == 0 ? random.Next(2000) : 0;
            if (spins > 1900) Thread.Yield();
            else Thread.SpinWait(spins);
        }

        private static TreeSnapshot Tree(long size) => new(size, MerkleHash.Empty, [], ReadOnlyMemory<byte>.Empty);
    }
}
