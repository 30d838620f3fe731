using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>The feeder of a log that does not feed its checkpoints itself, with stub witnesses.</summary>
public sealed class LogFeederTests
{
    [Fact]
    public async Task It_feeds_each_checkpoint_with_the_proof_from_what_each_witness_has_and_gives_the_cosigned_one()
    {
        await using FedLog fed = await FedLog.StartAsync(2, keys: 2);
        await using LogFeeder feeder = fed.Open("group a2 any a a-1\ngroup b2 any b b-1\ngroup g all a2 b2\nquorum g\n");

        // Nobody knows the log: the first request learns that, the second begins at nothing.
        await fed.GrowAsync(700);
        FeedRound round = await feeder.FeedAsync(default);
        Assert.Equal((true, 4, 700L), (round.MeetsQuorum, round.Cosignatures, round.Checkpoint.Size));
        Assert.Equal([700L, 0], fed[0].Requests.Select(request => request.OldSize));
        Assert.All(round.Witnesses, witness => Assert.Null(witness.Trouble));
        Assert.Equal(NoteStatus.Verified, Verify(round));

        // From then on one request each; a witness that somebody else has brought further is met where it is.
        await fed.GrowAsync(1000);
        round = await feeder.FeedAsync(default);
        Assert.Equal((true, 1000L), (round.MeetsQuorum, round.Checkpoint.Size));
        Assert.Equal([700L, 0, 700], fed[1].Requests.Select(request => request.OldSize));
        Assert.InRange(fed[1].Requests[^1].Proof.Count, 1, 63);

        // The same checkpoint again: newer times, no proof.
        FeedRound again = await feeder.FeedAsync(default);
        Assert.Equal((1000L, 0), (fed[0].Requests[^1].OldSize, fed[0].Requests[^1].Proof.Count));
        Assert.False(again.Note.Span.SequenceEqual(round.Note.Span));

        NoteStatus Verify(FeedRound round)
        {
            Assert.True(Note.TryParse(round.Note.Span, out Note? note));
            return note.Verify([Verifiers.TryCreate(fed.Log.Key)!, .. fed[0].Cosigners.Concat(fed[1].Cosigners).Select(cosigner => Verifiers.TryCreate(cosigner.Key)!)]).Status;
        }
    }

    [Fact]
    public async Task TW07_lines_that_others_added_to_the_checkpoint_are_not_sent_on()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n");
        await witnessed.Log.AddAsync("one", "published");
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await witnessed.Log.CheckLog(1)).Count == 2, "both lines are public");
        await using StubWitness other = await StubWitness.StartAsync(witnessed.Log.Key, "example.com/other");
        using LogReader reader = new(witnessed.Log.Url.ToString());
        await using LogFeeder feeder = new(reader, FedLog.PolicyOf($"{other.PolicyLines("o")}quorum o\n"), witnessed.Log.Key, new LogFeederOptions());
        Assert.True((await feeder.FeedAsync(default)).MeetsQuorum); // the stub takes one line alone
    }

    [Fact]
    public async Task G01_G02_G04_what_does_not_cosign_costs_the_time_of_a_round_and_is_told()
    {
        await using FedLog fed = await FedLog.StartAsync(4);
        fed[1].Behave = StubWitness.HangAsync;
        fed[2].Behave = StubWitness.Says(404, "");
        fed[3].Behave = (context, _) => StubWitness.SayAsync(context, 200, AddCheckpointResponse.ToBytes(fed[0].Honest.Cosign(new Checkpoint(TestLog.Origin, 9, MerkleHash.Empty).ToText())));
        await fed.GrowAsync(5);
        await using LogFeeder feeder = fed.Open("group g any a b c d\nquorum g\n", TimeSpan.FromSeconds(3));
        FeedRound round = await feeder.FeedAsync(default);
        Assert.Equal((true, 1), (round.MeetsQuorum, round.Cosignatures));
        Assert.Equal([null, "no whole answer within 2 s", "404: the witness does not know this origin", "200, but none of its 1 lines is a valid cosignature of a key we know"], round.Witnesses.Select(witness => witness.Trouble));
        Assert.DoesNotContain(round.Witnesses, witness => witness.Contradicts);
    }

    [Theory]
    [InlineData(409, "6\n", "it has cosigned size 6, and the log shows 5")]
    [InlineData(422, "", "422: ")]
    public async Task G07_a_witness_that_contradicts_the_log_is_told_apart(int status, string body, string said)
    {
        await using FedLog fed = await FedLog.StartAsync(1);
        fed[0].Behave = StubWitness.Says(status, body);
        await fed.GrowAsync(5);
        await using LogFeeder feeder = fed.Open("quorum a\n", TimeSpan.FromSeconds(1));
        FedWitness witness = Assert.Single((await feeder.FeedAsync(default)).Witnesses);
        Assert.True(witness.Contradicts);
        Assert.StartsWith(said, witness.Trouble);
    }

    [Theory]
    [InlineData("group g any a b c\nquorum g\n", true)]
    [InlineData("group g 2 a b c\nquorum g\n", false)]
    [InlineData("group g any a b\nquorum g\n", false)]
    [InlineData("quorum none\n", false)]
    public async Task N04_the_checkpoint_is_held_while_a_branch_of_the_contradicting_one_could_have_a_quorum(string quorum, bool held)
    {
        await using FedLog fed = await FedLog.StartAsync(3);
        fed[2].Behave = StubWitness.Says(409, "999999999\n");
        await fed.GrowAsync(5);
        await using LogFeeder feeder = fed.Open(quorum, TimeSpan.FromSeconds(3));
        FeedRound round = await feeder.FeedAsync(default);
        Assert.Equal((2, true, held), (round.Cosignatures, round.MeetsQuorum, round.IsHeld));
        Assert.True(round.Witnesses[2].Contradicts);
    }

    [Fact]
    public async Task N05_a_witness_that_went_back_is_told_of_and_fed()
    {
        await using FedLog fed = await FedLog.StartAsync(1);
        await fed.GrowAsync(5);
        await using LogFeeder feeder = fed.Open("quorum a\n");
        Assert.Null((await feeder.FeedAsync(default)).Witnesses[0].WentBack);
        Hash root = fed[0].Honest.Root;
        await fed.GrowAsync(10);
        Assert.Null((await feeder.FeedAsync(default)).Witnesses[0].WentBack);
        (fed[0].Honest.Size, fed[0].Honest.Root) = (5, root);
        await fed.GrowAsync(12);
        FeedRound round = await feeder.FeedAsync(default);
        Assert.Equal((true, 12L), (round.MeetsQuorum, fed[0].Honest.Size));
        WitnessRegress regress = round.Witnesses[0].WentBack!;
        Assert.Equal((10L, 5L, false), (regress.Held.Checkpoint.Size, regress.Size, regress.IsProven));
        Assert.Null((await feeder.FeedAsync(default)).Witnesses[0].WentBack);
    }

    [Fact]
    public async Task A_witness_that_is_ahead_because_the_log_went_on_contradicts_nobody()
    {
        await using FedLog fed = await FedLog.StartAsync(1);
        await fed.GrowAsync(5);
        TaskCompletionSource later = new();
        fed[0].Behave = async (context, body) =>
        {
            // Another feeder was quicker, with a larger checkpoint.
            fed[0].Behave = fed[0].HonestlyAsync;
            await StubWitness.SayAsync(context, 409, "9\n"u8.ToArray());
            later.SetResult();
        };
        await using LogFeeder feeder = fed.Open("quorum a\n");
        Task<FeedRound> feeding = feeder.FeedAsync(default);
        await later.Task;
        await fed.GrowAsync(9);
        FeedRound round = await feeding;
        Assert.Equal((9L, true, false), (round.Checkpoint.Size, round.MeetsQuorum, round.Witnesses[0].Contradicts));
    }

    [Fact]
    public async Task A_policy_that_nobody_can_be_asked_by_is_refused()
    {
        await using FedLog fed = await FedLog.StartAsync(1);
        using LogReader reader = new(fed.Log.Url.ToString());
        string line = fed[0].PolicyLines("a");
        Assert.Contains("vkey", Assert.Throws<ArgumentException>(() => new LogFeeder(reader, FedLog.PolicyOf($"{line}quorum a\n"), null, new LogFeederOptions())).Message);
        Assert.Contains("no witness", Assert.Throws<ArgumentException>(() => new LogFeeder(reader, FedLog.PolicyOf($"log {fed.Log.Key}\nquorum none\n"), null, new LogFeederOptions())).Message);
        Assert.Contains("not an http", Assert.Throws<ArgumentException>(() => new LogFeeder(reader, FedLog.PolicyOf($"log {fed.Log.Key}\nwitness a {fed[0].Cosigners[0].Key} ftp://x\nquorum a\n"), null, new LogFeederOptions())).Message);
    }

    /// <summary>A log without a policy, and witnesses that it does not know.</summary>
    private sealed class FedLog : IAsyncDisposable
    {
        private readonly List<StubWitness> _witnesses = [];
        private readonly List<LogReader> _readers = [];

        private FedLog(TestLog log) => Log = log;

        public TestLog Log { get; }

        public StubWitness this[int index] => _witnesses[index];

        public static async Task<FedLog> StartAsync(int count, int keys = 1)
        {
            FedLog fed = new(await TestLog.StartAsync());
            for (int i = 0; i < count; i++) fed._witnesses.Add(await StubWitness.StartAsync(fed.Log.Key, $"example.com/witness{i}", keys));
            return fed;
        }

        public static Policy PolicyOf(string text) => Policy.TryParse(Encoding.UTF8.GetBytes(text), out Policy? policy, out string error) ? policy! : throw new FormatException(error);

        public LogFeeder Open(string quorum, TimeSpan? limit = null)
        {
            LogReader reader = new(Log.Url.ToString());
            _readers.Add(reader);
            string lines = string.Concat(_witnesses.Select((witness, i) => witness.PolicyLines(((char)('a' + i)).ToString())));
            return new LogFeeder(reader, PolicyOf($"log {Log.Key}\n{lines}{quorum}"), null, new LogFeederOptions { RoundTimeout = limit ?? TimeSpan.FromSeconds(15) });
        }

        public async Task GrowAsync(int size)
        {
            await Log.AddBatchAsync([.. Enumerable.Range((int)Log.Engine.Size, size - (int)Log.Engine.Size).Select(i => BitConverter.GetBytes(i))]);
            await Log.CheckLog(size);
        }

        public async ValueTask DisposeAsync()
        {
            foreach (LogReader reader in _readers) reader.Dispose();
            await Log.DisposeAsync();
            foreach (StubWitness witness in _witnesses) await witness.DisposeAsync();
        }
    }
}
