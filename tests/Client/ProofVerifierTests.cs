using System.Text;
using TransparencyLog.Client;

namespace TransparencyLog.Tests.Client;

/// <summary>The offline verification of proofs, and the judgement of checkpoints.</summary>
public sealed class ProofVerifierTests : IDisposable
{
    private readonly MemoryLog _log = new(300, witnesses: 3);

    public void Dispose() => _log.Dispose();

    [Fact]
    public void PR08_a_proof_of_an_entry_holds_and_says_who_cosigned_and_when()
    {
        TlogProof proof = _log.Prove(123, 300, _log.Sign(300, cosigned: 2));
        Assert.True(ProofVerifier.TryVerify(_log.Entries[123], proof, _log.Policy(quorum: 2), out VerifiedCheckpoint? verified, out string reason), reason);
        Assert.Equal(300, verified.Checkpoint.Size);
        Assert.Equal(["witness0.example", "witness1.example"], verified.Cosigned.Select(witness => witness.Witness.Name));
        Assert.All(verified.Cosigned, witness => Assert.Equal(1_700_000_000u, witness.Timestamp));
    }

    [Fact]
    public void M04_a_proof_for_another_leaf_index_or_size_is_refused()
    {
        TlogProof proof = _log.Prove(123, 300);
        Refused(_log.Entries[124], proof, "index 123");
        Refused(_log.Entries[123], new TlogProof(124, proof.Hashes, proof.Checkpoint), "index 124");
        Refused(_log.Entries[123], new TlogProof(300, proof.Hashes, proof.Checkpoint), "not below the size 300");
        Refused(_log.Entries[123], new TlogProof(123, proof.Hashes, _log.Sign(299)), "does not lead to the root");
    }

    [Fact]
    public void PR09_one_hash_more_or_less_or_one_bit_is_refused()
    {
        TlogProof proof = _log.Prove(123, 300);
        Refused(_log.Entries[123], new TlogProof(123, [.. proof.Hashes, proof.Hashes[0]], proof.Checkpoint), "10 hashes");
        Refused(_log.Entries[123], new TlogProof(123, [.. proof.Hashes.Skip(1)], proof.Checkpoint), "8 hashes");
        for (int i = 0; i < proof.Hashes.Count; i++)
        {
            Hash[] hashes = [.. proof.Hashes];
            byte[] bytes = hashes[i].ToArray();
            bytes[i] ^= 1;
            hashes[i] = new Hash(bytes);
            Refused(_log.Entries[123], new TlogProof(123, hashes, proof.Checkpoint), "does not lead to the root");
        }
    }

    [Fact]
    public void PR08_a_checkpoint_of_another_log_or_of_an_unknown_key_is_refused_before_the_proof_is_looked_at()
    {
        using MemoryLog other = new(300, origin: "example.com/other");
        using MemoryLog sameName = new(300, seed: 2);
        Refused(_log.Entries[5], other.Prove(5, 300), "no log of the policy");
        Refused(_log.Entries[5], sameName.Prove(5, 300), "no key of the log");

        // Signed by a key of the policy, for an origin that is not its own.
        Refused(_log.Entries[5], _log.Prove(5, 300, _log.Sign(300, origin: "example.com/other")), "no log of the policy");
    }

    [Fact]
    public void M03_too_few_or_doubled_cosignatures_do_not_meet_the_quorum()
    {
        byte[] one = _log.Sign(300, cosigned: 1);
        string text = Encoding.UTF8.GetString(one);
        string line = text[text.LastIndexOf("— witness0", StringComparison.Ordinal)..];
        foreach (byte[] checkpoint in (byte[][])[one, Encoding.UTF8.GetBytes(text + line)])
        {
            Assert.False(ProofVerifier.TryVerify(_log.Entries[5], _log.Prove(5, 300, checkpoint), _log.Policy(quorum: 2), out _, out string reason));
            Assert.Contains("quorum", reason);
        }
    }

    [Fact]
    public void PR03_extra_data_makes_no_proof_hold_or_fail()
    {
        TlogProof proof = _log.Prove(123, 300);
        foreach (byte[] extra in (byte[][])[_log.Entries[124], _log.Entries[123], "index 124\n"u8.ToArray(), new byte[TlogProof.MaxExtra]])
        {
            TlogProof with = new(123, proof.Hashes, proof.Checkpoint, extra);
            Assert.True(ProofVerifier.TryVerify(_log.Entries[123], with, _log.Policy(), out _, out string reason), reason);
            Refused(_log.Entries[124], with, "index 123");
        }
    }

    [Theory]
    [InlineData(1)]
    [InlineData(4_102_444_800)]
    [InlineData(long.MaxValue)]
    public void PR10_a_cosignature_of_any_time_counts_and_its_time_is_told(ulong time)
    {
        TlogProof proof = _log.Prove(123, 300, _log.Sign(300, cosigned: 2, time: time));
        Assert.True(ProofVerifier.TryVerify(_log.Entries[123], proof, _log.Policy(quorum: 2), out VerifiedCheckpoint? verified, out string reason), reason);
        Assert.Equal([time, time], verified.Cosigned.Select(witness => witness.Timestamp));
    }

    [Fact]
    public void A_vkey_alone_is_a_policy_of_one_log()
    {
        Policy policy = CheckpointCheck.PolicyOf(_log.Signer.Key);
        Assert.True(policy.QuorumIsNone);
        Assert.True(CheckpointCheck.TryVerify(_log.Files["checkpoint"], policy, out VerifiedCheckpoint? verified, out _));
        Assert.Equal(_log.Checkpoint, verified.Checkpoint);
        byte[] damaged = _log.Files["checkpoint"];
        damaged[^10] = damaged[^10] == (byte)'A' ? (byte)'B' : (byte)'A';
        Assert.False(CheckpointCheck.TryVerify(damaged, policy, out _, out string reason));
        Assert.NotEqual("", reason);
        Assert.False(CheckpointCheck.TryVerify("not a note"u8, policy, out _, out _));
    }

    private void Refused(byte[] entry, TlogProof proof, string because)
    {
        Assert.False(ProofVerifier.TryVerify(entry, proof, _log.Policy(), out VerifiedCheckpoint? verified, out string reason));
        Assert.Null(verified);
        Assert.Contains(because, reason);
    }
}
