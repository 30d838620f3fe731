using System.Collections.Concurrent;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using TransparencyLog.Client;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>What a log keeps when its own signature is found where it cannot have put it (spec/evidence.md).</summary>
public sealed class EvidenceTests
{
    private static byte[] Sign(TestLog log, long size, Hash root)
    {
        byte[] text = new Checkpoint(TestLog.Origin, size, root).ToText();
        return new Note(text, [log.Signer.Sign(text)]).ToBytes();
    }

    private static (EvidenceKind Kind, bool Convinces) Only(TestLog log)
    {
        string path = Assert.Single(Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name), "*.tlog-evidence"));
        Assert.True(TlogEvidence.TryParse(File.ReadAllBytes(path), out TlogEvidence? evidence, out string error), error);
        return (evidence!.Kind, evidence.TryVerify([Verifiers.TryCreate(log.Key)!], out _));
    }

    private static bool HasEvidence(TestLog log) => Directory.Exists(Path.Combine(log.Data, EvidenceFolder.Name));

    [Theory]
    [InlineData(9)]
    [InlineData(7)]
    [InlineData(8)]
    [InlineData(1)]
    public async Task G07_a_witness_that_shows_another_tree_with_this_logs_signature_halts_it_and_both_notes_are_kept(int size)
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g 1 a b\nquorum g\n");
        TestLog log = witnessed.Log;
        await log.AddBatchAsync([.. Enumerable.Range(0, 9).Select(i => BitConverter.GetBytes(i))]);
        await log.CheckLog(9);
        witnessed[1].Shows = Sign(log, size, MerkleHash.Leaf("another tree"u8));
        witnessed[1].Behave = StubWitness.Says(422, "no\n");
        if (size == 9) log.Engine.Publisher.Peers[1].Feed.Submit(Offered(log));
        else await log.AddAsync("one more");
        string halted = await log.HaltedAsync();
        Assert.Equal((size == 9 ? EvidenceKind.Fork : EvidenceKind.Inconsistent, true), Only(log));
        Assert.Contains("with this log's signature", halted);
        Assert.Contains(".tlog-evidence", halted);
        Assert.Contains($"tlog_evidence_files{{kind=\"{(size == 9 ? "fork" : "inconsistent")}\"}} 1\n", (await log.GetAsync("/metrics")).Text);
    }

    private static TreeHead Head(TestLog log)
    {
        Published current = log.Engine.Publisher.Current!;
        Assert.True(Note.TryParse(current.Checkpoint.Span, out Note? note));
        return new TreeHead(current.Size, current.Root, new Note(note!.Text, [note.Signatures[0]]).ToBytes());
    }

    private static OfferedCheckpoint Offered(TestLog log) => new(Head(log).Size, Head(log).Root, Head(log).Checkpoint);

    [Fact]
    public async Task G08_what_a_witness_makes_up_halts_nothing()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g 1 a b\nquorum g\n");
        TestLog log = witnessed.Log;
        await log.AddBatchAsync([.. Enumerable.Range(0, 9).Select(i => BitConverter.GetBytes(i))]);
        await log.CheckLog(9);
        witnessed[1].Behave = StubWitness.Says(422, "no\n");
        NoteSigner stranger = new(TestLog.Origin, Ed25519PrivateKey.Generate());
        byte[] text = new Checkpoint(TestLog.Origin, 9, MerkleHash.Leaf("another tree"u8)).ToText();
        (string What, ReadOnlyMemory<byte> Shows)[] shows =
        [
            ("another key", new Note(text, [stranger.Sign(text)]).ToBytes()),
            ("a line that does not verify", new Note(text, [log.Signer.Sign("something else\n"u8)]).ToBytes()),
            ("the log's own checkpoint", Head(log).Checkpoint),
            ("no note", "nonsense"u8.ToArray()),
            ("nothing", default),
            ("more than a note has", new byte[Note.MaxSize + 1]),
        ];
        using WitnessClient client = new(witnessed[1].Url.ToString(), [Verifiers.TryCreate(witnessed[1].Cosigners[0].Key)!], new WitnessClientOptions());
        OwnWords ownWords = new([Verifiers.TryCreate(log.Key)!], () => Offered(log), log.Engine.Publisher.ProvePrefixAsync);
        foreach ((string what, ReadOnlyMemory<byte> bytes) in shows)
        {
            witnessed[1].Shows = bytes;
            Assert.True(await ownWords.CompareAsync(client, Offered(log), CancellationToken.None) is null, what);
        }

        int asked = witnessed[1].RequestCount;
        await log.AddAsync("one more", "published");
        await Eventually.TrueAsync(() => witnessed[1].RequestCount > asked, "asked and refused");
        await log.CheckLog(10);
        Assert.Equal(EngineState.Ready, log.Engine.State);
        Assert.False(HasEvidence(log));

        // It can tell: the same text with the log's own line, beside what a stranger has put there.
        witnessed[1].Shows = new Note(text, [stranger.Sign(text), log.Signer.Sign(text)]).ToBytes();
        TlogEvidence? found = await ownWords.CompareAsync(client, Offered(log), CancellationToken.None);
        Assert.Equal(EvidenceKind.Inconsistent, found?.Kind);
        Assert.All(found!.Notes, note => Assert.Equal(log.Key.KeyId, Assert.Single(note.Signatures).KeyId));
    }

    [Fact]
    public async Task G07_a_larger_checkpoint_with_this_logs_signature_is_kept_beside_its_own()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n");
        TestLog log = witnessed.Log;
        await log.AddAsync("one", "published");
        witnessed[0].Shows = Sign(log, 1000, MerkleHash.Leaf("a larger tree"u8));
        witnessed[0].Behave = StubWitness.Says(409, "1000\n");
        await log.AddAsync("two");
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Halted, "the log halts");
        Assert.Equal((EvidenceKind.Unproven, false), Only(log));
        await log.Logged.WaitAsync(6, "bears this log's signature");
    }

    [Fact]
    public async Task R04_a_guard_with_another_root_for_the_signed_size_refuses_the_start_and_both_notes_are_kept()
    {
        await using TestLog log = TestLog.Create();
        LogSetup guarded = new() { Guard = true };
        await log.ServeAsync(guarded);
        await log.AddAsync("one", "published");
        await log.StopAsync();
        string guard = log.NewestGuard;
        Hash other = MerkleHash.Leaf("another tree"u8);
        byte[] record = new HeadRecord(1, "signed", new TreeHead(1, other, Sign(log, 1, other))).ToBytes();
        await File.WriteAllBytesAsync(guard, record);
        ConflictException refusal = await Assert.ThrowsAsync<ConflictException>(() => log.ServeAsync(guarded));
        Assert.Contains("two roots for one size", refusal.Message);
        Assert.Contains(".tlog-evidence", refusal.Message);
        Assert.Equal((EvidenceKind.Fork, true), Only(log));

        // A guard that a stranger wrote refuses the start as well, and is no evidence.
        Directory.Delete(Path.Combine(log.Data, EvidenceFolder.Name), recursive: true);
        NoteSigner stranger = new(TestLog.Origin, Ed25519PrivateKey.Generate());
        byte[] text = new Checkpoint(TestLog.Origin, 1, other).ToText();
        await File.WriteAllBytesAsync(guard, new HeadRecord(1, "signed", new TreeHead(1, other, new Note(text, [stranger.Sign(text)]).ToBytes())).ToBytes());
        await Assert.ThrowsAsync<ConflictException>(() => log.ServeAsync(guarded));
        Assert.False(HasEvidence(log));
    }

    [Fact]
    public async Task Webhooks_hear_of_it_while_the_log_is_halted()
    {
        ConcurrentQueue<byte[]> received = new();
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        await using WebApplication hook = builder.Build();
        hook.Run(async context =>
        {
            using MemoryStream body = new();
            await context.Request.Body.CopyToAsync(body);
            received.Enqueue(body.ToArray());
            context.Response.StatusCode = received.Count == 1 ? 500 : 204;
        });
        await hook.StartAsync();
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g 1 a b\nquorum g\n", settings => settings with { EvidenceWebhooks = [new Uri(hook.Urls.Single())] });
        TestLog log = witnessed.Log;
        await log.AddBatchAsync([.. Enumerable.Range(0, 9).Select(i => BitConverter.GetBytes(i))]);
        await log.CheckLog(9);
        Assert.Empty(received);
        witnessed[1].Shows = Sign(log, 7, MerkleHash.Leaf("another tree"u8));
        witnessed[1].Behave = StubWitness.Says(422, "no\n");
        await log.AddAsync("one more");
        await Eventually.TrueAsync(() => received.Count == 2, "sent, refused, and sent again");
        byte[] file = File.ReadAllBytes(Assert.Single(Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name), "*.tlog-evidence")));
        Assert.All(received, body => Assert.Equal(file, body));
        await Eventually.TrueAsync(() => Directory.GetFiles(Path.Combine(log.Data, EvidenceFolder.Name), "*.sent").Length == 1, "marked");
        Assert.Equal(EngineState.Halted, log.Engine.State);
    }
}
