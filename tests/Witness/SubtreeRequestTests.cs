using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Witness;

/// <summary>sign-subtree: TW-50 to TW-63, W-17.</summary>
public sealed class SubtreeRequestTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/subtrees"), _other = new("example.com/other");
    private TestWitness _witness = null!; // set before each test

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log, _other);

    public async ValueTask DisposeAsync() => await _witness.DisposeAsync();

    /// <summary>The log grows to a size here; the checkpoint with the witness's own lines alone (TW-54).</summary>
    private async Task<string> CosignedAsync(long old, long size, TestLog? log = null)
    {
        Answer answer = await _witness.PostAsync((log ?? _log).Request(old, size));
        _witness.CheckCosigned(answer, (log ?? _log).Text(size));
        return $"{(log ?? _log).Text(size)}\n{answer.Text}";
    }

    private Task<Answer> SignAsync(string body) => _witness.SendAsync(HttpMethod.Post, "/sign-subtree", body);

    private string Body(long start, long end, long size, string note) =>
        TestLog.SubtreeBody(Range(start, end), _log.Subtree(start, end), _log.SubtreeProof(start, end, size), note);

    private static string Range(long start, long end) => string.Create(CultureInfo.InvariantCulture, $"{start} {end}");

    private void CheckSigned(Answer answer, long start, long end)
    {
        Assert.True(answer.Status == 200, $"{answer.Status}: {answer.Text}");
        Assert.Equal("text/plain; charset=utf-8", answer.ContentType);
        Assert.True(AddCheckpointResponse.TryParse(Encoding.UTF8.GetBytes(answer.Text), out IReadOnlyList<NoteSignature> lines));
        NoteSignature line = Assert.Single(lines);
        VerifierKey key = _witness.Vkeys[1];
        Assert.Equal((key.Name, key.KeyId, Cosignature.MlDsa44Size), (line.Name, line.KeyId, line.Signature.Length));
        Assert.Equal(0ul, BinaryPrimitives.ReadUInt64BigEndian(line.Signature.Span));
        ISubtreeVerifier verifier = (ISubtreeVerifier)Verifiers.TryCreate(key)!;
        Assert.True(verifier.VerifySubtree(_log.Origin, start, end, _log.Subtree(start, end), line.Signature.Span));
        // It is no cosignature of a checkpoint, whatever its interval.
        Assert.False(verifier.Verify(Encoding.UTF8.GetBytes(_log.Text(end)), line.Signature.Span));
    }

    [Fact]
    public async Task TW50_it_is_post_only()
    {
        foreach (HttpMethod method in new[] { HttpMethod.Get, HttpMethod.Put, HttpMethod.Delete })
        {
            Answer answer = await _witness.SendAsync(method, "/sign-subtree", null);
            TestWitness.CheckProblem(answer, 405, "method-not-allowed");
            Assert.Equal(["POST"], answer.Allow);
        }
    }

    [Fact]
    public async Task TW54_TW59_TW60_TW61_TW62_every_subtree_of_a_cosigned_tree_is_signed_with_ML_DSA_44_and_no_time()
    {
        string note = await CosignedAsync(0, 13);
        int signed = 0;
        for (int start = 0; start < 13; start++)
        {
            for (int end = start + 1; end <= 13; end++)
            {
                if (!SubtreeProof.IsValid(start, end)) continue;
                CheckSigned(await SignAsync(Body(start, end, 13, note)), start, end);
                signed++;
            }
        }

        Assert.InRange(signed, 20, 60);
        Assert.Contains($"tlog_witness_sign_subtree_total{{status=\"200\"}} {signed}\n", (await _witness.GetAsync("/metrics")).Text);
    }

    [Fact]
    public async Task An_older_checkpoint_of_ours_and_one_with_the_logs_line_too_are_as_good()
    {
        string older = await CosignedAsync(0, 13);
        await CosignedAsync(13, 40);
        CheckSigned(await SignAsync(Body(8, 12, 13, older)), 8, 12);
        CheckSigned(await SignAsync(Body(32, 40, 40, (await _witness.GetAsync(_log.MonitorPath)).Text)), 32, 40);
        // Nothing of the state has changed by it, and a restart makes no difference.
        await _witness.CheckStateAsync(_log, 40);
        await _witness.RestartAsync();
        CheckSigned(await SignAsync(Body(8, 12, 13, older)), 8, 12);
        await _witness.CosignAsync(_log, 40, 41);
    }

    [Theory]
    [InlineData("")]
    [InlineData("subtree 0 1\n")]
    [InlineData("old 5\n\n{0}")]
    [InlineData("subtree 0 01\n{1}\n{0}")]
    [InlineData("subtree 0 1\nnonsense\n\n{0}")]
    [InlineData("subtree 0 1\n{1}{0}")]
    public async Task TW52_a_malformed_body_is_400(string body)
    {
        string note = await CosignedAsync(0, 13);
        string sent = body.Replace("{0}", note, StringComparison.Ordinal).Replace("{1}", _log.Subtree(0, 1).ToBase64() + "\n", StringComparison.Ordinal);
        Assert.Equal(400, (await SignAsync(sent)).Status);
        CheckSigned(await SignAsync(Body(0, 1, 13, note)), 0, 1);
    }

    [Fact]
    public async Task TW53_64_proof_lines_are_400_and_63_are_read()
    {
        string note = await CosignedAsync(0, 13);
        Hash[] proof = _log.SubtreeProof(8, 12, 13);
        foreach ((int lines, int status) in new[] { (63, 422), (64, 400) })
        {
            Assert.Equal(status, (await SignAsync(TestLog.SubtreeBody("8 12", _log.Subtree(8, 12), [.. proof, .. Enumerable.Repeat(_log.Root(3), lines - proof.Length)], note))).Status);
        }
    }

    [Theory]
    [InlineData("0 0")]
    [InlineData("4 4")]
    [InlineData("5 4")]
    [InlineData("1 3")]
    [InlineData("2 7")]
    [InlineData("0 14")]
    [InlineData("12 14")]
    [InlineData("0 9223372036854775807")]
    [InlineData("0 9223372036854775808")]
    [InlineData("0 18446744073709551615")]
    [InlineData("1 9223372036854775810")]
    [InlineData("4611686018427387904 9223372036854775807")]
    public async Task TW55_TW63_W17_an_invalid_subtree_and_one_beyond_the_checkpoint_are_400(string range)
    {
        string note = await CosignedAsync(0, 13);
        TestWitness.CheckRefusal(await SignAsync(TestLog.SubtreeBody(range, _log.Subtree(0, 1), [], note)), 400, "subtree");
    }

    [Fact]
    public async Task TW56_W17_a_proof_that_does_not_hold_is_422()
    {
        string note = await CosignedAsync(0, 13);
        TestLog fork = _log.Fork(9);
        Hash[] proof = _log.SubtreeProof(8, 12, 13);
        (Hash Subtree, Hash[] Proof)[] wrong =
        [
            (fork.Subtree(8, 12), proof), (fork.Subtree(8, 12), fork.SubtreeProof(8, 12, 13)), (_log.Subtree(8, 12), fork.SubtreeProof(8, 12, 13)),
            (_log.Subtree(8, 12), []), (_log.Subtree(8, 12), proof[1..]), (_log.Subtree(8, 12), proof[..^1]), (_log.Subtree(8, 12), [.. proof, proof[0]]), (_log.Subtree(4, 8), proof),
        ];
        foreach ((Hash subtree, Hash[] given) in wrong) TestWitness.CheckRefusal(await SignAsync(TestLog.SubtreeBody("8 12", subtree, given, note)), 422, "proof");
        CheckSigned(await SignAsync(TestLog.SubtreeBody("8 12", _log.Subtree(8, 12), proof, note)), 8, 12);
    }

    [Fact]
    public async Task TW57_an_unknown_origin_is_404()
    {
        string note = await CosignedAsync(0, 13);
        TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, note.Replace(_log.Origin, "example.com/unknown", StringComparison.Ordinal))), 404, "unknown log");
        _witness.SetLogs(_other);
        await _witness.RestartAsync();
        TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, note)), 404, "unknown log");
    }

    [Fact]
    public async Task TW58_TW60_W17_a_checkpoint_without_a_valid_cosignature_by_the_key_that_signs_is_403()
    {
        string note = await CosignedAsync(0, 13);
        string[] lines = [.. note.Split('\n').Where(line => line.StartsWith('\u2014'))];
        string text = _log.Text(13);
        using MlDsa44PrivateKey stranger = MlDsa44PrivateKey.Generate();
        string foreign = new MlDsa44Cosigner(TestWitness.Name, stranger).Cosign(Encoding.UTF8.GetBytes(text), 1_800_000_000).ToLine();

        // The log's line alone; only our Ed25519 line; our name with another key.
        foreach (string own in new[] { _log.NoteSigner.Sign(Encoding.UTF8.GetBytes(text)).ToLine(), lines[0] + "\n", foreign })
        {
            TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, $"{text}\n{own}")), 403, "no cosignature");
        }

        // Our line under another tree, another size, another log; and one that signs a subtree, as an answer of here.
        string subtree = (await SignAsync(Body(0, 13, 13, note))).Text;
        foreach (string other in new[] { _log.Fork(9).Text(13), _log.Text(12), _other.Text(13) })
        {
            TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, $"{other}\n{lines[1]}\n")), 403, "does not verify");
        }

        TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, $"{text}\n{subtree}")), 403, "does not verify");
        CheckSigned(await SignAsync(Body(8, 12, 13, $"{text}\n{lines[1]}\n")), 8, 12);
    }

    [Fact]
    public async Task A_note_that_is_none_and_extension_lines_that_the_cosignature_does_not_cover_are_400()
    {
        string note = await CosignedAsync(0, 13);
        TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, _log.Text(13))), 400, "not a signed note");
        TestWitness.CheckRefusal(await SignAsync(Body(8, 12, 13, note.Replace("\n\n", "\nextension\n\n", StringComparison.Ordinal).Replace($"{note.Split('\n')[4]}\n", "", StringComparison.Ordinal))), 400, "extension");
    }

    [Fact]
    public async Task Too_many_are_429_and_take_nothing_from_checkpoints()
    {
        await using TestWitness witness = TestWitness.Create(_log);
        witness.Configure = settings => settings with { RatePerDay = 24, RateBurst = 3 };
        await witness.StartAsync();
        Answer cosigned = await witness.PostAsync(_log.Request(0, 13));
        string note = $"{_log.Text(13)}\n{cosigned.Text}";
        Hash[] proof = _log.SubtreeProof(8, 12, 13);
        for (int i = 0; i < 10; i++)
        {
            // What is not signed by us, or not proven, takes nothing from it.
            Assert.Equal(403, (await witness.SendAsync(HttpMethod.Post, "/sign-subtree", TestLog.SubtreeBody("8 12", _log.Subtree(8, 12), proof, _log.Checkpoint(13)))).Status);
            Assert.Equal(422, (await witness.SendAsync(HttpMethod.Post, "/sign-subtree", TestLog.SubtreeBody("8 12", _log.Subtree(4, 8), proof, note))).Status);
        }

        string body = TestLog.SubtreeBody("8 12", _log.Subtree(8, 12), proof, note);
        for (int i = 0; i < 3; i++) Assert.Equal(200, (await witness.SendAsync(HttpMethod.Post, "/sign-subtree", body)).Status);
        Answer refused = await witness.SendAsync(HttpMethod.Post, "/sign-subtree", body);
        TestWitness.CheckProblem(refused, 429, "too-often");
        Assert.InRange(int.Parse(Assert.Single(refused.Headers.GetValues("Retry-After")), CultureInfo.InvariantCulture), 3500, 3600);
        await witness.CosignAsync(_log, 13, 14);
        await witness.CosignAsync(_log, 14, 15);
    }

    [Fact]
    public async Task A_halted_witness_signs_no_subtree()
    {
        string note = await CosignedAsync(0, 13);
        _witness.Journal.HoldBefore().Fail(new IOException("the disk is gone"));
        Assert.Equal(503, (await _witness.PostAsync(_log.Request(13, 14))).Status);
        TestWitness.CheckProblem(await SignAsync(Body(8, 12, 13, note)), 503, "halted");
    }

    [Fact]
    public async Task A_body_that_is_too_large_is_413()
    {
        Answer answer = await SignAsync(new string('x', SignSubtreeRequest.MaxSize + 1));
        TestWitness.CheckProblem(answer, 413, "too-large");
    }
}
