using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

/// <summary>tlog evidence verify, with real keys, and what tlog fsck keeps when a log contradicts itself.</summary>
public sealed class EvidenceTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly MemoryLog _log = new(300);
    private readonly MemoryLog _fork = Forked(300, 310, 7);

    public void Dispose()
    {
        _log.Dispose();
        _fork.Dispose();
        _scratch.Dispose();
    }

    /// <summary>The same log and key with other entries from an index on.</summary>
    private static MemoryLog Forked(int size, int grown, int at)
    {
        MemoryLog fork = new(size);
        for (int i = at; i < grown; i++)
        {
            byte[] entry = Encoding.ASCII.GetBytes($"another {i}");
            if (i < size) fork.Entries[i] = entry;
            else fork.Entries.Add(entry);
        }

        fork.Publish(grown);
        return fork;
    }

    private static Note NoteOf(byte[] bytes) => Note.TryParse(bytes, out Note? note) ? note! : throw new InvalidOperationException("not a note");

    private TlogEvidence Fork(long size = 300) => TlogEvidence.Of(NoteOf(_log.Sign(size)), NoteOf(_fork.Sign(size)), [])!;

    private Task<Tlog> VerifyAsync(byte[] file, params string[] trust) => Tlog.RunAsync(["evidence", "verify", _scratch.Write("e.tlog-evidence", file), .. trust]);

    private string Vkey => _log.Signer.Key.ToString();

    [Fact]
    public async Task Verify_says_what_is_proven_by_whom_with_the_vkey_or_a_policy()
    {
        TlogEvidence fork = Fork();
        Checkpoint[] pair = [.. fork.Checkpoints];
        string[] lines = ["kind fork", "origin example.com/log", "size 300", $"root {pair[0].Root}", $"signed by {Vkey}", "size 300", $"root {pair[1].Root}", $"signed by {Vkey}"];
        string policy = _scratch.Write("policy", _log.PolicyText());
        foreach (string[] trust in (string[][])[["--vkey", Vkey], ["--policy", policy], ["--vkey", new MemoryLog(1, seed: 9).Signer.Key.ToString(), "--vkey", Vkey]])
        {
            Tlog run = (await VerifyAsync(fork.ToBytes(), trust)).Succeeds();
            Assert.Equal(lines, run.Lines);
            Assert.Contains("proven: the log has signed two trees of one size", run.Error);
        }

        Tlog piped = await Tlog.RunAsync(fork.ToBytes(), ["evidence", "verify", "-", "--vkey", Vkey]);
        Assert.Equal(lines, piped.Succeeds().Lines);
        Tlog zero = (await VerifyAsync(TlogEvidence.Of(NoteOf(_log.Sign(0, root: _log.Root(1))))!.ToBytes(), "--vkey", Vkey)).Succeeds();
        Assert.Equal(["kind size-zero", "origin example.com/log", "size 0", $"root {_log.Root(1)}", $"signed by {Vkey}"], zero.Lines);
    }

    [Fact]
    public async Task Verify_refuses_with_1_what_does_not_convince_and_with_2_what_it_cannot_judge()
    {
        byte[] file = Fork().ToBytes();
        string path = _scratch.Write("fork", file), policy = _scratch.Write("policy", _log.PolicyText());
        (await VerifyAsync(file, "--vkey", new MemoryLog(1, seed: 2).Signer.Key.ToString())).Fails(1, "not signed by a key that is trusted");
        (await VerifyAsync(file, "--policy", _scratch.Write("other", new MemoryLog(1, origin: "example.com/other").PolicyText()))).Fails(1, "no log of the policy has its origin");
        (await VerifyAsync(file[..^1], "--vkey", Vkey)).Fails(1, "cut or missing");
        (await VerifyAsync("no evidence"u8.ToArray(), "--vkey", Vkey)).Fails(1, "first line");
        (await VerifyAsync(new byte[TlogEvidence.MaxSize + 1], "--vkey", Vkey)).Fails(1, "more than");
        TlogEvidence unproven = TlogEvidence.Of(NoteOf(_log.Sign(299)), NoteOf(_fork.Sign(300)), [])!;
        (await VerifyAsync(unproven.ToBytes(), "--vkey", Vkey)).Fails(1, "nothing shows that they conflict");
        (await Tlog.RunAsync("evidence", "verify", path)).Fails(2, "either --policy or --vkey");
        (await Tlog.RunAsync("evidence", "verify", path, "--vkey", Vkey, "--policy", policy)).Fails(2, "either --policy or --vkey");
        (await Tlog.RunAsync("evidence", "verify", path, "--vkey", "nonsense")).Fails(2, "--vkey is a log's verifier key");
        (await Tlog.RunAsync("evidence", "verify", path, "--policy", _scratch["nothing"])).Fails(2, $"no such file: {_scratch["nothing"]}");
        (await Tlog.RunAsync("evidence", "verify", _scratch["nothing"], "--vkey", Vkey)).Fails(2, $"no such file: {_scratch["nothing"]}");
    }

    [Fact]
    public async Task What_a_witness_could_not_prove_is_proven_from_the_logs_tiles()
    {
        using StubLog stub = new(_fork.Files);
        string[] trust = ["--vkey", Vkey];
        foreach (int size in (int[])[8, 256, 299])
        {
            // As a witness keeps it: with the proof of a request, which leaves the first hash out where the size is a power of two; or with none at all.
            string unproven = _scratch.Write("unproven", TlogEvidence.Of(NoteOf(_log.Sign(size)), NoteOf(_fork.Sign(310)), [])!.ToBytes());
            (await Tlog.RunAsync(["evidence", "verify", unproven, .. trust])).Fails(1, "nothing shows that they conflict");
            Tlog run = (await Tlog.RunAsync(["evidence", "prove", unproven, stub.Url, .. trust, "--evidence", _scratch[$"proven{size}"]])).Succeeds();
            Assert.Equal(["kind inconsistent", "origin example.com/log", $"size {size}"], run.Lines[..3]);
            (await Tlog.RunAsync(["evidence", "verify", Assert.Single(Directory.GetFiles(_scratch[$"proven{size}"])), .. trust])).Succeeds();
        }

        // Entries 0 to 6 are the same in both: these checkpoints are consistent, and somebody had sent a bad proof.
        string consistent = _scratch.Write("consistent", TlogEvidence.Of(NoteOf(_log.Sign(7)), NoteOf(_fork.Sign(310)), [_log.Root(1)])!.ToBytes());
        (await Tlog.RunAsync(["evidence", "prove", consistent, stub.Url, .. trust])).Fails(1, "are consistent");
        string again = _scratch.Write("again", TlogEvidence.Of(NoteOf(_log.Sign(8)), NoteOf(_fork.Sign(310)), [])!.ToBytes());
        (await Tlog.RunAsync(["evidence", "prove", again, stub.Url, "--vkey", new MemoryLog(1, seed: 2).Signer.Key.ToString()])).Fails(1, "has not signed both");
        (await Tlog.RunAsync(["evidence", "prove", _scratch.Write("fork", Fork().ToBytes()), stub.Url, .. trust])).Fails(2, "needs no more proof");
        stub.Planted["tile/0/001.p/54"] = _ => new StubAnswer(404, []);
        (await Tlog.RunAsync(["evidence", "prove", again, stub.Url, .. trust])).Fails(1, "no tiles that lead");
    }

    /// <summary>With the last line made anew too: then the signatures alone stand against it, and these are real ones.</summary>
    [Fact]
    public void No_byte_of_a_file_can_be_changed_with_real_signatures()
    {
        using MemoryLog small = new(12), other = Forked(12, 17, 3);
        Hash[] leaves = [.. other.Entries.Take(17).Select(entry => MerkleHash.Leaf(entry))];
        Hash[] hashes = [MerkleHash.Root(leaves.AsSpan(8, 4)), MerkleHash.Root(leaves.AsSpan(12, 4)), MerkleHash.Root(leaves.AsSpan(0, 8)), leaves[16]];
        INoteVerifier[] key = [Verifiers.TryCreate(_log.Signer.Key)!];
        foreach (TlogEvidence evidence in (TlogEvidence[])[Fork(), TlogEvidence.Of(NoteOf(small.Sign(12)), NoteOf(other.Sign(17)), hashes)!])
        {
            Assert.NotEqual(EvidenceKind.Unproven, evidence.Kind);
            byte[] file = evidence.ToBytes(), body = file[..^72];
            Assert.True(Convinces(file));
            for (int at = 0; at < file.Length; at++)
            {
                foreach (byte value in (byte[])[(byte)(file[at] ^ 1), (byte)(file[at] ^ 0x20), (byte)'A', (byte)'\n'])
                {
                    if (value == file[at]) continue;
                    byte[] changed = [.. file];
                    changed[at] = value;
                    Assert.False(Convinces(changed), $"byte {at} as {value}");
                    if (at < body.Length) Assert.False(Convinces([.. changed[..^72], .. Encoding.ASCII.GetBytes($"sha256 {Convert.ToHexStringLower(SHA256.HashData(changed[..^72]))}\n")]), $"byte {at} as {value}, sealed");
                }
            }
        }

        bool Convinces(byte[] file) => TlogEvidence.TryParse(file, out TlogEvidence? evidence, out _) && evidence!.TryVerify(key, out _);
    }

    [Fact]
    public async Task CP14_fsck_keeps_two_roots_of_one_size_where_it_is_told()
    {
        using StubLog stub = TwoFaced(_log, _log.Sign(300), _fork.Sign(300), _fork);
        Tlog run = await Tlog.RunAsync("fsck", stub.Url, "--vkey", Vkey, "--evidence", _scratch["kept/here"]);
        Assert.Equal(1, run.Code);
        Assert.StartsWith("checkpoint: checkpoint: expected root", Assert.Single(run.Lines));
        string path = Assert.Single(Directory.GetFiles(_scratch["kept/here"]));
        Assert.Contains($"keep {path}", run.Error);
        Assert.Equal(Fork().ToBytes(), File.ReadAllBytes(path));
        (await Tlog.RunAsync("evidence", "verify", path, "--vkey", Vkey)).Succeeds();
    }

    [Theory]
    [InlineData(300)]
    [InlineData(256)] // a power of two, where the RFC's proof would not tell
    [InlineData(1)]
    public async Task CP14_fsck_proves_that_a_log_which_grew_did_not_grow_from_what_it_showed(int size)
    {
        _log.Publish(size);
        using MemoryLog fork = Forked(300, 310, 0);
        using StubLog stub = TwoFaced(_log, _log.Sign(size), fork.Sign(310), fork);
        Tlog run = await Tlog.RunAsync("fsck", stub.Url, "--vkey", Vkey, "--evidence", _scratch.Root);
        Assert.Equal(1, run.Code);
        string path = Assert.Single(Directory.GetFiles(_scratch.Root, "*.tlog-evidence"));
        Tlog verified = (await Tlog.RunAsync("evidence", "verify", path, "--vkey", Vkey)).Succeeds();
        Assert.Equal(["kind inconsistent", "origin example.com/log", $"size {size}", $"root {_log.Root(size)}"], verified.Lines[..4]);
        Assert.Equal(["size 310", $"root {fork.Root(310)}"], verified.Lines[5..7]);
    }

    [Fact]
    public async Task CP14_evidence_that_cannot_be_written_is_printed_in_base64()
    {
        using StubLog stub = TwoFaced(_log, _log.Sign(300), _fork.Sign(300), _fork);
        string file = _scratch.Write("a-file", "x");
        Tlog run = await Tlog.RunAsync("fsck", stub.Url, "--vkey", Vkey, "--evidence", file);
        Assert.Equal(1, run.Code);
        string[] said = [.. run.Error.Split('\n')[..^1].Select(line => line["tlog: ".Length..])];
        int from = 1 + Array.FindIndex(said, line => line.EndsWith("base64, after the \"tlog: \" of each line:", StringComparison.Ordinal));
        Assert.True(from > 0, run.Error);
        Assert.Equal(Fork().ToBytes(), Convert.FromBase64String(string.Concat(said[from..^1])));
    }

    [Fact]
    public async Task Without_a_key_nobody_has_signed_anything_and_nothing_is_kept()
    {
        using StubLog stub = TwoFaced(_log, _log.Sign(300), _fork.Sign(310), _fork);
        Tlog run = await Tlog.RunAsync("fsck", stub.Url, "--evidence", _scratch["kept"]);
        Assert.Equal(1, run.Code);
        Assert.False(Directory.Exists(_scratch["kept"]));
    }

    /// <summary>A log that serves one tree until its checkpoint is asked for again, and another tree from then on.</summary>
    private static StubLog TwoFaced(MemoryLog first, byte[] checkpoint, byte[] next, MemoryLog then)
    {
        StubLog stub = new(first.Files);
        int asked = 0;
        stub.Planted["checkpoint"] = _ =>
        {
            if (Interlocked.Increment(ref asked) == 1) return new StubAnswer(200, checkpoint);
            foreach ((string path, byte[] bytes) in then.Files.Where(file => file.Key != "checkpoint")) stub.Plant(path, bytes);
            return new StubAnswer(200, next);
        };
        return stub;
    }
}
