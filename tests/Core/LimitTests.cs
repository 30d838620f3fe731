using System.Text;

namespace TransparencyLog.Tests.Core;

/// <summary>Each limit admits what is exactly as large, and nothing larger.</summary>
public sealed class LimitTests
{
    private static readonly NoteSignature Line = new("a", 7, new byte[64]);

    [Fact]
    public void A_body_of_add_checkpoint_has_at_most_128_KiB()
    {
        byte[] Body(int size)
        {
            string begin = "old 0\n\n";
            return Encoding.ASCII.GetBytes($"{begin}{new string('a', size - begin.Length - 1)}\n");
        }

        Assert.True(AddCheckpointRequest.TryParse(Body(131072), out AddCheckpointRequest? request, out _));
        Assert.Equal(131072, request!.ToBytes().Length);
        Assert.False(AddCheckpointRequest.TryParse(Body(131073), out _, out string error));
        Assert.Equal("a body has at most 131072 bytes", error);
        Assert.Equal(63, new AddCheckpointRequest(0, new Hash[63], "a\n"u8.ToArray()).Proof.Count);
    }

    [Fact]
    public void An_answer_of_add_checkpoint_has_at_most_100_lines_and_16_KiB()
    {
        byte[] Lines(int count, int bytes = 64) => Encoding.UTF8.GetBytes(string.Concat(Enumerable.Repeat(new NoteSignature("a", 7, new byte[bytes]).ToLine(), count)));

        Assert.True(AddCheckpointResponse.TryParse(Lines(100), out IReadOnlyList<NoteSignature> lines));
        Assert.Equal(100, lines.Count);
        Assert.False(AddCheckpointResponse.TryParse(Lines(101), out _));

        // One line: six bytes before the base64 of key ID and signature, one behind it.
        NoteSignature largest = new("ab", 7, new byte[((16384 - 8) / 4 * 3) - 4]);
        Assert.Equal(16384, AddCheckpointResponse.ToBytes([largest]).Length);
        Assert.True(AddCheckpointResponse.TryParse(AddCheckpointResponse.ToBytes([largest]), out _));
        byte[] longer = Encoding.UTF8.GetBytes(new NoteSignature("abc", 7, largest.Signature).ToLine());
        Assert.Equal(16385, longer.Length);
        Assert.False(AddCheckpointResponse.TryParse(longer, out _));
        Assert.Throws<ArgumentException>(() => AddCheckpointResponse.ToBytes([new("abc", 7, largest.Signature)]));
    }

    [Fact]
    public void A_checkpoint_has_at_most_64_extension_lines_and_1_MiB()
    {
        Checkpoint most = new("a", 1, MerkleHash.Empty, [.. Enumerable.Repeat("x", 64)]);
        Assert.True(Checkpoint.TryParse(most.ToText(), out Checkpoint? read));
        Assert.Equal(most, read);
        Assert.False(Checkpoint.TryParse([.. most.ToText(), .. "x\n"u8], out _));

        byte[] Text(int size)
        {
            string rest = $"\n1\n{MerkleHash.Empty.ToBase64()}\n";
            return Encoding.ASCII.GetBytes($"{new string('a', size - rest.Length)}{rest}");
        }

        Assert.True(Checkpoint.TryParse(Text(1048576), out _));
        Assert.False(Checkpoint.TryParse(Text(1048577), out _));
    }

    [Fact]
    public void A_line_of_a_hash_has_45_bytes()
    {
        byte[] line = new byte[45];
        MerkleHash.Empty.WriteLine(line);
        Assert.Equal($"{MerkleHash.Empty.ToBase64()}\n", Encoding.ASCII.GetString(line));
    }

    [Fact]
    public void A_note_has_at_most_100_lines_and_1_MiB()
    {
        byte[] Text(int size) => Encoding.ASCII.GetBytes($"{new string('a', size - 1)}\n");

        Assert.Equal(100, new Note(Text(2), [.. Enumerable.Repeat(Line, 100)]).Signatures.Count);
        int rest = 1 + Encoding.UTF8.GetByteCount(Line.ToLine());
        Note most = new(Text(1048576 - rest), [Line]);
        Assert.Equal(1048576, most.ToBytes().Length);
        Assert.True(Note.TryParse(most.ToBytes(), out Note? read));
        Assert.Equal(most.ToBytes(), read!.ToBytes());
        Assert.Throws<ArgumentException>(() => new Note(Text(1048577 - rest), [Line]));
        Assert.False(Note.TryParse([.. "a"u8, .. most.ToBytes()], out _));

        // 100 lines of 43 MB: more than an int counts.
        NoteSignature huge = new("a", 7, new byte[32 * 1024 * 1024]);
        Assert.Equal("text", Assert.Throws<ArgumentException>(() => new Note(Text(2), [.. Enumerable.Repeat(huge, 100)])).ParamName);
    }

    [Fact]
    public void The_shortest_text_of_a_note_is_a_newline()
    {
        Assert.True(Note.TryParse(Encoding.UTF8.GetBytes($"\n\n{Line.ToLine()}"), out Note? note));
        Assert.Equal("\n"u8.ToArray(), note!.Text.ToArray());
        Assert.False(Note.TryParse(Encoding.UTF8.GetBytes($"\n{Line.ToLine()}"), out _));
    }

    [Fact]
    public void A_signature_line_has_at_most_1_MiB()
    {
        NoteSignature largest = new("ab", 7, new byte[((1048576 - 8) / 4 * 3) - 4]);
        byte[] line = Encoding.UTF8.GetBytes(largest.ToLine());
        Assert.Equal(1048576, line.Length);
        Assert.True(NoteSignature.TryParseLine(line, out NoteSignature read));
        Assert.Equal(largest, read);
        Assert.False(NoteSignature.TryParseLine(Encoding.UTF8.GetBytes(new NoteSignature("abc", 7, largest.Signature).ToLine()), out _));
    }

    [Fact]
    public void A_body_of_sign_subtree_has_at_most_128_KiB()
    {
        string begin = $"subtree 0 1\n{MerkleHash.Empty.ToBase64()}\n\n";
        byte[] Body(int size) => Encoding.ASCII.GetBytes($"{begin}{new string('a', size - begin.Length - 1)}\n");

        Assert.True(SignSubtreeRequest.TryParse(Body(131072), out SignSubtreeRequest? request, out _));
        Assert.Equal(Body(131072), request.ToBytes());
        Assert.False(SignSubtreeRequest.TryParse(Body(131073), out _, out string error));
        Assert.Equal("a body has at most 131072 bytes", error);
        Assert.Equal(63, new SignSubtreeRequest(0, 1, MerkleHash.Empty, new Hash[63], "a\n"u8.ToArray()).Proof.Count);
    }

    [Fact]
    public void A_tlog_proof_has_at_most_63_hashes_64_KiB_of_extra_data_and_a_note_of_1_MiB()
    {
        byte[] checkpoint = Encoding.ASCII.GetBytes($"{new string('a', 1048575)}\n");
        TlogProof most = new(long.MaxValue, new Hash[63], checkpoint, new byte[65536]);
        byte[] bytes = most.ToBytes();
        Assert.Equal(1138852, bytes.Length);
        Assert.True(TlogProof.TryParse(bytes, out TlogProof? read));
        Assert.Equal(bytes, read.ToBytes());
        Assert.False(TlogProof.TryParse([.. bytes[..^1], .. "a\n"u8], out _));
        Assert.Throws<ArgumentException>(() => new TlogProof(0, [], (byte[])[.. "a"u8, .. checkpoint]));
    }

    [Fact]
    public void A_list_of_logs_has_at_most_4096_logs_and_1_MiB()
    {
        VerifierKey key = VerifierKey.Create("example.com/log", VerifierKey.Ed25519, new byte[32]);
        TlogList Of(int logs) => new([.. Enumerable.Range(0, logs).Select(i => new ListedLog(key, $"example.com/{i}", 1, "x"))]);

        byte[] most = Of(4096).ToBytes();
        Assert.True(TlogList.TryParse(most, out TlogList? list, out _));
        Assert.Equal(4096, list.Logs.Count);
        byte[] more = Encoding.ASCII.GetBytes($"{Encoding.ASCII.GetString(most)}vkey {key}\nqpd 1\ncontact x\n");
        Assert.False(TlogList.TryParse(more, out _, out string error));
        Assert.Equal("line 16386: a list has at most 4096 logs", error);

        int rest = new TlogList([new ListedLog(key, "a", 1, "x")]).ToBytes().Length - 1;
        byte[] largest = new TlogList([new ListedLog(key, "a", 1, new string('x', 1048576 - rest))]).ToBytes();
        Assert.Equal(1048576, largest.Length);
        Assert.True(TlogList.TryParse(largest, out _, out _));
        Assert.False(TlogList.TryParse([.. largest, .. "\n"u8], out _, out error));
        Assert.Equal("a list of logs has at most 1048576 bytes", error);
        Assert.Throws<ArgumentException>(() => new TlogList([new ListedLog(key, "a", 1, new string('x', 1048577 - rest))]));
    }

    [Fact]
    public void An_evidence_file_has_at_most_64_hashes_and_2_MiB()
    {
        Assert.False(TlogEvidence.TryParse(new byte[2100142], out _, out string error));
        Assert.Equal("the first line is \"tlog-evidence v1\"", error);
        Assert.False(TlogEvidence.TryParse(new byte[2100143], out _, out error));
        Assert.Equal("an evidence file has at most 2100142 bytes", error);

        static Note Signed(long size, byte root) => new(new Checkpoint("a", size, MerkleHash.Leaf([root])).ToText(), [Line]);
        TlogEvidence most = TlogEvidence.Of(Signed(1, 1), Signed(2, 2), new Hash[64])!;
        Assert.Equal(64, most.Hashes.Count);
        Assert.True(TlogEvidence.TryParse(most.ToBytes(), out TlogEvidence? read, out _));
        Assert.Equal(most.ToBytes(), read.ToBytes());
    }

    [Fact]
    public void A_vkey_has_a_name_of_at_most_255_bytes()
    {
        VerifierKey most = VerifierKey.Create(new string('a', 255), VerifierKey.Ecdsa, new byte[4096]);
        Assert.True(VerifierKey.TryParse(Encoding.ASCII.GetBytes(most.ToString()), out VerifierKey? read));
        Assert.Equal(most, read);
        Assert.Throws<ArgumentException>(() => VerifierKey.Create(new string('a', 256), VerifierKey.Ecdsa, new byte[4096]));
        Assert.Throws<ArgumentException>(() => VerifierKey.Create("a", VerifierKey.Ecdsa, new byte[4097]));
        Assert.Throws<ArgumentException>(() => VerifierKey.Create("a", VerifierKey.Ecdsa, []));
    }
}
