using System.Globalization;
using Microsoft.AspNetCore.Http;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>When a feed asks again, on a clock that the test moves: the stub writes down at which time each request came.</summary>
public sealed class FeedPaceTests
{
    [Fact]
    public async Task No_more_requests_go_out_than_the_limit_allows_and_the_newest_checkpoint_goes()
    {
        await using PacedFeed feed = await PacedFeed.StartAsync(new WitnessFeedOptions { RequestsPerDay = 8640, Burst = 4 });
        for (int size = 1; size <= 3; size++) await feed.CosignedAsync(size);
        for (int size = 4; size <= 20; size++) feed.Submit(size);
        await feed.CosignedAsync(20);
        for (int size = 21; size <= 30; size++) feed.Submit(size);
        await feed.CosignedAsync(30);

        // Four at once, the first for the size 0, then one each ten seconds.
        Assert.Equal([1, 2, 3, 20, 30], feed.Sizes);
        Assert.Equal([0, 0, 10, 10], feed.Gaps.Select(gap => gap.TotalSeconds));
        feed.Time.Advance(TimeSpan.FromSeconds(60));
        Assert.Equal(5, feed.Count);

        // After a quiet time the burst is there again.
        for (int i = 0; i < 4; i++) await feed.CosignedAsync(30, 6 + i);
        Assert.Equal([0, 0, 0], feed.Gaps.TakeLast(3).Select(gap => gap.TotalSeconds));
    }

    [Theory]
    [InlineData("7", 7, 7)]
    [InlineData("0", 1, 1)]
    [InlineData("date", 20, 21)]
    [InlineData("99999999", 600, 600)]
    [InlineData("", 0.001, 2)]
    [InlineData("soon", 0.001, 2)]
    public async Task A_429_is_left_alone_for_as_long_as_it_asks_and_no_longer_than_ten_minutes(string retryAfter, double least, double most)
    {
        await using PacedFeed feed = await PacedFeed.StartAsync();
        feed.Answer = (context, count) =>
        {
            if (count > 1) return feed.Honestly;
            string value = retryAfter == "date" ? (feed.Time.GetUtcNow() + TimeSpan.FromSeconds(21)).ToString("r", CultureInfo.InvariantCulture) : retryAfter;
            if (value.Length > 0) context.Response.Headers.RetryAfter = value;
            return StubWitness.Says(429, "");
        };
        feed.Submit(1);
        await feed.UntilAsync(() => feed.Count == 1 && feed.State.Condition == WitnessCondition.Limited);
        Assert.False(feed.IsHealthy);
        feed.Submit(2);
        await feed.UntilCosignedAsync(2);
        Assert.Equal([1, 2], feed.Sizes);
        Assert.InRange(feed.Gaps[0].TotalSeconds, least, most);
        Assert.Equal((1, 2, true), (feed.State.Requests[(int)WitnessOutcome.Limited], feed.State.Requests[(int)WitnessOutcome.Cosigned], feed.IsHealthy));
    }

    [Theory]
    [InlineData(400)]
    [InlineData(403)]
    [InlineData(404)]
    [InlineData(413)]
    [InlineData(422)]
    [InlineData(307)]
    public async Task A_refusal_is_asked_again_once_a_minute_and_not_for_each_new_checkpoint(int status)
    {
        await using PacedFeed feed = await PacedFeed.StartAsync();
        feed.Answer = (_, count) => count > 3 ? feed.Honestly : StubWitness.Says(status, "");
        feed.Submit(1);
        await feed.UntilAsync(() => feed.State.Trouble is not null);
        for (int size = 2; size <= 30; size++)
        {
            feed.Time.Advance(TimeSpan.FromSeconds(1));
            feed.Submit(size);
        }

        Assert.Equal(1, feed.Count);
        Assert.Equal((status == 422 ? WitnessCondition.Inconsistent : WitnessCondition.Refusing, false), (feed.State.Condition, feed.IsHealthy));
        Assert.Equal(29, feed.State.Owed.TotalSeconds);
        await feed.UntilCosignedAsync(30);
        Assert.Equal([1, 30, 30, 30], feed.Sizes);
        Assert.InRange(feed.Gaps[0].TotalSeconds, 60, 90); // the pause may have begun while the time went on
        Assert.All(feed.Gaps.Skip(1), gap => Assert.Equal(60, gap.TotalSeconds));
        Assert.Equal((TimeSpan.Zero, null), (feed.State.Owed, feed.State.Trouble));
    }

    [Fact]
    public async Task One_that_fails_for_hours_is_asked_once_a_minute_and_follows_at_once_when_it_is_back()
    {
        await using PacedFeed feed = await PacedFeed.StartAsync();
        feed.Answer = (_, _) => StubWitness.Says(500, "");
        feed.Submit(1);

        // Each is two tries, of which the open circuit ends one: more than the exponent of a double goes. The pauses stay what they are.
        await feed.UntilAsync(() => feed.Count == 560);
        Assert.All(feed.Gaps.Take(4), gap => Assert.InRange(gap.TotalSeconds, 0.001, 15));
        Assert.All(feed.Gaps.Skip(20), gap => Assert.InRange(gap.TotalSeconds, 60, 90));
        await Eventually.TrueAsync(() => feed.State.Breaker == "open", "the answer to that is in");
        Assert.False(feed.IsHealthy);
        feed.Submit(2);
        feed.Answer = (_, _) => feed.Honestly;
        await feed.UntilCosignedAsync(2);
        await feed.UntilAsync(() => feed.State.Breaker == "closed");
        Assert.True(feed.IsHealthy);
        Assert.Equal(561, feed.Count);
        await feed.CosignedAsync(3);
        Assert.InRange(feed.Gaps[^1].TotalSeconds, 0, 15);
    }

    [Fact]
    public async Task A_single_failure_opens_nothing_and_costs_a_moment()
    {
        await using PacedFeed feed = await PacedFeed.StartAsync();
        feed.Answer = (_, count) => count == 1 ? StubWitness.Says(503, "") : feed.Honestly;
        await feed.CosignedAsync(1, 2);
        Assert.Equal(("closed", WitnessCondition.Well), (feed.State.Breaker, feed.State.Condition));
        Assert.InRange(feed.Gaps[0].TotalSeconds, 0.001, 1);
        Assert.NotNull(feed.State.Latency);
    }

    [Fact]
    public async Task A_size_that_cannot_be_is_reported_each_time_and_is_no_place_to_prove_from()
    {
        await using PacedFeed feed = await PacedFeed.StartAsync();
        bool lies = true;
        feed.Answer = (_, _) => lies ? StubWitness.Says(409, "31\n") : feed.Honestly;
        feed.Submit(1);
        await feed.UntilAsync(() => feed.Aheads.Count >= 20);
        Assert.Equal((WitnessCondition.Contradicting, 31L, false), (feed.State.Condition, feed.State.Claim!.Size, feed.IsHealthy));
        Assert.All(feed.Gaps, gap => Assert.InRange(gap.TotalSeconds, 0.001, 15));
        int asked = feed.Count;
        lies = false;
        await feed.UntilCosignedAsync(1);
        Assert.All(feed.Aheads, size => Assert.Equal(31, size));

        // The last it is known to have is 0; after the first claim it is asked as if it had the checkpoint, and its honest 409 names the place to prove from.
        Assert.Equal([0, .. Enumerable.Repeat(1L, asked - 1)], feed.Olds.Take(asked));
        Assert.Equal(0, feed.Olds.Last());
        Assert.Equal((WitnessCondition.Well, true), (feed.State.Condition, feed.IsHealthy));
        Assert.Null(feed.State.Claim);
    }

    /// <summary>A feed of a log of 30 entries, a stub of a witness, and a clock that goes on while the test waits.</summary>
    private sealed class PacedFeed : IAsyncDisposable
    {
        private const int Entries = 30;
        private static readonly TimeSpan LongestPause = TimeSpan.FromMinutes(20);
        private readonly Ed25519PrivateKey _key;
        private readonly GrownLog _tree;
        private readonly StubWitness _witness;
        private readonly WitnessClient _client;
        private readonly WitnessFeed _feed;
        private readonly CancellationTokenSource _stop = new();
        private readonly Task _running;
        private readonly List<TimeSpan> _times = []; // guarded by itself, as the next two
        private readonly List<long> _aheads = [];
        private readonly HashSet<long> _cosigned = [];

        private PacedFeed(StubWitness witness, Ed25519PrivateKey key, NoteSigner signer, WitnessFeedOptions options, FakeTime time)
        {
            _witness = witness;
            _key = key;
            _tree = new GrownLog(Entries, signer);
            Time = time;
            Answer = (_, _) => Honestly;
            _witness.Behave = (context, body) =>
            {
                int count;
                lock (_times)
                {
                    _times.Add(TimeSpan.FromTicks(Time.GetTimestamp()));
                    count = _times.Count;
                }

                return Answer(context, count)(context, body);
            };

            _client = new WitnessClient(witness.Url.ToString(), [Verifiers.TryCreate(witness.Cosigners[0].Key)!], new WitnessClientOptions { Time = time, AttemptTimeout = LongestPause * 2, MaxClockDifference = TimeSpan.FromDays(30) });
            _feed = new WitnessFeed(_client, options with { Time = time, TotalTimeout = LongestPause * 3 }, (from, head, _) => ValueTask.FromResult(_tree.Prove(from, head.Size)), new OwnWords([], () => null, (_, _, _) => throw new InvalidOperationException("nobody contradicts")), () => Entries, Take);
            _running = _feed.RunAsync(_stop.Token);
        }

        public FakeTime Time { get; }

        /// <summary>How the request with this number, from 1 on, is answered.</summary>
        public Func<HttpContext, int, Func<HttpContext, byte[], Task>> Answer { get; set; }

        public Func<HttpContext, byte[], Task> Honestly => _witness.HonestlyAsync;

        public int Count
        {
            get
            {
                lock (_times) return _times.Count;
            }
        }

        public WitnessState State => _feed.State;

        public bool IsHealthy => _feed.IsHealthy;

        /// <summary>The sizes of the checkpoints that were asked about.</summary>
        public IEnumerable<long> Sizes => _witness.Requests.Skip(1).Select(request => Note.TryParse(request.Checkpoint.Span, out Note? note) && Checkpoint.TryParse(note!.Text.Span, out Checkpoint? checkpoint) ? checkpoint!.Size : -1);

        public IEnumerable<long> Olds => _witness.Requests.Skip(1).Select(request => request.OldSize);

        public IReadOnlyList<long> Aheads
        {
            get
            {
                lock (_times) return [.. _aheads];
            }
        }

        public IReadOnlyList<TimeSpan> Gaps
        {
            get
            {
                lock (_times) return [.. _times.Zip(_times.Skip(1), (one, next) => next - one)];
            }
        }

        public static async Task<PacedFeed> StartAsync(WitnessFeedOptions? options = null)
        {
            Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
            NoteSigner signer = new("example.com/log", key);
            PacedFeed feed = new(await StubWitness.StartAsync(signer.Key, "example.com/witness"), key, signer, options ?? new WitnessFeedOptions(), new FakeTime());

            // Until it has answered once it would be asked how far it is.
            await feed.CosignedAsync(0);
            lock (feed._times) feed._times.Clear();

            return feed;
        }

        public void Submit(int size) => _feed.Submit(_tree.HeadAt(size));

        /// <summary>Submits, and lets the time pass until this is cosigned by the request with this number.</summary>
        public async Task CosignedAsync(int size, int? request = null)
        {
            lock (_times) _cosigned.Remove(size);
            Submit(size);
            await UntilCosignedAsync(size);
            if (request is int number) Assert.Equal(number, Count);
        }

        public Task UntilCosignedAsync(long size) => UntilAsync(() =>
        {
            lock (_times) return _cosigned.Contains(size);
        });

        /// <summary>
        /// Lets the time pass from one pause of the feed to the end of the next, until something is so. While an answer is on its way no time passes: it is waited for on
        /// another clock, and its limits are longer than any pause.
        /// </summary>
        public async Task UntilAsync(Func<bool> condition)
        {
            long started = TimeProvider.System.GetTimestamp();
            while (!condition())
            {
                Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromSeconds(60), "not in the time of the test");
                if (Time.Next is TimeSpan next && next < LongestPause) Time.Advance(next);
                else await Task.Delay(1);
            }
        }

        public async ValueTask DisposeAsync()
        {
            await _stop.CancelAsync();
            await Assert.ThrowsAnyAsync<OperationCanceledException>(() => _running);
            _client.Dispose();
            await _witness.DisposeAsync();
            _key.Dispose();
            _stop.Dispose();
        }

        private void Take(WitnessEvent reported)
        {
            lock (_times)
            {
                if (reported is WitnessEvent.Cosigned cosigned) _cosigned.Add(cosigned.Checkpoint.Size);
                if (reported is WitnessEvent.Ahead ahead) _aheads.Add(ahead.Size);
            }
        }
    }
}
