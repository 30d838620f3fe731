using System.Text.Json;
using TransparencyLog.Client;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>Witnesses that have forgotten what they cosigned (N-05).</summary>
public sealed class WentBackTests
{
    private static async Task<JsonElement> WitnessAsync(TestLog log, int index) => JsonDocument.Parse((await log.GetAsync("/status")).Text).RootElement.GetProperty("witnesses")[index];

    private static string Notes(TestLog log, string word) =>
        File.ReadAllText(Assert.Single(Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name), $"*-{word}-*.tlog-witness-note")));

    /// <summary>A log of ten entries whose witness was put back to what it had at five.</summary>
    private static async Task<WitnessedLog> RestoredAsync(int count, string quorum)
    {
        WitnessedLog witnessed = await WitnessedLog.StartAsync(count, quorum);
        StubWitness last = witnessed[count - 1];
        Hash root = default;
        for (int i = 1; i <= 10; i++)
        {
            await witnessed.Log.AddAsync($"{i}", "published");
            await Eventually.TrueAsync(() => last.Honest.Size == i, "it follows");
            if (i == 5) root = last.Honest.Root;
        }

        // Its line on size 10 is public: a restart finds it there.
        await Eventually.TrueAsync(async () => witnessed.WhoCosigned(await witnessed.Log.CheckLog(10)).Count == count, "all lines are public");
        (last.Honest.Size, last.Honest.Root) = (5, root);
        return witnessed;
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task N05_a_witness_that_went_back_is_noticed_also_after_a_restart_kept_told_of_and_brought_up_again(bool restart)
    {
        await using WitnessedLog witnessed = await RestoredAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        if (restart) await witnessed.RestartAsync();
        await witnessed.ReadyAsync();

        // Its line counts: what it says of this head is true.
        Assert.Equal(10, await log.AddAsync("11", "witnessed"));
        Assert.Equal(["a"], witnessed.WhoCosigned(await log.CheckLog(11)));
        Assert.Equal(11, witnessed[0].Honest.Size);
        JsonElement witness = await WitnessAsync(log, 0);
        Assert.Equal("went-back", witness.GetProperty("condition").GetString());
        JsonElement wentBack = witness.GetProperty("wentBack");
        Assert.Equal((10, 5, false), (wentBack.GetProperty("from").GetInt64(), wentBack.GetProperty("to").GetInt64(), wentBack.GetProperty("proven").GetBoolean()));
        Assert.Contains("\ntlog_feed_went_back_total{witness=\"a\"} 1\n", (await log.GetAsync("/metrics")).Text);
        await log.Logged.WaitAsync(44, "it has cosigned size 10 and now answers size 5");
        Assert.Equal(EngineState.Ready, log.Engine.State);

        // Old line and answer are kept.
        string note = Notes(log, "went-back");
        Assert.StartsWith("tlog-witness-note v1\ncondition went-back\nwitness a http://127.0.0.1", note);
        Assert.Contains("\nanswered 409 5\n\n", note);
        Assert.True(Note.TryParse(System.Text.Encoding.UTF8.GetBytes(note[(note.IndexOf("\n\n", StringComparison.Ordinal) + 2)..]), out Note? kept));
        Assert.True(Checkpoint.TryParse(kept.Text.Span, out Checkpoint? checkpoint));
        Assert.Equal(10, checkpoint.Size);
        INoteVerifier[] keys = [Verifiers.TryCreate(log.Key)!, Verifiers.TryCreate(witnessed[0].Cosigners[0].Key)!];
        Assert.Equal(2, kept.Verify(keys).Verified.Count);
    }

    [Fact]
    public async Task N05_a_witness_whose_own_line_proves_it_counts_no_more()
    {
        await using WitnessedLog witnessed = await RestoredAsync(2, "quorum a\n");
        TestLog log = witnessed.Log;

        // It has cosigned size 3 for somebody, later than our size 10.
        byte[] text = new Checkpoint(TestLog.Origin, 3, MerkleHash.Leaf("three"u8)).ToText();
        NoteSignature later = witnessed[1].Cosigners[0].Cosign(text, (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds() + 3600);
        witnessed[1].Shows = new Note(text, [log.Signer.Sign(text), later]).ToBytes();
        await log.AddAsync("11", "published");
        await log.Logged.WaitAsync(45, "broke its promise");
        await Eventually.TrueAsync(() => witnessed[1].Honest.Size == 11, "it is fed all the same");
        await log.AddAsync("12", "published");
        await Eventually.TrueAsync(() => witnessed[1].Honest.Size == 12, "and goes on");
        Assert.Equal(["a"], witnessed.WhoCosigned(await log.CheckLog(12)));
        Assert.True((await WitnessAsync(log, 1)).GetProperty("wentBack").GetProperty("proven").GetBoolean());

        // The file holds both, with the witness's line alone under the second: nothing else of it was verified.
        string note = Notes(log, "broken-promise");
        Assert.EndsWith($"\n\n{System.Text.Encoding.UTF8.GetString(new Note(text, [later]).ToBytes())}", note);
        Assert.DoesNotContain("-went-back-", string.Join(' ', Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name))));
    }

    [Fact]
    public async Task N05_nothing_but_a_smaller_size_under_a_later_time_by_the_same_key_proves_it()
    {
        using Ed25519PrivateKey logKey = Ed25519PrivateKey.Generate(), key = Ed25519PrivateKey.Generate(), foreign = Ed25519PrivateKey.Generate();
        NoteSigner log = new("example.com/log", logKey);
        Cosigner witness = new("example.com/witness", key), other = new("example.com/witness", foreign);
        GrownLog tree = new(10, log);
        OfferedCheckpoint head = tree.HeadAt(10);
        Assert.True(Note.TryParse(head.Note.Span, out Note? ours));
        HeldCosignature held = new(head, [witness.Cosign(ours.Text.Span, 1000)]);
        INoteVerifier[] keys = [Verifiers.TryCreate(witness.Key)!];
        byte[] smaller = TextOf("example.com/log", 9);
        Dictionary<string, (byte[] Text, NoteSignature Line, bool Proves)> shown = new()
        {
            ["smaller and later"] = (smaller, witness.Cosign(smaller, 1001), true),
            ["at the same time"] = (smaller, witness.Cosign(smaller, 1000), false),
            ["before"] = (smaller, witness.Cosign(smaller, 999), false),
            ["the same size"] = (TextOf("example.com/log", 10), witness.Cosign(TextOf("example.com/log", 10), 1001), false),
            ["a larger size"] = (TextOf("example.com/log", 11), witness.Cosign(TextOf("example.com/log", 11), 1001), false),
            ["another log"] = (TextOf("example.com/other", 9), witness.Cosign(TextOf("example.com/other", 9), 1001), false),
            ["another key"] = (smaller, other.Cosign(smaller, 1001), false),
            ["another key under its ID"] = (smaller, new NoteSignature(witness.Key.Name, witness.Key.KeyId, other.Cosign(smaller, 1001).Signature), false),
            ["a line on another text"] = (smaller, witness.Cosign(TextOf("example.com/log", 8), 1001), false),
        };
        foreach ((string what, (byte[] text, NoteSignature line, bool proves)) in shown)
        {
            Assert.True(held.IsBrokenBy(new Note(text, [line]).ToBytes(), keys, out byte[] proof) == proves, what);
            Assert.True((proof.Length > 0) == proves, what);
        }

        Assert.False(held.IsBrokenBy("nonsense"u8, keys, out _));

        static byte[] TextOf(string origin, long size) => new Checkpoint(origin, size, MerkleHash.Leaf("a tree"u8)).ToText();
    }

    [Fact]
    public async Task N05_a_witness_that_goes_back_and_forth_fills_no_disk_and_no_log()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "quorum a\n");
        TestLog log = witnessed.Log;
        for (int i = 1; i <= WitnessNotes.MaxFiles + 8; i++)
        {
            await log.AddAsync($"{i}", "published");
            await Eventually.TrueAsync(() => witnessed[1].Honest.Size == i, "it follows");
            (witnessed[1].Honest.Size, witnessed[1].Honest.Root) = (0, MerkleHash.Empty);
            witnessed[1].Behave = witnessed[1].HonestlyAsync;
            log.Engine.Publisher.Peers[1].Feed.Submit(new OfferedCheckpoint(i, log.Engine.Publisher.Current!.Root, witnessed[0].Requests[^1].Checkpoint));
            await Eventually.TrueAsync(() => witnessed[1].Honest.Size == i, "it was brought up again");
        }

        Assert.Equal(WitnessNotes.MaxFiles, Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name)).Length);
        Assert.Equal(1, log.Logged.Count(44));
        Assert.Equal(EngineState.Ready, log.Engine.State);
    }
}
