using System.Numerics;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Witness;

/// <summary>spec/evidence.md: what of a request is kept, and that it convinces whoever has the log's vkey and nothing else.</summary>
public sealed class EvidenceTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/two-faced");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log);

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    private string Folder => Path.Combine(_witness.Data, EvidenceFolder.Name);

    private string[] Files => Directory.GetFiles(Folder, "*.tlog-evidence");

    /// <summary>The one file: what it says, and whether it convinces with the log's key alone.</summary>
    private (EvidenceKind Kind, bool Convinces) Only() => Read(Assert.Single(Files));

    private (EvidenceKind Kind, bool Convinces) Read(string path)
    {
        byte[] bytes = File.ReadAllBytes(path);
        Assert.True(TlogEvidence.TryParse(bytes, out TlogEvidence? evidence, out string error), error);
        Assert.Equal(Path.GetFileName(path), evidence!.FileName);
        Assert.Equal(bytes, evidence.ToBytes());
        return (evidence.Kind, evidence.TryVerify([Verifiers.TryCreate(_log.NoteSigner.Key)!], out _));
    }

    [Fact]
    public async Task CP14_a_branch_is_proven_from_every_size_that_is_no_power_of_two()
    {
        for (int size = 4; size <= 17; size++)
        {
            TestLog log = new($"example.com/size-{size}"), fork = log.Fork(2);
            await using TestWitness witness = await TestWitness.StartAsync(log);
            await witness.CosignAsync(log, 0, size);
            Assert.Equal(422, (await witness.PostAsync(fork.Request(size, 25))).Status);
            string path = Assert.Single(Directory.GetFiles(Path.Combine(witness.Data, EvidenceFolder.Name)));
            Assert.True(TlogEvidence.TryParse(await File.ReadAllBytesAsync(path), out TlogEvidence? evidence, out string error), error);
            Assert.Equal((size, 25), (evidence!.Checkpoints[0].Size, evidence.Checkpoints[1].Size));

            // The proof of a request leaves the first hash out where the old size is a power of two: the witness is not told what tree it comes from.
            bool proven = !BitOperations.IsPow2(size);
            Assert.Equal(proven ? EvidenceKind.Inconsistent : EvidenceKind.Unproven, evidence.Kind);
            Assert.Equal(proven, evidence.TryVerify([Verifiers.TryCreate(log.NoteSigner.Key)!], out _));
        }
    }

    [Fact]
    public async Task TW32_a_fork_is_kept_whatever_the_old_size_says()
    {
        await _witness.CosignAsync(_log, 0, 12);
        TestLog fork = _log.Fork(3);
        TestWitness.CheckConflict(await _witness.PostAsync(fork.Request(5, 12)), 12);
        Assert.Equal((EvidenceKind.Fork, true), Only());
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Fork(4).Request(0, 12)), 12);
        Assert.Equal(2, Files.Length);

        // The same again costs nothing, and an honest stale request leaves nothing.
        TestWitness.CheckConflict(await _witness.PostAsync(fork.Request(0, 12)), 12);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 12)), 12);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(3, 9)), 12);
        Assert.Equal(2, Files.Length);
        await _witness.CosignAsync(_log, 12, 20);
    }

    [Fact]
    public async Task TW32_a_fork_is_kept_where_the_request_itself_is_malformed()
    {
        await _witness.CosignAsync(_log, 0, 12);
        TestLog fork = _log.Fork(3);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(99, [], fork.Checkpoint(12))), 400, "old size");
        Assert.Equal((EvidenceKind.Fork, true), Only());
        string extended = fork.Sign(fork.Text(12) + "an extension line\n");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(12, [], extended)), 400, "extension");
        Assert.Equal(2, Files.Length);
        Assert.All(Files, file => Assert.Equal((EvidenceKind.Fork, true), Read(file)));

        // The same tree with an extension line is no fork, and what nobody trusted has signed is nothing.
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(12, [], _log.Sign(_log.Text(12) + "an extension line\n"))), 400, "extension");
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(99, [], fork.WithKey(9).Checkpoint(12))), 403, "no signature");
        Assert.Equal(2, Files.Length);
    }

    [Fact]
    public async Task TW28_a_signed_size_zero_with_another_root_is_kept_before_anything_was_cosigned()
    {
        string signed = _log.Sign(_log.Text(0, _log.Root(1)));
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], signed)), 422, "empty tree");
        Assert.Equal((EvidenceKind.SizeZero, true), Only());
        await _witness.CosignAsync(_log, 0, 7);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(0, [], signed)), 422, "empty tree");
        Assert.Single(Files);
    }

    [Fact]
    public async Task TW32_a_smaller_tree_shows_nothing_without_a_proof_and_leaves_nothing()
    {
        await _witness.CosignAsync(_log, 0, 12);
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Fork(3).Request(4, 9)), 12);
        TestWitness.CheckRefusal(await _witness.PostAsync(TestLog.Body(12, [], _log.Fork(3).Checkpoint(9))), 400, "old size");
        Assert.Empty(Files);
    }

    [Fact]
    public async Task Files_are_remembered_and_bounded_over_restarts()
    {
        await _witness.CosignAsync(_log, 0, 12);
        for (int at = 1; at <= 5; at++) Assert.Equal(422, (await _witness.PostAsync(_log.Fork(at).Request(12, 12))).Status);
        await _witness.RestartAsync();
        for (int at = 1; at <= 11; at++) Assert.Equal(422, (await _witness.PostAsync(_log.Fork(at).Request(12, 12))).Status);
        Assert.Equal(EvidenceFolder.MaxOfOrigin, Files.Length);
        string metrics = (await _witness.GetAsync("/metrics")).Text;
        Assert.Contains("\ntlog_evidence_files{kind=\"fork\"} 8\n", metrics);
        Assert.Contains("\ntlog_evidence_files{kind=\"unproven\"} 0\n", metrics);
    }

    [Fact]
    public async Task The_page_names_the_log_and_only_for_what_is_proven()
    {
        await _witness.CosignAsync(_log, 0, 12);
        Assert.Equal(422, (await _witness.PostAsync(TestLog.Body(12, [], _log.Checkpoint(20)))).Status);
        Assert.DoesNotContain("cannot both be true", (await _witness.GetAsync("/")).Text);
        Assert.Equal(422, (await _witness.PostAsync(_log.Fork(3).Request(12, 20))).Status);
        Assert.Contains("has signed what cannot both be true: 1 proof in evidence/", (await _witness.GetAsync("/")).Text);
    }

    [Fact]
    public async Task TW43_evidence_that_cannot_be_written_halts_the_witness()
    {
        await _witness.CosignAsync(_log, 0, 12);
        Directory.Delete(Folder);
        await File.WriteAllTextAsync(Folder, "in the way");
        TestWitness.CheckProblem(await _witness.PostAsync(TestLog.Body(99, [], _log.Fork(3).Checkpoint(12))), 503, "halted");
        TestWitness.CheckProblem(await _witness.PostAsync(_log.Request(12, 13)), 503, "halted");
        File.Delete(Folder);
        await _witness.RestartAsync();
        await _witness.CosignAsync(_log, 12, 13);
    }

    [Fact]
    public async Task Both_keys_of_a_log_are_kept_and_each_is_enough()
    {
        TestLog second = _log.WithKey(1);
        await using TestWitness witness = TestWitness.Create(_log, second);
        await witness.StartAsync();
        string Both(TestLog log, long size) => log.Checkpoint(size) + second.NoteSigner.Sign(Encoding.UTF8.GetBytes(log.Text(size))).ToLine();
        Assert.Equal(200, (await witness.PostAsync(TestLog.Body(0, [], Both(_log, 12)))).Status);
        Assert.Equal(422, (await witness.PostAsync(TestLog.Body(12, [], Both(_log.Fork(3), 12)))).Status);
        string path = Assert.Single(Directory.GetFiles(Path.Combine(witness.Data, EvidenceFolder.Name)));
        Assert.True(TlogEvidence.TryParse(await File.ReadAllBytesAsync(path), out TlogEvidence? evidence, out _));
        foreach (TestLog log in (TestLog[])[_log, second]) Assert.True(evidence!.TryVerify([Verifiers.TryCreate(log.NoteSigner.Key)!], out _));
    }
}
