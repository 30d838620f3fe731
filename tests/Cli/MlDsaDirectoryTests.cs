using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

/// <summary>A data directory with two keys under fsck, backup, restore and repair; and a reader that believes the second alone.</summary>
public sealed class MlDsaDirectoryTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task Fsck_names_both_keys_and_takes_either_as_trusted()
    {
        await LogBuilder.CreateWithMlDsaAsync(_scratch["log"], 600, [300, 600]);
        Tlog fsck = (await Tlog.RunAsync("fsck", _scratch["log"])).Succeeds();
        Assert.Contains($"signed by {LogBuilder.Signer.Key}, {LogBuilder.Cosigner.Key}", fsck.Lines);
        Assert.Equal("", fsck.Error);
        (await Tlog.RunAsync("fsck", _scratch["log"], "--vkey", LogBuilder.Signer.Key.ToString())).Succeeds();
        (await Tlog.RunAsync("fsck", _scratch["log"], "--vkey", LogBuilder.Cosigner.Key.ToString())).Succeeds();
        File.Delete(Path.Combine(_scratch["log"], "key-ml-dsa.pem"));
        Assert.Contains("key-ml-dsa.pem, the key, is not there", (await Tlog.RunAsync("fsck", _scratch["log"])).Succeeds().Error);
    }

    [Theory]
    [InlineData("none", "no line of that key")]
    [InlineData("flipped", "a line of that key that does not verify")]
    [InlineData("another size", "a line of that key that does not verify")]
    [InlineData("another key", "no line of that key")]
    public async Task Fsck_names_a_head_whose_second_line_is_wrong(string what, string found)
    {
        using MlDsa44PrivateKey other = MlDsa44PrivateKey.Generate();
        await LogBuilder.CreateWithMlDsaAsync(_scratch["log"], 20, [10, 20], text => Encoding.UTF8.GetString(text).Contains("\n10\n", StringComparison.Ordinal)
            ? [LogBuilder.Signer.Sign(text), LogBuilder.Cosigner.Cosign(text, 5)]
            : [LogBuilder.Signer.Sign(text), .. Second(text)]);
        Tlog fsck = await Tlog.RunAsync("fsck", _scratch["log"]);
        Assert.Equal(1, fsck.Code);
        Assert.StartsWith("signature: ", Assert.Single(fsck.Lines), StringComparison.Ordinal);
        Assert.Contains($"a signature by {LogBuilder.Cosigner.Key}", fsck.Out);
        Assert.Contains(found, fsck.Out);

        NoteSignature[] Second(byte[] text)
        {
            NoteSignature right = LogBuilder.Cosigner.Cosign(text, 5);
            byte[] flipped = right.Signature.ToArray();
            flipped[100] ^= 1;
            return what switch
            {
                "none" => [],
                "flipped" => [new NoteSignature(right.Name, right.KeyId, flipped)],
                "another size" => [LogBuilder.Cosigner.Cosign(new Checkpoint(LogBuilder.Origin, 21, default).ToText(), 5)],
                _ => [new MlDsa44Cosigner(LogBuilder.Origin, other).Cosign(text, 5)],
            };
        }
    }

    [Fact]
    public async Task A_backup_comes_back_with_both_keys_and_asks_for_what_it_lacks()
    {
        string data = _scratch["log"], to = _scratch["backup"], first = Path.Combine(data, "key.pem"), second = Path.Combine(data, "key-ml-dsa.pem");
        await LogBuilder.CreateWithMlDsaAsync(data, 600, [300, 600]);
        (await Tlog.RunAsync("backup", data, to)).Succeeds();
        (await Tlog.RunAsync("restore", to, _scratch["restored"])).Fails(3, "without the key key.pem");
        (await Tlog.RunAsync("restore", to, _scratch["restored"], "--key", first)).Fails(3, "without the key key-ml-dsa.pem");
        (await Tlog.RunAsync("restore", to, _scratch["restored"], "--key", second, "--ml-dsa-key", second)).Fails(2, "where an Ed25519 key is needed");
        (await Tlog.RunAsync("keygen", "--origin", LogBuilder.Origin, "--type", "ml-dsa-44", "--out", _scratch["other.pem"])).Succeeds();
        (await Tlog.RunAsync("restore", to, _scratch["restored"], "--key", first, "--ml-dsa-key", _scratch["other.pem"])).Fails(2, "is another key");
        (await Tlog.RunAsync("restore", to, _scratch["restored"], "--key", first, "--ml-dsa-key", second)).Succeeds();
        Same(data, _scratch["restored"]);

        (await Tlog.RunAsync("backup", data, _scratch["whole"], "--with-key")).Succeeds();
        (await Tlog.RunAsync("restore", _scratch["whole"], _scratch["again"])).Succeeds();
        Same(data, _scratch["again"]);

        await LogBuilder.CreateAsync(_scratch["plain"], 10, [10]);
        (await Tlog.RunAsync("backup", _scratch["plain"], _scratch["plain-backup"], "--with-key")).Succeeds();
        (await Tlog.RunAsync("restore", _scratch["plain-backup"], _scratch["plain-restored"], "--ml-dsa-key", second)).Fails(2, "has no ML-DSA-44 key");
    }

    [Fact]
    public async Task A_repaired_copy_has_both_keys()
    {
        await LogBuilder.CreateWithMlDsaAsync(_scratch["log"], 600, [300, 600]);
        Forger.FlipByte(Path.Combine(_scratch["log"], "commit"), 100);
        (await Tlog.RunAsync("fsck", _scratch["log"], "--repair-plan", "--apply", "--to", _scratch["copy"])).Succeeds();
        Same(_scratch["log"], _scratch["copy"]);
    }

    [Fact]
    public async Task A_proof_verifies_with_a_policy_that_believes_the_ML_DSA_44_key_of_the_log_alone()
    {
        byte[] entry = [.. "entry"u8];
        byte[] checkpoint = new Checkpoint(LogBuilder.Origin, 1, MerkleHash.Leaf(entry)).ToText();
        _scratch.Write("policy", $"log {LogBuilder.Cosigner.Key}\nquorum none\n");
        _scratch.Write("entry", "entry");
        NoteSignature first = LogBuilder.Signer.Sign(checkpoint), second = LogBuilder.Cosigner.Cosign(checkpoint, 1_700_000_000);
        File.WriteAllBytes(_scratch["both"], new TlogProof(0, [], new Note(checkpoint, [first, second]).ToBytes()).ToBytes());
        File.WriteAllBytes(_scratch["first"], new TlogProof(0, [], new Note(checkpoint, [first]).ToBytes()).ToBytes());
        byte[] wrong = second.Signature.ToArray();
        wrong[^1] ^= 1;
        File.WriteAllBytes(_scratch["wrong"], new TlogProof(0, [], new Note(checkpoint, [first, new NoteSignature(second.Name, second.KeyId, wrong)]).ToBytes()).ToBytes());
        (await Tlog.RunAsync("verify", _scratch["both"], "--entry", _scratch["entry"], "--policy", _scratch["policy"])).Succeeds();
        (await Tlog.RunAsync("verify", _scratch["first"], "--entry", _scratch["entry"], "--policy", _scratch["policy"])).Fails(1, "no key of the log");
        (await Tlog.RunAsync("verify", _scratch["wrong"], "--entry", _scratch["entry"], "--policy", _scratch["policy"])).Fails(1, "does not verify");
    }

    private static void Same(string left, string right)
    {
        foreach (string file in (string[])["log", "key.pem", "key-ml-dsa.pem"])
        {
            Assert.Equal(File.ReadAllBytes(Path.Combine(left, file)), File.ReadAllBytes(Path.Combine(right, file)));
            Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(Path.Combine(right, file)));
        }
    }
}
