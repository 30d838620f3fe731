using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Witness;

/// <summary>spec/conformance.md 5.2: each condition and its answer.</summary>
public sealed class StatusTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/status");
    private readonly FakeTime _time = new();
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync()
    {
        _witness = TestWitness.Create(_log);
        _witness.Time = _time;
        await _witness.StartAsync();
    }

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public async Task TW20_W08_an_unknown_origin_is_404()
    {
        TestLog other = new("example.com/other");
        TestWitness.CheckRefusal(await _witness.PostAsync(other.Request(0, 5)), 404, "unknown log");
        // Before anything else is looked at: its note may be no note at all.
        TestWitness.CheckRefusal(await _witness.PostAsync("old 7\n\nexample.com/other\nnonsense\n"), 404, "unknown log");
        // By the whole line: neither a prefix nor another letter case is known.
        TestWitness.CheckRefusal(await _witness.PostAsync(new TestLog("example.com/statu").Request(0, 5)), 404, "unknown log");
        TestWitness.CheckRefusal(await _witness.PostAsync(new TestLog("example.com/Status").Request(0, 5)), 404, "unknown log");
        await _witness.CheckStateAsync(other, -1);
    }

    [Fact]
    public async Task TW21_W08_no_trusted_signature_is_403()
    {
        string text = _log.Text(5);
        // Another key under the log's name, and the log's key under another name.
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], _log.WithKey(9).Sign(text))), 403, "no signature");
        TestLog named = new("example.com/named");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], named.Sign(text))), 403, "no signature");
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public async Task TW21_a_trusted_line_that_fails_is_403_in_any_place()
    {
        string text = _log.Text(5);
        string good = _log.NoteSigner.Sign(Encoding.UTF8.GetBytes(text)).ToLine();
        string bad = _log.NoteSigner.Sign(Encoding.UTF8.GetBytes(_log.Text(6))).ToLine();
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], $"{text}\n{bad}")), 403, "invalid signature");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], $"{text}\n{good}{bad}")), 403, "invalid signature");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], $"{text}\n{bad}{good}")), 403, "invalid signature");
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public async Task TW21_signatures_are_judged_before_sizes()
    {
        await _witness.CosignAsync(_log, 0, 5);
        string unsigned = _log.WithKey(9).Sign(_log.Text(5));
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(99, [], unsigned)), 403, "no signature");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], unsigned)), 403, "no signature");
    }

    [Fact]
    public async Task TW23_old_size_above_checkpoint_size_is_400()
    {
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(6, [], _log.Checkpoint(5))), 400, "old size");
        await _witness.CosignAsync(_log, 0, 9);
        // a log that shrinks, with the true old size.
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(9, [], _log.Checkpoint(5))), 400, "old size");
        await _witness.CheckStateAsync(_log, 9);
    }

    [Fact]
    public async Task TW25_TW26_TW27_W09_another_old_size_is_409_with_the_size_and_its_type()
    {
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(3, 5)), 0);
        await _witness.CosignAsync(_log, 0, 5);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 5)), 5);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(4, 9)), 5);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(9, 9)), 5);
        await _witness.CheckStateAsync(_log, 5);
    }

    [Fact]
    public void TW26_TW27_a_409_is_these_bytes()
    {
        string body = _log.Request(3, 5);
        string answer = _witness.Raw($"POST /add-checkpoint HTTP/1.1\r\nHost: w\r\nConnection: close\r\nContent-Length: {Encoding.UTF8.GetByteCount(body)}\r\n\r\n{body}");
        Assert.StartsWith("HTTP/1.1 409 Conflict\r\n", answer);
        Assert.Contains("\r\nContent-Type: text/x.tlog.size\r\n", answer);
        Assert.Contains("\r\nAccess-Control-Allow-Origin: *\r\n", answer);
        Assert.EndsWith("\r\n\r\n0\n", answer);
    }

    [Fact]
    public async Task TW28_W07_size_zero_with_another_root_is_422()
    {
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], _log.Sign(_log.Text(0, _log.Root(1))))), 422, "empty tree");
        await _witness.CheckStateAsync(_log, -1);
        // Also where the old size is wrong: the root of nothing is known without any state.
        await _witness.CosignAsync(_log, 0, 5);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], _log.Sign(_log.Text(0, _log.Root(1))))), 422, "empty tree");
    }

    [Fact]
    public async Task TW28_TW33_size_zero_is_cosigned_and_refreshed_and_left()
    {
        ulong first = await _witness.CosignAsync(_log, 0, 0);
        await _witness.CheckStateAsync(_log, 0);
        _time.Unix += 5;
        Assert.Equal(first + 5, await _witness.CosignAsync(_log, 0, 0));
        await _witness.CosignAsync(_log, 0, 7);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 0)), 7);
        await _witness.CheckStateAsync(_log, 7);
    }

    [Fact]
    public async Task TW29_W07_a_proof_from_old_size_zero_is_422()
    {
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [_log.Root(1)], _log.Checkpoint(5))), 422, "empty");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [_log.Root(1)], _log.Checkpoint(0))), 422, "empty");
        await _witness.CheckStateAsync(_log, -1);
        await _witness.CosignAsync(_log, 0, 5);
    }

    [Fact]
    public async Task TW30_a_consistency_proof_that_does_not_hold_is_422_and_changes_nothing()
    {
        await _witness.CosignAsync(_log, 0, 7);
        Hash[] proof = _log.Proof(7, 13);
        Assert.True(proof.Length >= 3);
        List<Hash[]> wrong = [[], proof[1..], proof[..^1], [.. proof, proof[0]], [proof[0], .. proof], [.. proof.Reverse()]];
        for (int i = 0; i < proof.Length * 256; i++)
        {
            if (i % 37 != 0) continue;
            byte[] bytes = proof[i / 256].ToArray();
            bytes[i % 256 / 8] ^= (byte)(1 << (i % 8));
            wrong.Add([.. proof[..(i / 256)], new Hash(bytes), .. proof[((i / 256) + 1)..]]);
        }

        foreach (Hash[] one in wrong) TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(7, one, _log.Checkpoint(13))), 422, "consistency proof");
        await _witness.CheckStateAsync(_log, 7);
        await _witness.CosignAsync(_log, 7, 13);
    }

    [Fact]
    public async Task TW31_R09_the_same_size_with_another_root_is_422_and_both_notes_are_kept()
    {
        await _witness.CosignAsync(_log, 0, 9);
        TestLog fork = _log.Fork(4);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(9, [], fork.Checkpoint(9))), 422, "root hash");
        // Our own line and that of a stranger do not get into the evidence.
        string noisy = fork.Checkpoint(9) + TestLog.Signer("stranger.example", 1).Sign(Encoding.UTF8.GetBytes(fork.Text(9))).ToLine();
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(9, [], noisy)), 422, "root hash");
        await _witness.CheckStateAsync(_log, 9);

        string path = Assert.Single(Directory.GetFiles(Path.Combine(_witness.Data, "evidence")));
        Assert.Contains("-fork-", path);
        string evidence = await File.ReadAllTextAsync(path);
        Assert.StartsWith("tlog-evidence v1\nkind fork\n\n", evidence);
        Assert.Contains($"\n\n{_log.Checkpoint(9)}\n", evidence);
        Assert.Contains($"\n\n{fork.Checkpoint(9)}\n", evidence);
        Assert.DoesNotContain("stranger", evidence);
        Assert.DoesNotContain(TestWitness.Name, evidence);
    }

    [Fact]
    public async Task TW32_R05_a_second_branch_is_never_signed_and_its_note_is_kept()
    {
        await _witness.CosignAsync(_log, 0, 12);
        TestLog fork = _log.Fork(6);
        TestWitness.CheckRefusal(await _witness.PostAsync(fork.Request(12, 20)), 422, "consistency proof");
        TestWitness.CheckRefusal(await _witness.PostAsync(fork.Request(12, 12)), 422, "root hash");
        TestWitness.CheckConflict(await _witness.PostAsync(fork.Request(6, 20)), 12);
        TestWitness.CheckConflict(await _witness.PostAsync(fork.Request(0, 20)), 12);
        await _witness.CheckStateAsync(_log, 12);
        Assert.Equal(2, Directory.GetFiles(Path.Combine(_witness.Data, "evidence")).Length);
        await _witness.CosignAsync(_log, 12, 20);
    }

    [Fact]
    public async Task TW32_evidence_is_bounded_and_bad_proofs_never_take_the_place_of_a_fork()
    {
        await _witness.CosignAsync(_log, 0, 12);
        for (int size = 13; size < 40; size++) Assert.Equal(422, (await _witness.PostAsync(TestLog.Body(12, [], _log.Checkpoint(size)))).Status);
        Assert.Equal(8, Directory.GetFiles(Path.Combine(_witness.Data, "evidence")).Length);
        Assert.Equal(422, (await _witness.PostAsync(_log.Fork(3).Request(12, 12))).Status);
        Assert.Single(Directory.GetFiles(Path.Combine(_witness.Data, "evidence"), "*-fork-*"));
    }

    [Fact]
    public async Task TW33_TW34_a_good_checkpoint_is_cosigned()
    {
        Assert.Equal((ulong)_time.Unix, await _witness.CosignAsync(_log, 0, 1));
        foreach (long size in new[] { 2L, 3, 4, 8, 9, 64, 100, 129, 130 })
        {
            long old = long.Parse((await _witness.PostAsync(_log.Request(130, 130))).Text);
            await _witness.CosignAsync(_log, old, size);
            await _witness.CheckStateAsync(_log, size);
        }
    }

    [Fact]
    public async Task TW33_every_step_between_trees_up_to_33_is_cosigned()
    {
        (int From, int To, TestLog Log)[] steps =
        [
            .. from start in Enumerable.Range(0, 12) from end in Enumerable.Range(0, 34) where start * 3 <= end && (end - start) % 2 == 0
               select (start * 3, end, new TestLog($"example.com/status{start * 3}-{end}", 33)),
        ];
        _witness.SetLogs([.. steps.Select(step => step.Log)]);
        await _witness.RestartAsync();
        foreach ((int from, int to, TestLog log) in steps)
        {
            if (from > 0) await _witness.CosignAsync(log, 0, from);
            await _witness.CosignAsync(log, from, to);
            await _witness.CheckStateAsync(log, to);
        }
    }

    [Fact]
    public async Task TW35_TW36_one_answer_has_a_line_of_each_key_over_the_whole_tree()
    {
        Answer answer = await _witness.PostAsync(_log.Request(0, 5));
        Assert.Equal([VerifierKey.Ed25519Cosignature, VerifierKey.MlDsa44Cosignature], _witness.Vkeys.Select(key => key.SignatureType));
        ulong timestamp = _witness.CheckCosigned(answer, _log.Text(5));
        Assert.True(AddCheckpointResponse.TryParse(Encoding.UTF8.GetBytes(answer.Text), out IReadOnlyList<NoteSignature> lines));
        Assert.Equal([Cosignature.Ed25519Size, Cosignature.MlDsa44Size], lines.Select(line => line.Signature.Length));
        Assert.Equal(_witness.Vkeys.Select(key => (key.Name, key.KeyId)), lines.Select(line => (line.Name, line.KeyId)));
        Assert.Equal(string.Concat(lines.Select(line => line.ToLine())), answer.Text);

        // SPEC TW-36: start 0, end the size of the tree.
        ISubtreeVerifier subtrees = (ISubtreeVerifier)Verifiers.TryCreate(_witness.Vkeys[1])!;
        Assert.True(subtrees.VerifySubtree(_log.Origin, 0, 5, _log.Root(5), lines[1].Signature.Span));
        Assert.Equal(timestamp, System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(lines[1].Signature.Span));
    }

    [Fact]
    public async Task TW40_asking_with_old_size_zero_tells_the_size()
    {
        await _witness.CosignAsync(_log, 0, 77);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 80)), 77);
    }

    [Fact]
    public async Task TW41_lines_of_strangers_are_for_the_client_to_ignore_and_we_answer_only_our_own()
    {
        string noisy = _log.Checkpoint(5) + TestLog.Signer("stranger.example", 1).Sign(Encoding.UTF8.GetBytes(_log.Text(5))).ToLine();
        Answer answer = await _witness.PostAsync(TestLog.Body(0, [], noisy));
        _witness.CheckCosigned(answer, _log.Text(5));
        Assert.Equal(2, answer.Text.Count(c => c == '\n'));
    }

    [Fact]
    public async Task TW42_W13_the_same_checkpoint_gets_a_fresh_time_and_with_a_proof_422()
    {
        ulong first = await _witness.CosignAsync(_log, 0, 5);
        _time.Unix += 100;
        Assert.Equal(first + 100, await _witness.CosignAsync(_log, 5, 5));
        await _witness.CheckStateAsync(_log, 5);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(5, [_log.Root(1)], _log.Checkpoint(5))), 422, "empty");
    }

    [Fact]
    public async Task W13_a_flood_of_refreshes_costs_one_sync_a_second()
    {
        await _witness.CosignAsync(_log, 0, 5);
        long syncs = _witness.Journal.Inner.Syncs;
        for (int i = 0; i < 50; i++) await _witness.CosignAsync(_log, 5, 5);
        Assert.Equal(syncs, _witness.Journal.Inner.Syncs);
        _time.Unix++;
        for (int i = 0; i < 50; i++) await _witness.CosignAsync(_log, 5, 5);
        Assert.Equal(syncs + 1, _witness.Journal.Inner.Syncs);
    }

    [Fact]
    public async Task W12_old_requests_get_409_when_they_are_sent_again()
    {
        List<(string Request, long Size)> sent = [];
        for (int size = 1; size < 20; size += 3)
        {
            sent.Add((_log.Request(Math.Max(0, size - 3), size), size));
            Assert.Equal(200, (await _witness.PostAsync(sent[^1].Request)).Status);
        }

        _time.Unix += 1000;
        foreach ((string request, _) in sent) TestWitness.CheckConflict(await _witness.PostAsync(request), sent[^1].Size);
        await _witness.CheckStateAsync(_log, sent[^1].Size);
    }

    [Fact]
    public async Task W14_extension_lines_are_400()
    {
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], _log.Sign(_log.Text(5) + "extension\n"))), 400, "extension");
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public async Task W05_a_forged_line_with_our_name_is_not_stored_and_blocks_nothing()
    {
        // Our own name and key ID with a false signature, and the same with a stranger's name.
        string forged = new NoteSignature(_witness.Vkey.Name, _witness.Vkey.KeyId, new byte[Cosignature.Ed25519Size]).ToLine();
        string foreign = new NoteSignature("foreign.example", 7, new byte[64]).ToLine();
        _witness.CheckCosigned(await _witness.PostAsync(TestLog.Body(0, [], _log.Checkpoint(5) + forged + foreign)), _log.Text(5));
        Note? shown = await _witness.CheckStateAsync(_log, 5);
        Assert.Equal(3, shown!.Signatures.Count);

        await _witness.CosignAsync(_log, 5, 9);
        await _witness.RestartAsync();
        await _witness.CosignAsync(_log, 9, 12);
        await _witness.CheckStateAsync(_log, 12);
    }

    [Fact]
    public async Task TW64_a_witness_with_an_Ed25519_key_alone_offers_no_sign_subtree()
    {
        await using TestWitness witness = TestWitness.Create(mlDsa44: false, _log);
        await witness.StartAsync();
        foreach (HttpMethod method in new[] { HttpMethod.Post, HttpMethod.Get })
        {
            TestWitness.CheckProblem(await witness.SendAsync(method, "/sign-subtree", method == HttpMethod.Post ? "subtree 0 1\n" : null), 404, "not-found");
        }
    }
}
