using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>One identity, two keys: both sign, or nothing is signed (W-20); and witnesses of one key go on as they are.</summary>
public sealed class TwoKeysTests
{
    private readonly TestLog _log = new("example.com/two-keys");

    /// <summary>A key that can fail.</summary>
    private sealed class Failing(ICosigner inner, Func<bool> fails) : ICosigner
    {
        public VerifierKey Key => inner.Key;

        public NoteSignature Cosign(ReadOnlySpan<byte> checkpointText, ulong timestamp) =>
            fails() ? throw new CryptographicException("the token is gone") : inner.Cosign(checkpointText, timestamp);
    }

    [Theory]
    [InlineData(VerifierKey.Ed25519Cosignature)]
    [InlineData(VerifierKey.MlDsa44Cosignature)]
    public async Task W20_when_one_key_cannot_sign_nothing_is_stored_or_answered(byte type)
    {
        bool broken = false;
        await using TestWitness witness = TestWitness.Create(_log);
        witness.Cosigning = cosigner => cosigner.Key.SignatureType == type ? new Failing(cosigner, () => broken) : cosigner;
        await witness.StartAsync();
        // The control: as long as it signs, all is as ever.
        await witness.CosignAsync(_log, 0, 5);
        long updates = witness.Journal.Inner.NextIndex;
        broken = true;
        TestWitness.CheckProblem(await witness.PostAsync(_log.Request(5, 7)), 503, "halted");
        Assert.Equal(updates, witness.Journal.Inner.NextIndex);
        await witness.CheckStateAsync(_log, 5);
        // Halted is halted: a key that comes back is for the operator to look at.
        broken = false;
        TestWitness.CheckProblem(await witness.PostAsync(_log.Request(5, 7)), 503, "halted");
        await witness.RestartAsync();
        await witness.CosignAsync(_log, 5, 7);
    }

    [Fact]
    public async Task Both_lines_are_stored_and_shown_and_verified_at_the_next_start()
    {
        await using TestWitness witness = await TestWitness.StartAsync(_log);
        await witness.CosignAsync(_log, 0, 5);
        Note? before = await witness.CheckStateAsync(_log, 5);
        Assert.Equal([_log.Origin, TestWitness.Name, TestWitness.Name], before!.Signatures.Select(line => line.Name));
        await witness.RestartAsync();
        Assert.Equal(before.ToBytes(), (await witness.CheckStateAsync(_log, 5))!.ToBytes());
        await witness.CosignAsync(_log, 5, 5);
    }

    [Fact]
    public async Task A_witness_with_an_Ed25519_key_alone_answers_one_line_and_keeps_its_store()
    {
        await using TestWitness witness = TestWitness.Create(mlDsa44: false, _log);
        await witness.StartAsync();
        Assert.Single(witness.Vkeys);
        await witness.CosignAsync(_log, 0, 5);
        await witness.RestartAsync();
        await witness.CosignAsync(_log, 5, 7);
        Assert.False(File.Exists(Path.Combine(witness.Data, "key-ml-dsa-44.pem")));
    }

    [Fact]
    public async Task A_second_key_that_is_missing_or_another_is_refused()
    {
        await using TestWitness witness = TestWitness.Create(_log), other = TestWitness.Create(_log);
        string key = Path.Combine(witness.Data, "key-ml-dsa-44.pem");
        byte[] own = await File.ReadAllBytesAsync(key);
        File.Delete(key);
        Assert.Contains("key-ml-dsa-44.pem", (await Assert.ThrowsAnyAsync<Exception>(witness.StartAsync)).Message, StringComparison.Ordinal);
        File.Copy(Path.Combine(other.Data, "key-ml-dsa-44.pem"), key);
        Assert.Contains("is not the key of", (await Assert.ThrowsAsync<StorageException>(witness.StartAsync)).Message, StringComparison.Ordinal);
        await File.WriteAllBytesAsync(key, own);
        await witness.StartAsync();
        await witness.CosignAsync(_log, 0, 5);
    }

    /// <summary>The largest note there can be: 16 keys of the log, each ML-DSA-44, names of 255 bytes, and both of ours.</summary>
    [Fact]
    public void CO14_the_largest_note_with_two_lines_of_ours_fits_an_entry_of_the_journal()
    {
        string origin = new('o', 255);
        Checkpoint checkpoint = new(origin, long.MaxValue, MerkleHash.Empty);
        NoteSignature[] lines = [.. Enumerable.Range(0, LogList.MaxKeysOfOrigin).Select(i => new NoteSignature(origin, (uint)i, new byte[Cosignature.MlDsa44Size]))];
        NoteSignature[] own = [new NoteSignature(new string('w', 255), 1, new byte[Cosignature.Ed25519Size]), new NoteSignature(new string('w', 255), 2, new byte[Cosignature.MlDsa44Size])];
        Assert.InRange(new Note(checkpoint.ToText(), [.. lines, .. own]).ToBytes().Length, 60_000, WitnessStore.MaxNote);
    }

    [Fact]
    public async Task CO14_names_and_origins_of_255_bytes_are_cosigned_and_longer_ones_never_known()
    {
        TestLog log = new("example.com/".PadRight(255, 'x'));
        await using TestWitness witness = await TestWitness.StartAsync(log);
        await witness.CosignAsync(log, 0, 5);
        await witness.RestartAsync();
        await witness.CosignAsync(log, 5, 6);
        TestWitness.CheckRefusal(await witness.PostAsync(log.Request(6, 7).Replace(log.Origin, log.Origin + "x", StringComparison.Ordinal)), 404, "unknown log");
    }

    [Fact]
    public async Task A_list_of_the_network_gives_an_origin_that_is_not_the_name_of_the_key()
    {
        await using TestWitness witness = TestWitness.Create();
        TestLog named = new("sum.example.org");
        await File.WriteAllTextAsync(witness.LogsFile, $"logs/v0\nvkey {named.NoteSigner.Key}\norigin go.sum database tree\nqpd 86400\ncontact c\n");
        await witness.StartAsync();
        string text = $"go.sum database tree\n5\n{named.Root(5).ToBase64()}\n";
        witness.CheckCosigned(await witness.PostAsync(TestLog.Body(0, [], $"{text}\n{named.NoteSigner.Sign(Encoding.UTF8.GetBytes(text)).ToLine()}")), text);
        // The name of the key is no origin.
        TestWitness.CheckRefusal(await witness.PostAsync(named.Request(0, 5)), 404, "unknown log");
    }
}
