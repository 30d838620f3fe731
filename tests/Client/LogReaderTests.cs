using System.IO.Compression;
using System.Text;
using TransparencyLog.Client;

namespace TransparencyLog.Tests.Client;

/// <summary>What the reader asks for, takes and refuses.</summary>
public sealed class LogReaderTests : IDisposable
{
    private static readonly LogReaderOptions Quick = new() { AttemptTimeout = TimeSpan.FromSeconds(5), AppendTimeout = TimeSpan.FromSeconds(5), RetryDelay = TimeSpan.FromMilliseconds(1) };

    private readonly MemoryLog _log = new(700);
    private readonly StubLog _stub;
    private readonly LogReader _reader;

    public LogReaderTests()
    {
        _stub = new StubLog(_log.Files);
        _reader = new LogReader(_stub.Url + "/", Quick);
    }

    public void Dispose()
    {
        _reader.Dispose();
        _stub.Dispose();
        _log.Dispose();
    }

    [Fact]
    public async Task Checkpoint_tiles_and_bundles_of_a_log_are_read()
    {
        VerifiedCheckpoint verified = await _reader.ReadCheckpointAsync(_log.Policy(), default);
        Assert.Equal(_log.Checkpoint, verified.Checkpoint);
        Assert.Equal([_log.Signer.Key], verified.Keys);
        Assert.Equal(_log.Files["tile/0/002.p/188"], await _reader.ReadTileAsync(0, 2, verified.Checkpoint, default));
        Assert.Equal(_log.Files["tile/1/000.p/2"], await _reader.ReadTileAsync(1, 0, verified.Checkpoint, default));
        Assert.Equal(_log.Files["tile/entries/001"], await _reader.ReadBundleAsync(1, verified.Checkpoint, default));
    }

    [Fact]
    public async Task Every_proof_built_from_the_tiles_verifies()
    {
        foreach (int index in (int[])[0, 255, 256, 511, 512, 699])
        {
            Hash[] proof = await _reader.BuildAsync(ProofPlan.Inclusion(index, 700), _log.Checkpoint, default);
            Assert.Equal(_log.Prove(index, 700).Hashes, proof);
        }

        Assert.Equal([_log.Checkpoint.Root], await _reader.BuildAsync(ProofPlan.Root(700), _log.Checkpoint, default));
    }

    [Fact]
    public async Task TT21_no_partial_tile_is_asked_for_but_the_one_that_the_checkpoint_needs()
    {
        for (int level = 0; level <= 1; level++)
        {
            for (long index = 0; index <= 700 >> (8 * (level + 1)); index++) await _reader.ReadTileAsync(level, index, _log.Checkpoint, default);
        }

        for (long index = 0; index <= 2; index++) await _reader.ReadBundleAsync(index, _log.Checkpoint, default);
        for (int index = 0; index < 700; index += 50) await _reader.BuildAsync(ProofPlan.Inclusion(index, 700), _log.Checkpoint, default);
        for (int size = 1; size < 700; size += 50) await _reader.BuildAsync(ProofPlan.Consistency(size, 700), _log.Checkpoint, default);
        Assert.Equal(
            ["GET tile/0/000", "GET tile/0/001", "GET tile/0/002.p/188", "GET tile/1/000.p/2", "GET tile/entries/000", "GET tile/entries/001", "GET tile/entries/002.p/188"],
            _stub.Requests.Distinct().Order(StringComparer.Ordinal));

        int asked = _stub.Requests.Count;
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _reader.ReadTileAsync(0, 3, _log.Checkpoint, default));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _reader.ReadTileAsync(2, 0, _log.Checkpoint, default));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => _reader.ReadBundleAsync(3, _log.Checkpoint, default));
        Assert.Equal(asked, _stub.Requests.Count);
    }

    [Fact]
    public async Task TT22_a_partial_tile_or_bundle_that_is_gone_is_cut_from_the_full_one()
    {
        Checkpoint at600 = new(_log.Origin, 600, _log.Root(600));
        using MemoryLog grown = new(1024);
        foreach ((string path, byte[] bytes) in grown.Files) _stub.Planted[path] = _ => new StubAnswer(200, bytes);
        Assert.Equal(grown.Files["tile/0/002"][..(88 * 32)], await _reader.ReadTileAsync(0, 2, at600, default));
        Assert.Equal(MemoryLog.Bundle(_log.Entries.Skip(512).Take(88)), await _reader.ReadBundleAsync(2, at600, default));
        Assert.Contains("GET tile/0/002.p/88", _stub.Requests);
        Assert.Contains("GET tile/0/002", _stub.Requests);
    }

    [Fact]
    public async Task A_tile_that_is_nowhere_is_missing_and_both_its_names_were_asked_for()
    {
        _log.Files.Remove("tile/0/002.p/188");
        LogReaderException failure = await FailsAsync(LogFailure.Missing, () => _reader.ReadTileAsync(0, 2, _log.Checkpoint, default));
        Assert.Contains("tile/0/002.p/188", failure.Message);
        Assert.Equal("missing", failure.Damage!.Kind);
    }

    [Fact]
    public async Task M01_a_short_tile_and_a_long_tile_are_refused_with_both_lengths()
    {
        _stub.Plant("tile/0/001", _log.Files["tile/0/001"][..^1]);
        LogReaderException failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadTileAsync(0, 1, _log.Checkpoint, default));
        Assert.Equal(new Damage("tile", "tile/0/001", 1, null, "8192 bytes", "8191 bytes"), failure.Damage);
        _stub.Plant("tile/0/001", [.. _log.Files["tile/0/001"], 0]);
        failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadTileAsync(0, 1, _log.Checkpoint, default));
        Assert.Contains("more than the 8192 bytes", failure.Message);
    }

    [Fact]
    public async Task TT41_a_full_tile_at_a_partial_path_is_refused()
    {
        _stub.Plant("tile/0/002.p/188", _log.Files["tile/0/001"]);
        await FailsAsync(LogFailure.Lie, () => _reader.ReadTileAsync(0, 2, _log.Checkpoint, default));
    }

    [Fact]
    public async Task A_bundle_one_entry_short_names_the_first_missing_index()
    {
        _stub.Plant("tile/entries/001", MemoryLog.Bundle(_log.Entries.Skip(256).Take(255)));
        LogReaderException failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadBundleAsync(1, _log.Checkpoint, default));
        Assert.Equal(new Damage("entry-bundle", "tile/entries/001", 1, 511, "256 entries", "255 entries"), failure.Damage);
        _stub.Plant("tile/entries/001", _log.Files["tile/entries/001"][..^3]);
        failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadBundleAsync(1, _log.Checkpoint, default));
        Assert.Equal("entry-bundle", failure.Damage!.Kind);
    }

    [Fact]
    public async Task TT26_gzip_is_taken_and_TT27_gzip_and_identity_are_asked_for()
    {
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(_log.Files["tile/entries/000"]);
        _stub.Planted["tile/entries/000"] = _ =>
        {
            StubAnswer answer = new(200, packed.ToArray());
            answer.Headers["Content-Encoding"] = "gzip";
            return answer;
        };
        Assert.Equal(_log.Files["tile/entries/000"], await _reader.ReadBundleAsync(0, _log.Checkpoint, default));
        Assert.Equal("gzip, identity", Assert.Single(_stub.AcceptEncodings));
    }

    [Fact]
    public async Task A_small_gzip_that_unpacks_to_much_is_cut_off_at_the_limit()
    {
        using MemoryStream packed = new();
        using (GZipStream gzip = new(packed, CompressionLevel.Fastest, leaveOpen: true)) gzip.Write(new byte[50_000_000]);
        _stub.Planted["tile/0/000"] = _ =>
        {
            StubAnswer answer = new(200, packed.ToArray());
            answer.Headers["Content-Encoding"] = "gzip";
            return answer;
        };
        long before = GC.GetTotalAllocatedBytes();
        await FailsAsync(LogFailure.Lie, () => _reader.ReadTileAsync(0, 0, _log.Checkpoint, default));
        Assert.InRange(GC.GetTotalAllocatedBytes() - before, 0, 20_000_000);
    }

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task G09_a_redirect_is_not_followed(int status)
    {
        using StubLog other = new(_log.Files);
        _stub.Planted["checkpoint"] = _ =>
        {
            StubAnswer answer = new(status, []);
            answer.Headers["Location"] = other.Url + "/checkpoint";
            return answer;
        };
        LogReaderException failure = await FailsAsync(LogFailure.Trouble, () => _reader.ReadCheckpointBytesAsync(default));
        Assert.Contains("redirect", failure.Message);
        Assert.Empty(other.Requests);
    }

    [Fact]
    public async Task A_get_is_repeated_once_and_a_post_never()
    {
        int asked = 0;
        _stub.Planted["checkpoint"] = _ => Interlocked.Increment(ref asked) == 1 ? new StubAnswer(503, []) : new StubAnswer(200, _log.Files["checkpoint"]);
        Assert.Equal(_log.Files["checkpoint"], await _reader.ReadCheckpointBytesAsync(default));
        Assert.Equal(2, asked);

        _stub.Planted["add"] = _ =>
        {
            StubAnswer answer = new(503, Encoding.UTF8.GetBytes("{\"title\":\"full\",\"detail\":\"the queue is full\\u001b[2J\"}"), "application/problem+json");
            answer.Headers["Retry-After"] = "7";
            return answer;
        };
        LogReaderException failure = await FailsAsync(LogFailure.Trouble, () => _reader.AddAsync("x"u8.ToArray(), AddWait.Durable, default));
        Assert.EndsWith("/add answered 503: the queue is full?[2J; try again in 7 s", failure.Message);
        Assert.Single(_stub.Requests, "POST add");
    }

    /// <summary>JSON as far as its brackets go, with a text that is none: half of a surrogate pair, and bytes that are not UTF-8.</summary>
    [Theory]
    [InlineData("{\"detail\":\"\\ud800\"}")]
    [InlineData("{\"detail\":\"\u00ff\"}")]
    [InlineData("{\"title\":\"\\udc00x\",\"detail\":1}")]
    [InlineData("{\"\u00ff\":1}")]
    [InlineData("[")]
    public async Task A_problem_that_is_no_text_leaves_the_status(string latin1)
    {
        _stub.Planted["add"] = _ => new StubAnswer(400, Encoding.Latin1.GetBytes(latin1), "application/problem+json");
        LogReaderException failure = await FailsAsync(LogFailure.Refused, () => _reader.AddAsync("x"u8.ToArray(), AddWait.Durable, default));
        Assert.EndsWith("/add answered 400", failure.Message);
    }

    [Fact]
    public async Task A_log_that_does_not_answer_is_given_up_within_the_limit()
    {
        using ManualResetEventSlim hold = new();
        _stub.Planted["checkpoint"] = _ =>
        {
            hold.Wait(TimeSpan.FromSeconds(10));
            return new StubAnswer(200, []);
        };
        using LogReader reader = new(_stub.Url, Quick with { AttemptTimeout = TimeSpan.FromMilliseconds(150) });
        LogReaderException failure = await FailsAsync(LogFailure.Trouble, () => reader.ReadCheckpointBytesAsync(default));
        hold.Set();
        Assert.Contains("no answer within 0.15 s", failure.Message);
    }

    [Fact]
    public async Task Nobody_at_the_port_is_trouble()
    {
        _stub.Dispose();
        LogReaderException failure = await FailsAsync(LogFailure.Trouble, () => _reader.ReadCheckpointBytesAsync(default));
        Assert.Contains("cannot be reached", failure.Message);
    }

    [Fact]
    public async Task M01_an_older_checkpoint_than_before_is_refused()
    {
        await _reader.ReadCheckpointAsync(_log.Policy(), default);
        _stub.Plant("checkpoint", _log.Sign(600));
        LogReaderException failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadCheckpointAsync(_log.Policy(), default));
        Assert.Equal(new Damage("checkpoint", "checkpoint", null, null, "size 700 or more, which was served before", "size 600"), failure.Damage);

        // Old, and consistent with what was served before: no contradiction.
        Assert.Null(failure.Evidence);
    }

    [Fact]
    public async Task CP14_R08_an_older_checkpoint_of_another_tree_is_proven_from_the_tiles_of_the_larger_one()
    {
        VerifiedCheckpoint before = await _reader.ReadCheckpointAsync(_log.Policy(), default);
        foreach (long size in (long[])[1, 256, 512, 600, 699])
        {
            Hash other = MerkleHash.Leaf("another tree"u8);
            _stub.Plant("checkpoint", _log.Sign(size, root: other));
            LogReaderException failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadCheckpointAsync(_log.Policy(), default));
            TlogEvidence evidence = failure.Evidence!;
            Assert.Equal((EvidenceKind.Inconsistent, size, 700), (evidence.Kind, evidence.Checkpoints[0].Size, evidence.Checkpoints[1].Size));
            Assert.True(evidence.TryVerify([TransparencyLog.Signing.Verifiers.TryCreate(_log.Signer.Key)!], out string reason), reason);
        }

        // Tiles that are gone prove nothing; both notes are kept all the same.
        _stub.Planted["tile/0/002.p/188"] = _ => new StubAnswer(404, []);
        LogReaderException lost = await FailsAsync(LogFailure.Lie, () => _reader.ReadCheckpointAsync(_log.Policy(), default));
        Assert.Equal(EvidenceKind.Unproven, lost.Evidence!.Kind);
        Assert.Equal(before.Checkpoint, lost.Evidence.Checkpoints[1]);
    }

    [Fact]
    public async Task CP14_two_checkpoints_are_compared_in_any_order_and_with_the_logs_lines_alone()
    {
        using MemoryLog witnessed = new(700, witnesses: 2);
        using StubLog stub = new(witnessed.Files);
        using LogReader reader = new(stub.Url, Quick);
        Note Check(byte[] bytes) => CheckpointCheck.TryVerify(bytes, witnessed.Policy(1), out VerifiedCheckpoint? verified, out string reason) ? verified.LogNote() : throw new InvalidOperationException(reason);
        Note now = Check(witnessed.Sign(700, cosigned: 2)), older = Check(witnessed.Sign(300, cosigned: 1)), forged = Check(witnessed.Sign(300, cosigned: 1, root: witnessed.Root(299)));
        Assert.Null(await reader.CompareAsync(older, now, default));
        Assert.Null(await reader.CompareAsync(now, older, default));
        Assert.Null(await reader.CompareAsync(now, now, default));
        TlogEvidence one = (await reader.CompareAsync(forged, now, default))!, other = (await reader.CompareAsync(now, forged, default))!;
        Assert.Equal(one.ToBytes(), other.ToBytes());
        Assert.Equal(EvidenceKind.Inconsistent, one.Kind);
        Assert.All(one.Notes, note => Assert.Equal(witnessed.Origin, Assert.Single(note.Signatures).Name));
        Assert.Equal(EvidenceKind.Fork, (await reader.CompareAsync(older, forged, default))!.Kind);
    }

    [Fact]
    public async Task CP14_another_root_for_the_same_size_is_refused()
    {
        await _reader.ReadCheckpointAsync(_log.Policy(), default);
        _stub.Plant("checkpoint", _log.Sign(700, root: _log.Root(699)));
        LogReaderException failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadCheckpointAsync(_log.Policy(), default));
        Assert.Contains(_log.Root(699).ToString(), failure.Message);
        Assert.Equal(EvidenceKind.Fork, failure.Evidence!.Kind);
        Assert.True(failure.Evidence.TryVerify([TransparencyLog.Signing.Verifiers.TryCreate(_log.Signer.Key)!], out _));
    }

    [Fact]
    public async Task M01_a_checkpoint_of_another_key_is_refused()
    {
        using MemoryLog other = new(700, seed: 2);
        _stub.Plant("checkpoint", other.Files["checkpoint"]);
        LogReaderException failure = await FailsAsync(LogFailure.Lie, () => _reader.ReadCheckpointAsync(_log.Policy(), default));
        Assert.Contains("no key of the log", failure.Message);
    }

    [Fact]
    public async Task Add_answers_an_index_or_a_proof_that_holds()
    {
        _stub.Planted["add"] = body => new StubAnswer(200, Encoding.ASCII.GetBytes(body.Length.ToString(System.Globalization.CultureInfo.InvariantCulture)));
        Assert.Equal(5, (await _reader.AddAsync("hello"u8.ToArray(), AddWait.Durable, default)).Index);

        _stub.Plant("add?wait=published", _log.Prove(699, 700).ToBytes());
        AddAnswer answer = await _reader.AddAsync(_log.Entries[699], AddWait.Published, default);
        Assert.Equal(699, answer.Index);
        Assert.NotNull(answer.Proof);
        await FailsAsync(LogFailure.Lie, () => _reader.AddAsync(_log.Entries[698], AddWait.Published, default));

        _stub.Planted["add?wait=witnessed"] = _ => new StubAnswer(202, "700"u8.ToArray());
        answer = await _reader.AddAsync("late"u8.ToArray(), AddWait.Witnessed, default);
        Assert.Equal(new AddAnswer(700, null), answer);

        _stub.Planted["add"] = _ => new StubAnswer(200, "5\n"u8.ToArray());
        await FailsAsync(LogFailure.Lie, () => _reader.AddAsync("x"u8.ToArray(), AddWait.Durable, default));
        _stub.Planted["add"] = _ => new StubAnswer(413, []);
        await FailsAsync(LogFailure.Refused, () => _reader.AddAsync("x"u8.ToArray(), AddWait.Durable, default));
    }

    [Theory]
    [InlineData("7\n8\n", true)]
    [InlineData("7\n8", true)]
    [InlineData("7\n", false)]
    [InlineData("7\n8\n9\n", false)]
    [InlineData("7\n08\n", false)]
    [InlineData("7\r\n8\r\n", false)]
    public async Task A_batch_answers_exactly_one_index_an_entry(string body, bool good)
    {
        _stub.Plant("add-batch", Encoding.ASCII.GetBytes(body));
        byte[] bundle = MemoryLog.Bundle(["a"u8.ToArray(), "b"u8.ToArray()]);
        if (good) Assert.Equal(new long[] { 7, 8 }, await _reader.AddBatchAsync(bundle, 2, default));
        else await FailsAsync(LogFailure.Lie, () => _reader.AddBatchAsync(bundle, 2, default));
    }

    [Fact]
    public async Task Entry_and_proof_endpoints_are_read_and_their_absence_is_no_failure()
    {
        Assert.Null(await _reader.TryReadEntryAsync(3, default));
        Assert.Null(await _reader.TryReadProofAsync(3, default));
        Assert.Null(await _reader.TryReadConsistencyAsync(3, 5, default));
        _stub.Plant("entry/3", _log.Entries[3]);
        _stub.Plant("proof/inclusion?index=3", _log.Prove(3, 700).ToBytes());
        Hash[] consistency = await _reader.BuildAsync(ProofPlan.Consistency(300, 700), _log.Checkpoint, default);
        _stub.Plant("proof/consistency?from=300&to=700", Encoding.ASCII.GetBytes(string.Concat(consistency.Select(hash => hash + "\n"))));
        Assert.Equal(_log.Entries[3], await _reader.TryReadEntryAsync(3, default));
        Assert.Equal(_log.Prove(3, 700).ToBytes(), (await _reader.TryReadProofAsync(3, default))!.ToBytes());
        Assert.Equal(consistency, await _reader.TryReadConsistencyAsync(300, 700, default));

        _stub.Plant("proof/inclusion?index=3", _log.Prove(4, 700).ToBytes());
        await FailsAsync(LogFailure.Lie, () => _reader.TryReadProofAsync(3, default));
    }

    [Theory]
    [InlineData("ftp://example.com")]
    [InlineData("example.com/log")]
    [InlineData("http://user@example.com")]
    [InlineData("http://example.com/?a=b")]
    [InlineData("file:///etc/passwd")]
    public void Only_plain_http_urls_are_taken(string url)
    {
        Assert.False(LogReader.IsUrl(url));
        Assert.Throws<ArgumentException>(() => new LogReader(url));
    }

    private static async Task<LogReaderException> FailsAsync(LogFailure kind, Func<Task> act)
    {
        LogReaderException failure = await Assert.ThrowsAsync<LogReaderException>(act);
        Assert.Equal(kind, failure.Kind);
        Assert.DoesNotContain('\n', failure.Message);
        return failure;
    }
}
