using System.Text;
using TransparencyLog.Cli;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

/// <summary>tlog feed between a log and a witness that are a few lines each.</summary>
public sealed class FeedTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly MemoryLog _log = new(300), _other = new(400, seed: 1);
    private readonly StubLog _served, _witness = new(new Dictionary<string, byte[]>(StringComparer.Ordinal));
    private readonly Ed25519PrivateKey _witnessKey = Ed25519PrivateKey.Generate();
    private readonly Cosigner _cosigner;
    private readonly string _policy;
    private long _size;

    public FeedTests()
    {
        _served = new StubLog(_log.Files);
        _cosigner = new Cosigner("witness.example", _witnessKey);
        _witness.Planted["add-checkpoint"] = Cosign;
        _policy = _scratch.Write("policy", $"log {_log.Signer.Key}\nwitness w {_cosigner.Key} {_witness.Url}\nquorum w\n");
    }

    public void Dispose()
    {
        _served.Dispose();
        _witness.Dispose();
        _log.Dispose();
        _other.Dispose();
        _witnessKey.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task Once_gives_the_cosigned_checkpoint_and_nothing_else()
    {
        Tlog run = (await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once")).Succeeds();
        Assert.Equal("", run.Error);
        Assert.True(CheckpointCheck.TryVerify(run.Bytes, _log.Policy(), out VerifiedCheckpoint? verified, out string reason), reason);
        Assert.Equal(300, verified.Checkpoint.Size);
        Assert.True(Note.TryParse(run.Bytes, out Note? note));
        Assert.Equal(NoteStatus.Verified, note!.Verify([Verifiers.TryCreate(_cosigner.Key)!]).Status);
        Assert.Equal(2, _witness.Requests.Count); // the first has learnt that it knows nothing of the log

        string file = _scratch["cosigned"];
        Assert.Equal("", (await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once", "--out", file)).Succeeds().Out);
        Assert.True(Note.TryParse(await File.ReadAllBytesAsync(file), out note));
        Assert.Equal(NoteStatus.Verified, note!.Verify([Verifiers.TryCreate(_cosigner.Key)!]).Status);
    }

    [Fact]
    public async Task N15_a_fifo_gets_the_checkpoint_and_stays_a_fifo()
    {
        string fifo = _scratch["fifo"];
        using (System.Diagnostics.Process mkfifo = System.Diagnostics.Process.Start("mkfifo", [fifo]))
        {
            await mkfifo.WaitForExitAsync(TestContext.Current.CancellationToken);
            Assert.Equal(0, mkfifo.ExitCode);
        }

        Task<byte[]> reading = Task.Run(() => File.ReadAllBytes(fifo), TestContext.Current.CancellationToken);
        (await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once", "--out", fifo)).Succeeds();
        Assert.True(CheckpointCheck.TryVerify(await reading, _log.Policy(), out _, out string reason), reason);
        Assert.Equal([fifo], Directory.GetFileSystemEntries(_scratch.Root, "fifo*"));
        Assert.Equal(0, new FileInfo(fifo).Length); // a regular file would have the checkpoint's bytes
    }

    [Fact]
    public async Task The_vkey_says_which_log_it_is_where_the_policy_does_not()
    {
        string policy = _scratch.Write("without", $"witness w {_cosigner.Key} {_witness.Url}\nquorum w\n");
        (await Tlog.RunAsync("feed", _served.Url, "--policy", policy, "--once")).Fails(2, "vkey");
        (await Tlog.RunAsync("feed", _served.Url, "--policy", policy, "--once", "--vkey", "nonsense")).Fails(2, "--vkey");
        (await Tlog.RunAsync("feed", _served.Url, "--policy", policy, "--once", "--vkey", _log.Signer.Key.ToString())).Succeeds();
    }

    [Fact]
    public async Task Without_a_quorum_nothing_is_given_and_the_exit_code_says_that_it_may_pass()
    {
        _witness.Planted["add-checkpoint"] = _ => new StubAnswer(500, []);
        Tlog run = await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once", "--wait", "1");
        Assert.Equal((4, ""), (run.Code, run.Out));
        Assert.Contains("witness w at ", run.Error);
        Assert.Contains("status 500", run.Error);
        Assert.Contains("do not meet the quorum", run.Error);
    }

    [Theory]
    [InlineData(409, "301\n", "it has cosigned size 301, and the log shows 300")]
    [InlineData(422, "", "422: ")]
    public async Task G07_a_witness_that_contradicts_the_log_is_told_loudly_with_exit_code_1(int status, string body, string said)
    {
        _witness.Planted["add-checkpoint"] = _ => new StubAnswer(status, Encoding.ASCII.GetBytes(body));
        Tlog run = await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once", "--wait", "1");
        Assert.Equal((1, ""), (run.Code, run.Out));
        Assert.Contains("CONTRADICTION", run.Error);
        Assert.Contains(said, run.Error);
    }

    [Fact]
    public async Task What_the_log_did_not_sign_or_does_not_hold_is_never_fed()
    {
        using MemoryLog forged = new(300, seed: 2);
        _served.Plant("checkpoint", forged.Files["checkpoint"]);
        (await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once")).Fails(1, "checkpoint");

        // Signed, and not what its tiles give.
        _served.Plant("checkpoint", _log.Sign(300, root: MerkleHash.Leaf([1])));
        (await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once")).Fails(1, "tiles that give the root of the checkpoint; nothing is fed");
        Assert.Empty(_witness.Requests);
    }

    [Fact]
    public async Task A_log_that_does_not_extend_what_it_served_before_is_never_fed_again()
    {
        using LogReader reader = new(_served.Url);
        Assert.True(Policy.TryParse(await File.ReadAllBytesAsync(_policy), out Policy? policy, out _));
        await using LogFeeder feeder = new(reader, policy!, null, new LogFeederOptions());
        Assert.True((await feeder.FeedAsync(default)).MeetsQuorum);
        int asked = _witness.Requests.Count;

        // Larger, whole in itself, signed with the same key, of other entries.
        _other.Entries[7] = [1];
        _other.Publish(400);
        foreach ((string path, byte[] bytes) in _other.Files) _served.Plant(path, bytes);
        LogReaderException lie = await Assert.ThrowsAsync<LogReaderException>(() => feeder.FeedAsync(default));
        Assert.Equal(LogFailure.Lie, lie.Kind);
        Assert.Contains("a tree that extends size 300", lie.Message);
        Assert.Equal(asked, _witness.Requests.Count);
    }

    [Fact]
    public async Task At_an_interval_it_goes_on_through_trouble_until_it_is_asked_to_end()
    {
        string file = _scratch["cosigned"];
        using CancellationTokenSource end = new();
        using StringWriter errors = new();
        using MemoryStream output = new();
        _served.Planted["checkpoint"] = _ => new StubAnswer(503, []);
        Task<int> running = TransparencyLog.Cli.Program.RunAsync(
            ["feed", _served.Url, "--policy", _policy, "--out", file, "--interval", "1"], new Surroundings(Stream.Null, output, TextWriter.Synchronized(errors), TimeProvider.System), end.Token);
        await UntilAsync(() => errors.ToString().Contains("503", StringComparison.Ordinal));
        _served.Planted.TryRemove("checkpoint", out _);
        await UntilAsync(() => File.Exists(file));

        // Renewed each time.
        byte[] first = await File.ReadAllBytesAsync(file);
        await UntilAsync(() => !File.ReadAllBytes(file).AsSpan().SequenceEqual(first));
        await end.CancelAsync();
        Assert.Equal(0, await running);
    }

    [Theory]
    [InlineData("--interval", "0")]
    [InlineData("--interval", "86401")]
    [InlineData("--interval", "1.5")]
    [InlineData("--wait", "-1")]
    public async Task A_number_out_of_range_is_a_matter_of_usage(string option, string value) =>
        (await Tlog.RunAsync("feed", _served.Url, "--policy", _policy, "--once", option, value)).Fails(2, option);

    private StubAnswer Cosign(byte[] body)
    {
        Assert.True(AddCheckpointRequest.TryParse(body, out AddCheckpointRequest? request, out string error), error);
        Assert.True(Note.TryParse(request!.Checkpoint.Span, out Note? note));
        Assert.True(Checkpoint.TryParse(note!.Text.Span, out Checkpoint? checkpoint));
        if (request.OldSize != _size) return new StubAnswer(409, Encoding.ASCII.GetBytes($"{_size}\n"));
        _size = checkpoint!.Size;
        ulong now = (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
        return new StubAnswer(200, AddCheckpointResponse.ToBytes([_cosigner.Cosign(note.Text.Span, now)]));
    }

    private static async Task UntilAsync(Func<bool> condition)
    {
        long started = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(started) < TimeSpan.FromMinutes(1), "not in a minute");
            await Task.Delay(10);
        }
    }
}
