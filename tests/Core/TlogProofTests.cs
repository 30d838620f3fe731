using System.Text;
using System.Text.Json;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class TlogProofTests
{
    private const string HashLine = "rzFuy5Go7nrpkhBwKy1HWPMM3eO/YePY54fXRoH5Cm4=\n";
    private const string First = "c2sp.org/tlog-proof@v1\n";
    private const string Rest = "\n" + CheckpointText + "\n\u2014 k AAAAAAA=\n";

    [Fact]
    public void The_vectors_are_written_and_read_byte_for_byte()
    {
        foreach (JsonElement one in Cases("proof/tlog-proof.json", "format", 3))
        {
            Hash[] hashes = [.. one.GetProperty("hashes").EnumerateArray().Select(hash => new Hash(hash.GetBytesFromBase64()))];
            byte[]? extra = one.GetProperty("extra").ValueKind == JsonValueKind.Null ? null : one.GetProperty("extra").GetBytesFromBase64();
            TlogProof proof = new(one.GetProperty("index").GetInt64(), hashes, Utf8(Line(one, "checkpoint")), extra);
            Assert.Equal(Line(one, "text"), Encoding.UTF8.GetString(proof.ToBytes()));

            Assert.True(TlogProof.TryParse(proof.ToBytes(), out TlogProof? read));
            Assert.Equal(proof.Index, read!.Index);
            Assert.Equal(hashes, read.Hashes);
            Assert.Equal(extra, read.Extra?.ToArray());
            Assert.Equal(proof.Checkpoint.ToArray(), read.Checkpoint.ToArray());
        }
    }

    [Fact]
    public void P24_the_vectors_to_refuse_are_refused()
    {
        foreach (JsonElement one in Cases("proof/tlog-proof.json", "reject", 7))
        {
            Assert.False(TlogProof.TryParse(Utf8(Line(one, "proof")), out _), Line(one, "name"));
        }
    }

    public static TheoryData<string, string> Hostile => new()
    {
        { "empty", "" },
        { "first line alone", First },
        { "another version", "c2sp.org/tlog-proof@v2\nindex 1\n" + Rest },
        { "first line with a space", "c2sp.org/tlog-proof@v1 \nindex 1\n" + Rest },
        { "byte order mark", "\ufeff" + First + "index 1\n" + Rest },
        { "CRLF", (First + "index 1\n" + Rest).Replace("\n", "\r\n") },
        { "no index", First + Rest },
        { "index before the first line", "index 1\n" + First + Rest },
        { "two index lines", First + "index 1\nindex 1\n" + Rest },
        { "upper case", First + "Index 1\n" + Rest },
        { "two spaces", First + "index  1\n" + Rest },
        { "tab", First + "index\t1\n" + Rest },
        { "leading zero", First + "index 01\n" + Rest },
        { "plus", First + "index +1\n" + Rest },
        { "space after", First + "index 1 \n" + Rest },
        { "huge index", First + "index 9223372036854775808\n" + Rest },
        { "larger index", First + "index 100000000000000000000000000\n" + Rest },
        { "empty index", First + "index \n" + Rest },
        { "extra after index", First + "index 1\nextra AAAA\n" + Rest },
        { "extra twice", First + "extra AAAA\nextra AAAA\nindex 1\n" + Rest },
        { "empty extra", First + "extra \nindex 1\n" + Rest },
        { "extra without a space", First + "extra\nindex 1\n" + Rest },
        { "extra with white space", First + "extra AAAA \nindex 1\n" + Rest },
        { "extra with trailing bits", First + "extra AB==\nindex 1\n" + Rest },
        { "extra too large", First + "extra " + Convert.ToBase64String(new byte[TlogProof.MaxExtra + 1]) + "\nindex 1\n" + Rest },
        { "64 hashes", First + "index 1\n" + string.Concat(Enumerable.Repeat(HashLine, 64)) + Rest },
        { "hash of 31 bytes", First + "index 1\n" + Convert.ToBase64String(new byte[31]) + "\n" + Rest },
        { "hash with trailing bits", First + "index 1\n" + HashLine.Replace("4=", "5=") + Rest },
        { "hash after the empty line", First + "index 1\n\n" + HashLine + "\n" + CheckpointText[..^1] },
        { "two empty lines", First + "index 1\n\n" + Rest },
        { "empty line before the hashes", First + "\nindex 1\n" + Rest },
        { "no checkpoint", First + "index 1\n\n" },
        { "no empty line", First + "index 1\n" + CheckpointText },
        { "no final newline", (First + "index 1\n" + Rest)[..^1] },
        { "control character in the checkpoint", First + "index 1\n" + Rest.Replace("example", "exam\tple") },
    };

    [Theory, MemberData(nameof(Hostile))]
    public void P24_malformed_proofs_are_refused(string what, string proof)
    {
        Assert.False(TlogProof.TryParse(Utf8(proof), out TlogProof? parsed), what);
        Assert.Null(parsed);
    }

    [Fact]
    public void The_longest_proof_is_read_and_every_shorter_text_is_not_longer_than_the_limit()
    {
        byte[] checkpoint = Utf8("o\n" + new string('x', Note.MaxSize - 3) + "\n");
        TlogProof largest = new(long.MaxValue, new Hash[TlogProof.MaxHashes], checkpoint, new byte[TlogProof.MaxExtra]);
        Assert.Equal(TlogProof.MaxSize, largest.ToBytes().Length);
        Assert.True(TlogProof.TryParse(largest.ToBytes(), out TlogProof? read));
        Assert.Equal(long.MaxValue, read!.Index);
        Assert.False(TlogProof.TryParse((byte[])[.. largest.ToBytes(), (byte)'\n'], out _));
    }

    [Fact]
    public void A_proof_that_would_not_parse_cannot_be_made()
    {
        byte[] checkpoint = Utf8(CheckpointText);
        Assert.Throws<ArgumentOutOfRangeException>(() => new TlogProof(-1, [], checkpoint));
        Assert.Throws<ArgumentException>(() => new TlogProof(0, new Hash[64], checkpoint));
        Assert.Throws<ArgumentException>(() => new TlogProof(0, [], Utf8("")));
        Assert.Throws<ArgumentException>(() => new TlogProof(0, [], Utf8("\n")));
        Assert.Throws<ArgumentException>(() => new TlogProof(0, [], Utf8("no newline")));
        Assert.Null(new TlogProof(0, [], checkpoint, ReadOnlyMemory<byte>.Empty).Extra);
        Assert.Throws<ArgumentException>(() => new TlogProof(0, [], checkpoint, new byte[TlogProof.MaxExtra + 1]));
    }
}
