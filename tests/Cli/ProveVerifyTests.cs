using System.Text;

namespace TransparencyLog.Tests.Cli;

/// <summary>get, prove, verify and fsck URL against stub logs.</summary>
public sealed class ProveVerifyTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly MemoryLog _log = new(700, witnesses: 3);
    private readonly StubLog _stub;
    private readonly string _policy;

    public ProveVerifyTests()
    {
        _stub = new StubLog(_log.Files);
        _policy = _scratch.Write("policy", _log.PolicyText());
    }

    public void Dispose()
    {
        _stub.Dispose();
        _log.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task Get_writes_the_raw_bytes_from_the_endpoint_or_from_the_bundle()
    {
        Assert.Equal(_log.Entries[300], (await Tlog.RunAsync("get", _stub.Url, "300")).Succeeds().Bytes);
        Assert.Equal(_log.Entries[699], (await Tlog.RunAsync("get", _stub.Url, "699")).Succeeds().Bytes);
        byte[] raw = [0, 255, 10, 13];
        _stub.Plant("entry/300", raw);
        Assert.Equal(raw, (await Tlog.RunAsync("get", _stub.Url + "/", "300")).Succeeds().Bytes);
        (await Tlog.RunAsync("get", _stub.Url, "700")).Fails(1, "no entry 700; its size is 700");
    }

    [Theory]
    [InlineData(0)]
    [InlineData(300)]
    [InlineData(699)]
    public async Task Prove_by_index_gives_a_proof_that_verifies_offline(int index)
    {
        Tlog run = (await Tlog.RunAsync("prove", _stub.Url, $"{index}", "--out", _scratch["p.tlog-proof"], "--policy", _policy)).Succeeds();
        Assert.Equal($"{index}\n", run.Out);
        Assert.Equal(_log.Prove(index, 700).ToBytes(), File.ReadAllBytes(_scratch["p.tlog-proof"]));
        Tlog verified = (await VerifyAsync("p.tlog-proof", _log.Entries[index])).Succeeds();
        Assert.Equal([$"index {index}", "size 700", "origin example.com/log"], verified.Lines);
        Assert.Contains("no witness", verified.Error);
    }

    [Fact]
    public async Task Prove_takes_the_proof_of_the_endpoint_where_there_is_one()
    {
        _stub.Plant("proof/inclusion?index=5", _log.Prove(5, 700, _log.Sign(700, cosigned: 2)).ToBytes());
        Tlog run = (await Tlog.RunAsync("prove", _stub.Url, "5", "--out", "-")).Succeeds();
        Assert.Equal(_log.Prove(5, 700, _log.Sign(700, cosigned: 2)).ToBytes(), run.Bytes);
        Assert.DoesNotContain("GET tile/0/000", _stub.Requests);
        _stub.Plant("proof/inclusion?index=5", new TlogProof(5, _log.Prove(6, 700).Hashes, _log.Sign(700)).ToBytes());
        (await Tlog.RunAsync("prove", _stub.Url, "5", "--out", _scratch["p"])).Fails(1, "does not lead to the root");
        Assert.False(File.Exists(_scratch["p"]));
    }

    [Fact]
    public async Task Prove_finds_the_content_of_a_file_from_the_newest_tile_on_and_adds_nothing()
    {
        string file = _scratch.Write("entry", _log.Entries[300]);
        Assert.Equal("300\n", (await Tlog.RunAsync("prove", _stub.Url, file, "--out", _scratch["p.tlog-proof"])).Succeeds().Out);
        (await VerifyAsync("p.tlog-proof", _log.Entries[300])).Succeeds();
        string[] searched = [.. _stub.Requests.Where(request => request.StartsWith("GET tile/0/", StringComparison.Ordinal))];
        Assert.Equal(["GET tile/0/002.p/188", "GET tile/0/001"], searched[..2]);
        Assert.DoesNotContain(_stub.Requests, request => request.StartsWith("POST", StringComparison.Ordinal));
        (await Tlog.RunAsync("prove", _stub.Url, _scratch.Write("unknown", "never added"), "--out", _scratch["q"])).Fails(1, "no entry of its 700");
        (await Tlog.RunAsync("prove", _stub.Url, _scratch["nothing"], "--out", _scratch["q"])).Fails(2, $"no such file: {_scratch["nothing"]}");
        Assert.False(File.Exists(_scratch["q"]));
    }

    [Fact]
    public async Task Prove_refuses_an_index_beyond_the_checkpoint_and_a_checkpoint_of_another_key()
    {
        (await Tlog.RunAsync("prove", _stub.Url, "700", "--out", _scratch["p"])).Fails(1, "size is 700");
        using MemoryLog other = new(700, seed: 3);
        _stub.Plant("checkpoint", other.Files["checkpoint"]);
        (await Tlog.RunAsync("prove", _stub.Url, "5", "--out", _scratch["p"], "--policy", _policy)).Fails(1, "no key of the log");
        (await Tlog.RunAsync("prove", _stub.Url, "5", "--out", _scratch["no/folder/p"])).Fails(2, "cannot be written");
        Assert.False(File.Exists(_scratch["p"]));
    }

    [Fact]
    public async Task N15_prove_writes_through_a_link_keeps_the_mode_and_leaves_a_neighbours_file_alone()
    {
        const UnixFileMode Shared = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.GroupRead;
        Directory.CreateDirectory(_scratch["site"]);
        File.WriteAllText(_scratch["site/proof"], "old");
        File.SetUnixFileMode(_scratch["site/proof"], Shared);
        File.WriteAllText(_scratch["site/proof.new"], "not ours");
        File.CreateSymbolicLink(_scratch["link"], "site/proof");
        (await Tlog.RunAsync("prove", _stub.Url, "5", "--out", _scratch["link"])).Succeeds();
        Assert.Equal(_log.Prove(5, 700).ToBytes(), File.ReadAllBytes(_scratch["site/proof"]));
        Assert.Equal(Shared, File.GetUnixFileMode(_scratch["site/proof"]));
        Assert.Equal("site/proof", new FileInfo(_scratch["link"]).LinkTarget);
        Assert.Equal("not ours", File.ReadAllText(_scratch["site/proof.new"]));
        (await Tlog.RunAsync("prove", _stub.Url, "5", "--out", _scratch["site"])).Fails(2, $"{_scratch["site"]} cannot be written: it is a directory");
        Assert.Equal(["proof", "proof.new"], Directory.GetFileSystemEntries(_scratch["site"]).Select(Path.GetFileName).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task PR08_verify_says_who_cosigned_and_when()
    {
        Write("p", _log.Prove(5, 700, _log.Sign(700, cosigned: 2)));
        Tlog run = (await VerifyAsync("p", _log.Entries[5], quorum: 2)).Succeeds();
        Assert.Equal(["index 5", "size 700", "origin example.com/log", "witness witness0.example 2023-11-14T22:13:20Z", "witness witness1.example 2023-11-14T22:13:20Z"], run.Lines);
        Assert.Equal("", run.Error);
        Assert.Empty(_stub.Requests);
    }

    [Fact]
    public async Task M04_verify_refuses_another_entry_another_index_and_broken_hashes()
    {
        TlogProof proof = _log.Prove(5, 700);
        Write("p", proof);
        (await VerifyAsync("p", _log.Entries[6])).Fails(1, "the entry is not the one at index 5");
        (await VerifyAsync("p", [])).Fails(1, "does not hold");
        (await VerifyAsync("p", new byte[65536])).Fails(1, "an entry of no log");
        Write("index", new TlogProof(6, proof.Hashes, proof.Checkpoint));
        (await VerifyAsync("index", _log.Entries[5])).Fails(1, "the entry is not the one at index 6");
        byte[] hash = proof.Hashes[3].ToArray();
        hash[0] ^= 1;
        Write("hash", new TlogProof(5, [.. proof.Hashes.Take(3), new Hash(hash), .. proof.Hashes.Skip(4)], proof.Checkpoint));
        (await VerifyAsync("hash", _log.Entries[5])).Fails(1, "does not lead to the root");
        Write("short", new TlogProof(5, [.. proof.Hashes.Skip(1)], proof.Checkpoint));
        (await VerifyAsync("short", _log.Entries[5])).Fails(1, "hashes; for index 5 at size 700");
    }

    [Fact]
    public async Task M03_verify_refuses_another_log_an_unknown_key_and_a_missing_quorum()
    {
        using MemoryLog other = new(700, origin: "example.com/other");
        using MemoryLog unknown = new(700, seed: 5);
        Write("other", other.Prove(5, 700));
        (await VerifyAsync("other", _log.Entries[5])).Fails(1, "no log of the policy has the origin");
        Write("unknown", unknown.Prove(5, 700));
        (await VerifyAsync("unknown", _log.Entries[5])).Fails(1, "no key of the log");
        Write("quorum", _log.Prove(5, 700, _log.Sign(700, cosigned: 1)));
        (await VerifyAsync("quorum", _log.Entries[5], quorum: 2)).Fails(1, "quorum is not met");
    }

    [Fact]
    public async Task Verify_refuses_every_truncation_of_a_proof()
    {
        byte[] whole = _log.Prove(5, 700).ToBytes();
        for (int length = 0; length < whole.Length; length += 7)
        {
            _scratch.Write("cut", whole[..length]);
            Tlog run = await VerifyAsync("cut", _log.Entries[5]);
            Assert.Equal((1, ""), (run.Code, run.Out));
        }

        _scratch.Write("cut", [.. whole, .. "x"u8]);
        Assert.Equal(1, (await VerifyAsync("cut", _log.Entries[5])).Code);
    }

    [Fact]
    public async Task Verify_without_its_files_is_exit_code_2()
    {
        Write("p", _log.Prove(5, 700));
        string entry = _scratch.Write("entry", _log.Entries[5]);
        (await Tlog.RunAsync("verify", _scratch["nothing"], "--entry", entry, "--policy", _policy)).Fails(2, $"no such file: {_scratch["nothing"]}");
        (await Tlog.RunAsync("verify", _scratch["p"], "--entry", _scratch["nothing"], "--policy", _policy)).Fails(2, $"no such file: {_scratch["nothing"]}");
        (await Tlog.RunAsync("verify", _scratch["p"], "--entry", entry, "--policy", _scratch["nothing"])).Fails(2, $"no such file: {_scratch["nothing"]}");
        (await Tlog.RunAsync("verify", _scratch["p"], "--entry", entry, "--policy", _scratch.Write("bad", "quorum\n"))).Fails(2, "line 1");
    }

    [Fact]
    public async Task Fsck_of_a_url_sums_up_a_whole_log()
    {
        _stub.Plant("checkpoint", _log.Sign(700, cosigned: 2));
        string policy = _scratch.Write("policy2", _log.PolicyText(quorum: 2));
        Tlog run = (await Tlog.RunAsync("fsck", _stub.Url, "--policy", policy)).Succeeds();
        Assert.Equal(["entries 700", "segments 2", "size 700", $"root {_log.Checkpoint.Root}", $"signed by {_log.Signer.Key}", "cosigned by witness0.example", "cosigned by witness1.example"], run.Lines[..7]);
        Assert.Equal("", run.Error);
        (await Tlog.RunAsync("fsck", _stub.Url, "--vkey", _log.Signer.Key.ToString())).Succeeds();
        run = (await Tlog.RunAsync("fsck", _stub.Url)).Succeeds();
        Assert.Contains("signed by not checked", run.Lines);
        Assert.Contains("was not checked", run.Error);
    }

    [Fact]
    public async Task M01_fsck_of_a_url_names_each_planted_damage()
    {
        using MemoryLog other = new(700, seed: 2);
        byte[] tile = _log.Files["tile/0/001"], wrong = [.. tile];
        wrong[44 * 32] ^= 1;
        byte[] Forged() => MemoryLog.Bundle(_log.Entries.Skip(256).Take(256).Select((entry, i) => i == 44 ? "forged"u8.ToArray() : entry));
        (string Path, byte[]? Body, string Line)[] damages =
        [
            ("tile/0/001", tile[..^32], "tile: tile/0/001, segment 1: expected 8192 bytes, found 8160 bytes"),
            ("tile/0/001", wrong, $"leaf-hash: tile/0/001, segment 1, index 300: expected {MerkleHash.Leaf(_log.Entries[300])}, the hash of the entry in tile/entries/001, found {new Hash(wrong.AsSpan(44 * 32, 32))}"),
            ("tile/0/001", null, "missing: tile/0/001, segment 1: expected 256 hashes, found 404"),
            ("tile/1/000.p/2", [.. MerkleHash.Leaf("x"u8).ToArray(), .. _log.Files["tile/1/000.p/2"][32..]], $"tile: tile/1/000.p/2, hash 0, segment 0: expected {new Hash(_log.Files["tile/1/000.p/2"].AsSpan(0, 32))}, found {MerkleHash.Leaf("x"u8)}"),
            ("tile/entries/001", Forged(), $"leaf-hash: tile/0/001, segment 1, index 300: expected {MerkleHash.Leaf("forged"u8)}, the hash of the entry in tile/entries/001, found {MerkleHash.Leaf(_log.Entries[300])}"),
            ("tile/entries/001", MemoryLog.Bundle(_log.Entries.Skip(256).Take(255)), "entry-bundle: tile/entries/001, segment 1, index 511: expected 256 entries, found 255 entries"),
            ("checkpoint", other.Files["checkpoint"], "checkpoint: checkpoint: expected a checkpoint that the policy accepts, found no key of the log"),
        ];
        foreach ((string path, byte[]? body, string line) in damages)
        {
            _stub.Planted[path] = _ => body is null ? new StubAnswer(404, []) : new StubAnswer(200, body);
            Tlog run = await Tlog.RunAsync("fsck", _stub.Url, "--policy", _policy);
            _stub.Planted.TryRemove(path, out _);
            Assert.Equal(1, run.Code);
            Assert.StartsWith(line, Assert.Single(run.Lines));
        }
    }

    private void Write(string name, TlogProof proof) => _scratch.Write(name, proof.ToBytes());

    private Task<Tlog> VerifyAsync(string proof, byte[] entry, int quorum = 0) =>
        Tlog.RunAsync("verify", _scratch[proof], "--entry", _scratch.Write("entry-to-verify", entry), "--policy", _scratch.Write("policy-to-verify", Encoding.UTF8.GetBytes(_log.PolicyText(quorum))));
}
