using System.Numerics;
using System.Security.Cryptography;
using System.Text;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

/// <summary>spec/evidence.md: what two checkpoints show is what their entries say, nothing frames an honest log, and no byte of a file is idle.</summary>
public sealed class TlogEvidenceTests
{
    private const string Origin = "example.com/log";
    private const int Max = 18;

    private static readonly Rfc6962 Ours = Tree(Max);
    private readonly OpenVerifier _log = new(Origin);

    /// <summary>The tree whose entries are ours up to an index, and others from there on.</summary>
    private static Rfc6962 Tree(int same) => new([.. Enumerable.Range(0, Max + 1).Select(i => MerkleHash.Leaf(Utf8(i < same ? $"entry {i}" : $"other {i}")))]);

    private Note Sign(long size, Hash root, string origin = Origin)
    {
        byte[] text = new Checkpoint(origin, size, root).ToText();
        return new Note(text, [_log.Sign(Encoding.UTF8.GetString(text))]);
    }

    /// <summary>SUBPROOF(m, D[n], false): what PROOF leaves out where m is a power of two is the root of the first m.</summary>
    private static Hash[] Prefix(Rfc6962 tree, int m, int n) => BitOperations.IsPow2(m) ? [tree.Root(m), .. tree.Proof(m, n)] : [.. tree.Proof(m, n)];

    private TlogEvidence Fork() => TlogEvidence.Of(Sign(12, Ours.Root(12)), Sign(12, Tree(6).Root(12)), [])!;

    private TlogEvidence Inconsistent(int m = 12, int n = 17) => TlogEvidence.Of(Sign(m, Ours.Root(m)), Sign(n, Tree(3).Root(n)), Prefix(Tree(3), m, n))!;

    private TlogEvidence SizeZero() => TlogEvidence.Of(Sign(0, Ours.Root(1)))!;

    private TlogEvidence Unproven() => TlogEvidence.Of(Sign(12, Ours.Root(12)), Sign(17, Tree(3).Root(17)), [Ours.Root(1)])!;

    [Fact]
    public void CP14_two_checkpoints_conflict_when_their_entries_do_for_every_fork_and_every_two_sizes()
    {
        int conflicts = 0, unproven = 0;
        for (int same = 0; same <= Max; same++)
        {
            Rfc6962 theirs = Tree(same);
            for (int m = 0; m <= Max; m++)
            {
                for (int n = m; n <= Max; n++)
                {
                    Note one = Sign(m, Ours.Root(m)), other = Sign(n, theirs.Root(n));
                    bool conflict = m > same;
                    Hash[] hashes = m == 0 || m == n ? [] : Prefix(theirs, m, n);
                    TlogEvidence? found = TlogEvidence.Of(one, other, hashes);
                    Assert.Equal(!conflict ? null : m == n ? EvidenceKind.Fork : EvidenceKind.Inconsistent, found?.Kind);
                    Assert.Equal(found?.ToBytes(), TlogEvidence.Of(other, one, hashes)?.ToBytes());

                    // The consistency proof as the RFC has it does not say what the first hash is where m is a power of two.
                    TlogEvidence? shorter = TlogEvidence.Of(one, other, theirs.Proof(m, n));
                    bool hidden = conflict && m < n && BitOperations.IsPow2(m);
                    Assert.Equal(hidden ? EvidenceKind.Unproven : found?.Kind, shorter?.Kind);
                    if (found is null) continue;
                    Convinces(found);
                    conflicts++;
                    if (!hidden) continue;
                    unproven++;
                    DoesNotConvince(shorter!, "nothing shows that they conflict");
                }
            }
        }

        Assert.True(conflicts > 900 && unproven > 200, $"{conflicts} conflicts, {unproven} unproven");
    }

    [Fact]
    public void CP14_an_honest_log_cannot_be_framed_by_any_proof_of_another_pair_nor_by_a_broken_one()
    {
        List<Hash[]> proofs = [];
        for (int n = 2; n <= 13; n++)
        {
            for (int m = 1; m < n; m++) proofs.AddRange([Prefix(Ours, m, n), [.. Ours.Proof(m, n)]]);
        }

        Assert.Equal(0, Frames(Ours));

        // The same search over a tree that is not the one that was signed finds it: it can find something.
        Assert.InRange(Frames(Tree(2)), 60, int.MaxValue);

        int Frames(Rfc6962 signed)
        {
            int framed = 0;
            for (int n = 2; n <= 13; n++)
            {
                for (int m = 1; m < n; m++)
                {
                    Note one = Sign(m, signed.Root(m)), other = Sign(n, Ours.Root(n));
                    foreach (Hash[] hashes in proofs.Concat(Broken(Prefix(Ours, m, n))))
                    {
                        if (TlogEvidence.Of(one, other, hashes) is { Kind: not EvidenceKind.Unproven }) framed++;
                    }
                }
            }

            return framed;
        }
    }

    [Fact]
    public void CP14_an_honest_log_cannot_be_framed_by_hashes_of_its_own_tree_in_any_order()
    {
        const int seed = 20261121;
        Random random = new(seed);
        Hash[] nodes = [.. Enumerable.Range(1, 13).Select(Ours.Root), .. Enumerable.Range(1, 13).SelectMany(n => Enumerable.Range(0, n).SelectMany(i => Ours.Path(i, n))).Distinct()];
        for (int round = 0; round < 20_000; round++)
        {
            int n = random.Next(2, 14), m = random.Next(1, n);
            TlogEvidence? found = TlogEvidence.Of(Sign(m, Ours.Root(m)), Sign(n, Ours.Root(n)), random.GetItems(nodes, random.Next(1, 6)));
            Assert.True(found is null or { Kind: EvidenceKind.Unproven }, $"seed {seed}, round {round}: {m} and {n}");
        }
    }

    [Fact]
    public void CP14_the_largest_sizes_have_64_hashes_and_are_judged()
    {
        long n = long.MaxValue;
        foreach (long m in (long[])[1, 2, 3, 1L << 40, (1L << 62) - 1, 1L << 62, (1L << 62) + 1, n - 1])
        {
            Assert.True(ProofPlan.Prefix(m, n).TryBuild(EqualLeaves.Tile, out Hash[] hashes));
            Assert.InRange(hashes.Length, 1, TlogEvidence.MaxHashes);
            if (m == 1) Assert.Equal(TlogEvidence.MaxHashes, hashes.Length);
            Assert.True(MerkleProof.TryRoots(m, n, hashes, out Hash begins, out Hash ends));
            Assert.Equal((EqualLeaves.Root(m), EqualLeaves.Root(n)), (begins, ends));
            Assert.Null(TlogEvidence.Of(Sign(m, begins), Sign(n, ends), hashes));
            TlogEvidence found = TlogEvidence.Of(Sign(m, Ours.Root(5)), Sign(n, ends), hashes)!;
            Assert.Equal(EvidenceKind.Inconsistent, found.Kind);
            Convinces(found);
        }
    }

    [Fact]
    public void CP13_a_checkpoint_of_size_zero_with_another_root_is_evidence_alone_and_beside_another()
    {
        TlogEvidence alone = SizeZero();
        Assert.Equal(EvidenceKind.SizeZero, alone.Kind);
        Convinces(alone);
        Assert.Equal(alone.ToBytes(), TlogEvidence.Of(Sign(7, Ours.Root(7)), Sign(0, Ours.Root(1)), [])!.ToBytes());
        Assert.Null(TlogEvidence.Of(Sign(0, MerkleHash.Empty)));
        Assert.Null(TlogEvidence.Of(Sign(5, Ours.Root(1))));
        Assert.Null(TlogEvidence.Of(Sign(0, MerkleHash.Empty), Sign(7, Ours.Root(7)), [Ours.Root(1)]));
    }

    [Fact]
    public void The_file_is_these_lines()
    {
        Rfc6962 theirs = Tree(3);
        string Line(string text) => _log.Sign(text).ToLine();
        string first = $"{Origin}\n12\n{Ours.Root(12)}\n", second = $"{Origin}\n17\n{theirs.Root(17)}\n";
        string body = $"tlog-evidence v1\nkind inconsistent\n{string.Concat(theirs.Proof(12, 17).Select(hash => $"{hash}\n"))}\n{first}\n{Line(first)}\n{second}\n{Line(second)}\n";
        Assert.Equal($"{body}sha256 {Convert.ToHexStringLower(SHA256.HashData(Utf8(body)))}\n", Encoding.UTF8.GetString(Inconsistent().ToBytes()));
        string zero = $"{Origin}\n0\n{Ours.Root(1)}\n";
        body = $"tlog-evidence v1\nkind size-zero\n\n{zero}\n{Line(zero)}\n";
        Assert.Equal($"{body}sha256 {Convert.ToHexStringLower(SHA256.HashData(Utf8(body)))}\n", Encoding.UTF8.GetString(SizeZero().ToBytes()));
        Assert.Equal($"{Checkpoint.HashOrigin(Origin).ToHex()}-size-zero-{Convert.ToHexStringLower(SHA256.HashData(Utf8(zero)))[..16]}.tlog-evidence", SizeZero().FileName);
    }

    /// <summary>Files of every kind that convinces.</summary>
    public static TheoryData<string> Kinds => ["fork", "inconsistent", "inconsistent-2", "size-zero"];

    private TlogEvidence Make(string kind) => kind switch
    {
        "fork" => Fork(),
        "inconsistent" => Inconsistent(),
        "inconsistent-2" => Inconsistent(8, 9),
        "size-zero" => SizeZero(),
        "unproven" => Unproven(),
        _ => throw new ArgumentOutOfRangeException(nameof(kind)),
    };

    [Theory, MemberData(nameof(Kinds))]
    public void Every_byte_changed_taken_out_doubled_or_cut_off_is_refused(string kind)
    {
        byte[] file = Make(kind).ToBytes();
        Assert.True(Believed(file));
        for (int at = 0; at < file.Length; at++)
        {
            foreach (byte value in Others(file[at])) Refused([.. file.AsSpan(0, at), value, .. file.AsSpan(at + 1)], $"byte {at} as {value}");
            Refused([.. file.AsSpan(0, at), .. file.AsSpan(at + 1)], $"without byte {at}");
            Refused([.. file.AsSpan(0, at), file[at], .. file.AsSpan(at)], $"with byte {at} twice");
            Refused(file[..at], $"the first {at} bytes");
        }

        Refused([.. file, (byte)'\n'], "with a newline more");
    }

    /// <summary>The last line stops damage; that nothing can be changed on purpose is what the signatures and the hashes are for.</summary>
    [Theory, MemberData(nameof(Kinds))]
    public void Every_byte_changed_on_purpose_with_the_last_line_made_anew_is_refused(string kind)
    {
        byte[] file = Make(kind).ToBytes(), body = file[..^72];
        Assert.Equal(file, Sealed(body));
        for (int at = 0; at < body.Length; at++)
        {
            foreach (byte value in Others(body[at])) Refused(Sealed([.. body.AsSpan(0, at), value, .. body.AsSpan(at + 1)]), $"byte {at} as {value}");
            Refused(Sealed([.. body.AsSpan(0, at), .. body.AsSpan(at + 1)]), $"without byte {at}");
            Refused(Sealed([.. body.AsSpan(0, at), body[at], .. body.AsSpan(at)]), $"with byte {at} twice");
        }
    }

    [Theory, MemberData(nameof(Kinds))]
    public void Several_changes_at_once_are_refused(string kind)
    {
        const int seed = 77;
        Random random = new(seed);
        byte[] file = Make(kind).ToBytes();
        for (int round = 0; round < 5_000; round++)
        {
            bool onPurpose = round % 2 == 1;
            byte[] changed = onPurpose ? file[..^72] : [.. file];
            for (int change = 0; change < 2 + (round % 4); change++) changed[random.Next(changed.Length)] = file[random.Next(changed.Length)];
            if (onPurpose) changed = Sealed(changed);
            if (!changed.AsSpan().SequenceEqual(file)) Refused(changed, $"seed {seed}, round {round}");
        }
    }

    [Fact]
    public void Another_key_another_kind_other_hashes_and_swapped_notes_are_refused()
    {
        foreach (string kind in Kinds.Select(row => row.Data))
        {
            TlogEvidence evidence = Make(kind);
            Assert.False(evidence.TryVerify([new OpenVerifier(Origin, fill: 9)], out string reason));
            Assert.Contains("not signed by a key that is trusted", reason);
            Assert.False(evidence.TryVerify([new OpenVerifier("example.com/other")], out _));
            Assert.False(evidence.TryVerify([], out _));

            string text = Encoding.UTF8.GetString(evidence.ToBytes()[..^72]);
            foreach (string word in (string[])["fork", "inconsistent", "size-zero", "unproven", "Fork", "other", ""])
            {
                string changed = text.Replace($"kind {TlogEvidence.Word(evidence.Kind)}\n", $"kind {word}\n");
                if (changed != text) Refused(Sealed(Utf8(changed)), $"{kind} as {word}");
            }

            string hash = $"{Ours.Root(3)}\n";
            Refused(Sealed(Utf8(text.Replace("\n\nexample", $"\n{hash}\nexample"))), $"{kind} with another hash");
        }

        // The second note first: the order is part of the format, so that one claim has one file.
        TlogEvidence fork = Fork();
        byte[] head = Utf8("tlog-evidence v1\nkind fork\n\n");
        Refused(Sealed([.. head, .. fork.Notes[1].ToBytes(), (byte)'\n', .. fork.Notes[0].ToBytes(), (byte)'\n']), "swapped");
        Refused(Sealed([.. head, .. fork.Notes[0].ToBytes(), (byte)'\n', .. fork.Notes[0].ToBytes(), (byte)'\n']), "the same twice");
        Refused(Sealed([.. head, .. fork.Notes[0].ToBytes(), (byte)'\n']), "one note");
        Refused(Sealed([.. head, .. fork.Notes[0].ToBytes(), (byte)'\n', .. fork.Notes[1].ToBytes(), (byte)'\n', .. fork.Notes[1].ToBytes(), (byte)'\n']), "three notes");
        Assert.True(Believed(Sealed([.. head, .. fork.Notes[0].ToBytes(), (byte)'\n', .. fork.Notes[1].ToBytes(), (byte)'\n'])));

        // Two logs.
        byte[] other = new Note(new Checkpoint("example.com/other", 12, Ours.Root(3)).ToText(), fork.Notes[1].Signatures).ToBytes();
        Refused(Sealed([.. head, .. fork.Notes[0].ToBytes(), (byte)'\n', .. other, (byte)'\n']), "two origins");
        Assert.Throws<ArgumentException>(() => TlogEvidence.Of(Sign(12, Ours.Root(12)), Sign(12, Ours.Root(3), "example.com/other"), []));
    }

    [Fact]
    public void Lines_of_other_keys_say_nothing_and_one_bad_line_of_a_known_key_spoils_it()
    {
        OpenVerifier second = new(Origin, VerifierKey.Ed25519, 8), witness = new("witness.example", VerifierKey.Ed25519Cosignature);
        byte[] one = new Checkpoint(Origin, 12, Ours.Root(12)).ToText(), two = new Checkpoint(Origin, 12, Tree(6).Root(12)).ToText();
        (string a, string b) = (Encoding.UTF8.GetString(one), Encoding.UTF8.GetString(two));
        TlogEvidence both = TlogEvidence.Of(new Note(one, [_log.Sign(a), second.Sign(a), witness.Sign(a)]), new Note(two, [second.Sign(b), _log.Sign(b)]), [])!;
        foreach (INoteVerifier[] keys in (INoteVerifier[][])[[_log], [second], [_log, second]]) Assert.True(both.TryVerify(keys, out _));

        // In whatever order and however often they came, there is one file; and no other is read.
        TlogEvidence again = TlogEvidence.Of(new Note(two, [_log.Sign(b), second.Sign(b), _log.Sign(b)]), new Note(one, [second.Sign(a), witness.Sign(a), _log.Sign(a), second.Sign(a)]), [])!;
        Assert.Equal(both.ToBytes(), again.ToBytes());
        string text = Encoding.UTF8.GetString(both.ToBytes()[..^72]), line = _log.Sign(a).ToLine(), other = second.Sign(a).ToLine();
        Assert.True(Believed(Sealed(Utf8(text))));
        Refused(Sealed(Utf8(text.Replace(line, line + line))), "a line twice");
        Refused(Sealed(Utf8(text.Replace(line, "~").Replace(other, line).Replace("~", other))), "lines in another order");

        // What can be altered: lines that say nothing to whoever does not know their key.
        Assert.True(Believed(Sealed(Utf8(text.Replace(other, "")))));

        // Not one key over both notes, but the keys of the log: it may have changed its key in between.
        TlogEvidence rotated = TlogEvidence.Of(new Note(one, [_log.Sign(a)]), new Note(two, [second.Sign(b)]), [])!;
        Assert.True(rotated.TryVerify([_log, second], out _));
        Assert.False(rotated.TryVerify([_log], out string reason));
        Assert.Contains("checkpoint is not signed by a key that is trusted", reason);

        // One bad line of a known key.
        TlogEvidence bad = TlogEvidence.Of(new Note(one, [_log.Sign(a), second.Bad(a)]), new Note(two, [_log.Sign(b)]), [])!;
        Assert.False(bad.TryVerify([_log, second], out reason));
        Assert.Contains("does not verify", reason);
        Assert.True(bad.TryVerify([_log], out _));
    }

    [Fact]
    public void What_is_not_proven_is_kept_with_what_was_shown_and_never_convinces()
    {
        DoesNotConvince(Unproven(), "whoever has the entries can tell");
        Assert.Equal([Ours.Root(1)], Unproven().Hashes);
        TlogEvidence none = TlogEvidence.Of(Sign(12, Ours.Root(12)), Sign(17, Ours.Root(17)), [])!;
        DoesNotConvince(none, "nothing shows");
        string text = Encoding.UTF8.GetString(Unproven().ToBytes()[..^72]);
        Refused(Sealed(Utf8(text.Replace("kind unproven", "kind inconsistent"))), "called inconsistent");
        Assert.Throws<ArgumentException>(() => TlogEvidence.Of(Sign(1, Ours.Root(1)), Sign(2, Ours.Root(2)), new Hash[65]));
        Assert.Throws<ArgumentException>(() => TlogEvidence.Of(new Note(Utf8("no checkpoint\n"), [_log.Sign("x\n")])));
    }

    public static TheoryData<string, string> Hostile
    {
        get
        {
            const string Note = CheckpointText + "\n\u2014 k AAAAAAA=\n\n", Head = "tlog-evidence v1\nkind fork\n";
            string hash = RootLine + "\n";
            return new()
            {
                { "empty", "" },
                { "first line alone", "tlog-evidence v1\n" },
                { "another version", "tlog-evidence v2\nkind fork\n\n" + Note + Note },
                { "byte order mark", "\ufeff" + Head + "\n" + Note + Note },
                { "CRLF", (Head + "\n" + Note + Note).Replace("\n", "\r\n") },
                { "no kind", "tlog-evidence v1\n\n" + Note + Note },
                { "kind twice", Head + "kind fork\n\n" + Note + Note },
                { "no notes", Head + "\n" },
                { "65 hashes", "tlog-evidence v1\nkind unproven\n" + string.Concat(Enumerable.Repeat(hash, 65)) + "\n" + Note + Note },
                { "hash of 31 bytes", "tlog-evidence v1\nkind unproven\n" + Convert.ToBase64String(new byte[31]) + "\n\n" + Note + Note },
                { "no empty line before the notes", Head + Note + Note },
                { "two empty lines before the notes", Head + "\n\n" + Note + Note },
                { "no empty line between the notes", Head + "\n" + Note[..^1] + Note },
                { "the same size and root", Head + "\n" + Note + Note },
                { "a note without lines", Head + "\n" + CheckpointText + "\n\n" + Note },
                { "a note that is no checkpoint", Head + "\nnothing\n\n\u2014 k AAAAAAA=\n\n" + Note },
                { "control character", Head + "\n" + Note.Replace("example", "exam\tple") + Note },
            };
        }
    }

    [Theory, MemberData(nameof(Hostile))]
    public void Malformed_files_are_refused_with_a_reason(string what, string body)
    {
        foreach (byte[] file in (byte[][])[Utf8(body), Sealed(Utf8(body))])
        {
            Assert.False(TlogEvidence.TryParse(file, out TlogEvidence? evidence, out string error), what);
            Assert.Null(evidence);
            Assert.NotEqual("", error);
            Assert.DoesNotContain(error, character => character is < ' ' or > '~');
        }
    }

    [Fact]
    public void A_file_above_the_limit_is_refused_unread()
    {
        Assert.False(TlogEvidence.TryParse(new byte[TlogEvidence.MaxSize + 1], out _, out string error));
        Assert.Contains(TlogEvidence.MaxSize.ToString(System.Globalization.CultureInfo.InvariantCulture), error);
    }

    private void Convinces(TlogEvidence evidence)
    {
        byte[] file = evidence.ToBytes();
        Assert.True(TlogEvidence.TryParse(file, out TlogEvidence? read, out string error), error);
        Assert.Equal((evidence.Kind, evidence.FileName, Origin), (read!.Kind, read.FileName, read.Origin));
        Assert.Equal(evidence.Hashes, read.Hashes);
        Assert.Equal(evidence.Checkpoints, read.Checkpoints);
        Assert.Equal(file, read.ToBytes());
        Assert.True(read.TryVerify([_log], out string reason), reason);
        Assert.Equal("", reason);
    }

    private void DoesNotConvince(TlogEvidence evidence, string because)
    {
        Assert.True(TlogEvidence.TryParse(evidence.ToBytes(), out TlogEvidence? read, out string error), error);
        Assert.Equal(EvidenceKind.Unproven, read!.Kind);
        Assert.False(read.TryVerify([_log], out string reason));
        Assert.Contains(because, reason);
    }

    private bool Believed(byte[] file) => TlogEvidence.TryParse(file, out TlogEvidence? evidence, out _) && evidence!.TryVerify([_log], out _);

    private void Refused(byte[] file, string what) => Assert.False(Believed(file), what);

    private static byte[] Sealed(byte[] body) => [.. body, .. Utf8($"sha256 {Convert.ToHexStringLower(SHA256.HashData(body))}\n")];

    /// <summary>Every bit flipped, and the characters that formats are made of.</summary>
    private static IEnumerable<byte> Others(byte value) =>
        Enumerable.Range(0, 8).Select(bit => (byte)(value ^ (1 << bit))).Concat("\0\n\r\t 0A=+/~"u8.ToArray()).Append((byte)0xff).Where(other => other != value).Distinct();

    private static IEnumerable<Hash[]> Broken(Hash[] proof)
    {
        yield return proof[1..];
        yield return proof[..^1];
        yield return [.. proof, proof[0]];
        yield return [proof[0], .. proof];
        yield return [.. proof.Reverse()];
        for (int i = 0; i < proof.Length; i++)
        {
            byte[] bytes = proof[i].ToArray();
            bytes[i] ^= 1;
            yield return [.. proof[..i], new Hash(bytes), .. proof[(i + 1)..]];
        }
    }

    [Fact]
    public void An_empty_tree_with_another_root_is_evidence_alone_whichever_of_the_two_it_is()
    {
        static Note Of(long size, byte root) => new(new Checkpoint("example.com/log", size, MerkleHash.Leaf([root])).ToText(), [new NoteSignature("example.com/log", 7, new byte[64])]);
        Note empty = Of(0, 1), other = Of(0, 2), some = Of(9, 3);
        foreach ((Note one, Note two, Note shown) in new[] { (empty, some, empty), (some, empty, empty), (empty, other, empty), (other, empty, other) })
        {
            TlogEvidence evidence = TlogEvidence.Of(one, two, [])!;
            Assert.Equal(EvidenceKind.SizeZero, evidence.Kind);
            Assert.Equal(shown.ToBytes(), Assert.Single(evidence.Notes).ToBytes());
        }
    }

    [Fact]
    public void A_file_that_is_refused_is_told_why()
    {
        static string Text(long size, byte root, params string[] signers) => System.Text.Encoding.UTF8.GetString(new Note(
            new Checkpoint("example.com/log", size, MerkleHash.Leaf([root])).ToText(), [.. signers.Select(signer => new NoteSignature(signer, 7, new byte[64]))]).ToBytes());
        static string Why(byte[] file)
        {
            Assert.False(TlogEvidence.TryParse(file, out _, out string error));
            return error;
        }

        string one = Text(9, 1, "a"), other = Text(9, 2, "a");
        if (MerkleHash.Leaf([1]).ToArray().AsSpan().SequenceCompareTo(MerkleHash.Leaf([2]).ToArray()) > 0) (one, other) = (other, one);
        string whole = $"tlog-evidence v1\nkind fork\n\n{one}\n{other}\n";
        Assert.True(TlogEvidence.TryParse(Sealed(Utf8(whole)), out _, out string none));
        Assert.Equal("", none);
        Assert.Equal("the first line is \"tlog-evidence v1\"", Why(Utf8("x")));
        Assert.Equal("the last line is \"sha256\", a space and 64 lower-case hex digits, and it is cut or missing", Why(Utf8(whole)));
        Assert.Equal("the file was changed or is damaged: the last line is not the SHA-256 of what is before it", Why(Utf8($"{whole}sha256 {new string('0', 64)}\n")));
        Assert.Equal("the second line is \"kind\", a space and fork, inconsistent, size-zero or unproven", Why(Sealed(Utf8(whole.Replace("fork", "forks")))));
        Assert.Equal("after the kind come at most 64 lines, each the base64 of 32 bytes, and an empty line", Why(Sealed(Utf8(whole.Replace("fork\n\n", "fork\nx\n\n")))));
        Assert.Equal("after the hashes come two signed checkpoints, each with an empty line behind it", Why(Sealed(Utf8($"tlog-evidence v1\nkind fork\n\n{one}\n"))));
        Assert.Equal("after the hashes comes one signed checkpoint and an empty line", Why(Sealed(Utf8("tlog-evidence v1\nkind size-zero\n\n\n"))));
        Assert.Equal("the signature lines of a note are in the order of their bytes, and there is one of a key", Why(Sealed(Utf8($"tlog-evidence v1\nkind size-zero\n\n{Text(0, 1, "b", "a")}\n"))));
        Assert.Equal("a checkpoint of this kind has size 0 and another root hash than the empty tree, and no hashes with it", Why(Sealed(Utf8($"tlog-evidence v1\nkind size-zero\n\n{one}\n"))));
        Assert.Equal(
            "the two checkpoints are of one origin, and the one of the smaller size, or of equal sizes the one with the smaller root hash, is the first",
            Why(Sealed(Utf8($"tlog-evidence v1\nkind fork\n\n{other}\n{one}\n"))));
        Assert.Equal("the checkpoints and the hashes do not show what the file says they do", Why(Sealed(Utf8(whole.Replace("fork", "unproven")))));
    }

    [Fact]
    public void Two_roots_of_an_empty_tree_are_no_fork_one_of_them_is_evidence_alone()
    {
        static string Text(Hash root) => System.Text.Encoding.UTF8.GetString(new Note(new Checkpoint("example.com/log", 0, root).ToText(), [new NoteSignature("a", 7, new byte[64])]).ToBytes());
        foreach ((Hash one, Hash other) in new[] { (MerkleHash.Empty, MerkleHash.Leaf([1])), (MerkleHash.Leaf([1]), MerkleHash.Leaf([2])) })
        {
            foreach ((Hash first, Hash second) in new[] { (one, other), (other, one) })
            {
                Assert.False(TlogEvidence.TryParse(Sealed(Utf8($"tlog-evidence v1\nkind fork\n\n{Text(first)}\n{Text(second)}\n")), out _, out _));
            }
        }
    }

    [Fact]
    public void A_file_that_does_not_convince_says_which_checkpoint_is_at_fault()
    {
        OpenVerifier log = new("example.com/log");
        Note Of(long size, byte root, Func<string, NoteSignature> sign)
        {
            byte[] text = new Checkpoint("example.com/log", size, MerkleHash.Leaf([root])).ToText();
            return new(text, [sign(System.Text.Encoding.UTF8.GetString(text))]);
        }

        NoteSignature Stranger(string text) => new OpenVerifier("somebody").Sign(text);
        string Why(params Note[] notes)
        {
            TlogEvidence evidence = notes.Length == 1 ? TlogEvidence.Of(notes[0])! : TlogEvidence.Of(notes[0], notes[1], [])!;
            bool convinces = evidence.TryVerify([log], out string reason);
            Assert.Equal(reason.Length == 0, convinces);
            return reason;
        }

        string trusted = "is not signed by a key that is trusted for \"example.com/log\"", bad = "has a signature line of \"example.com/log\" that does not verify";
        Assert.Equal("", Why(Of(0, 1, text => log.Sign(text))));
        Assert.Equal($"the checkpoint {trusted}", Why(Of(0, 1, Stranger)));
        Assert.Equal($"the checkpoint {bad}", Why(Of(0, 1, log.Bad)));
        Assert.Equal($"the first checkpoint {trusted}", Why(Of(1, 1, Stranger), Of(2, 2, Stranger)));
        Assert.Equal($"the first checkpoint {bad}", Why(Of(1, 1, log.Bad), Of(2, 2, text => log.Sign(text))));
        Assert.Equal($"the second checkpoint {trusted}", Why(Of(1, 1, text => log.Sign(text)), Of(2, 2, Stranger)));
        Assert.StartsWith("the log signed both checkpoints, but nothing shows that they conflict: ", Why(Of(1, 1, text => log.Sign(text)), Of(2, 2, text => log.Sign(text))));
    }
}
