using System.Diagnostics;
using System.Text;
using TransparencyLog.Signing;
using static TransparencyLog.Tests.Signing.SigningVectors;

namespace TransparencyLog.Tests.Signing;

public sealed class KeyFileTests : IDisposable
{
    private const string GoKey = "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz";
    private const string Begin = "-----BEGIN PRIVATE KEY-----\n";
    private const string End = "-----END PRIVATE KEY-----\n";
    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private static readonly byte[] Seed = Enumerable.Range(1, 32).Select(i => (byte)i).ToArray();
    private static readonly byte[] Der = [.. Convert.FromHexString("302e020100300506032b657004220420"), .. Seed];
    private static readonly byte[] MlDsaDer = [.. Convert.FromHexString("3034020100300b060960864801650304031104228020"), .. Seed];
    private readonly DirectoryInfo folder = Directory.CreateTempSubdirectory("keyfile");

    public void Dispose() => folder.Delete(recursive: true);

    private string Path(string name) => System.IO.Path.Combine(folder.FullName, name);

    private string Write(byte[] content, UnixFileMode mode = OwnerOnly)
    {
        string path = Path("key");
        File.Delete(path);
        File.WriteAllBytes(path, content);
        File.SetUnixFileMode(path, mode);
        return path;
    }

    private static string Pem(byte[] der) => Begin + Convert.ToBase64String(der) + "\n" + End;

    private string Refused(byte[] content)
    {
        KeyFileException e = Assert.Throws<KeyFileException>(() => KeyFile.Read(Write(content), null));
        Assert.StartsWith(Path("key"), e.Message, StringComparison.Ordinal);
        // Nothing of the key is in the message, in any encoding it may have come in.
        Assert.DoesNotContain(Convert.ToBase64String(Seed)[..8], e.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain(Convert.ToBase64String(Der)[24..32], e.ToString(), StringComparison.Ordinal);
        Assert.DoesNotContain("AYEKFALV", e.ToString(), StringComparison.Ordinal);
        return e.Message;
    }

    [Theory]
    [InlineData(VerifierKey.Ed25519, "note")]
    [InlineData(VerifierKey.Ed25519Cosignature, "cosignature")]
    public void A_key_is_written_with_mode_0600_and_read_back(byte type, string word)
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(Seed);
        KeyFile.Create(Path("new"), "example.com/l\u00f6g", type, key);
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(Path("new")));
        Assert.Equal($"Name: example.com/l\u00f6g\nType: {word}\n{Pem(Der)}", File.ReadAllText(Path("new")));

        KeyFile read = KeyFile.Read(Path("new"), "example.com/l\u00f6g");
        Assert.Equal("example.com/l\u00f6g", read.Name);
        Assert.Equal(type, read.SignatureType);
        Assert.Equal(key.PublicKey.ToArray(), read.Key.PublicKey.ToArray());
        read.Key.Dispose();
    }

    [Fact]
    public void A_key_file_is_never_overwritten_nor_written_through_a_link()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        File.WriteAllText(Path("there"), "precious");
        File.CreateSymbolicLink(Path("link"), Path("there"));
        File.CreateSymbolicLink(Path("dangling"), Path("nowhere"));
        foreach (string name in new[] { "there", "link", "dangling" })
        {
            Assert.Throws<KeyFileException>(() => KeyFile.Create(Path(name), "k", VerifierKey.Ed25519, key));
        }

        Assert.Equal("precious", File.ReadAllText(Path("there")));
        Assert.False(File.Exists(Path("nowhere")));
        KeyFileException e = Assert.Throws<KeyFileException>(() => KeyFile.Create(Path("there"), "k", VerifierKey.Ed25519, key));
        Assert.Contains("never overwritten", e.Message, StringComparison.Ordinal);
    }

    [Fact]
    public void A_key_file_in_no_folder_or_with_a_bad_name_or_type_is_not_written()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        Assert.Throws<KeyFileException>(() => KeyFile.Create(Path("no/such/folder/key"), "k", VerifierKey.Ed25519, key));
        Assert.Throws<ArgumentException>(() => KeyFile.Create(Path("new"), "a b", VerifierKey.Ed25519, key));
        Assert.Throws<ArgumentException>(() => KeyFile.Create(Path("new"), "k\nType: note", VerifierKey.Ed25519, key));
        Assert.Throws<ArgumentException>(() => KeyFile.Create(Path("new"), "k", VerifierKey.Ecdsa, key));
        Assert.Throws<ArgumentException>(() => KeyFile.Create(Path("new"), "k", VerifierKey.MlDsa44Cosignature, key));
        Assert.False(File.Exists(Path("new")));
    }

    [Theory]
    [InlineData(UnixFileMode.UserRead, true)]
    [InlineData(OwnerOnly, true)]
    [InlineData(OwnerOnly | UnixFileMode.UserExecute, true)]
    [InlineData(OwnerOnly | UnixFileMode.GroupRead, false)]
    [InlineData(OwnerOnly | UnixFileMode.OtherRead, false)]
    [InlineData(OwnerOnly | UnixFileMode.GroupRead | UnixFileMode.OtherRead, false)]
    [InlineData(OwnerOnly | UnixFileMode.GroupWrite, false)]
    [InlineData(OwnerOnly | UnixFileMode.OtherWrite, false)]
    [InlineData(OwnerOnly | UnixFileMode.GroupExecute, false)]
    public void K12_a_key_file_that_others_have_access_to_is_refused(UnixFileMode mode, bool ok)
    {
        string path = Write(Utf8(Pem(Der)), mode);
        if (ok)
        {
            KeyFile.Read(path, null).Key.Dispose();
            return;
        }

        KeyFileException e = Assert.Throws<KeyFileException>(() => KeyFile.Read(path, null));
        Assert.Contains($"mode is 0{Convert.ToString((int)mode, 8)}", e.Message, StringComparison.Ordinal);
        Assert.Contains(Environment.UserName, e.Message, StringComparison.Ordinal);

        // N-21: the setting that allows the group is named where it would help, and it helps nowhere else.
        bool forOthers = (mode & (UnixFileMode.OtherRead | UnixFileMode.OtherWrite | UnixFileMode.OtherExecute)) != UnixFileMode.None;
        Assert.Equal(forOthers, !e.Message.Contains("allow-group-readable-keys", StringComparison.Ordinal));
        if (forOthers) Assert.Contains("every user has access", Assert.Throws<KeyFileException>(() => KeyFile.Read(path, null, allowGroup: true)).Message, StringComparison.Ordinal);
        else KeyFile.Read(path, null, allowGroup: true).Key.Dispose();
    }

    [Fact]
    public void N21_a_mounted_secret_of_mode_0440_is_read_where_its_group_is_allowed()
    {
        const UnixFileMode Mounted = UnixFileMode.UserRead | UnixFileMode.GroupRead;
        string ed25519 = Write(Utf8(Pem(Der)), Mounted);
        Assert.Contains("mode is 0440, so its group has access", Assert.Throws<KeyFileException>(() => KeyFile.Read(ed25519, null)).Message, StringComparison.Ordinal);
        KeyFile.Read(ed25519, null, allowGroup: true).Key.Dispose();
        string mlDsa = Write(Utf8(Pem(MlDsaDer)), Mounted);
        Assert.Contains("mode is 0440, so its group has access", Assert.Throws<KeyFileException>(() => KeyFile.ReadMlDsa44(mlDsa, null)).Message, StringComparison.Ordinal);
        KeyFile.ReadMlDsa44(mlDsa, null, allowGroup: true).Key.Dispose();
    }

    [Fact]
    public void N01_what_cannot_be_looked_at_is_not_said_to_be_missing()
    {
        Write(Utf8(Pem(Der)));
        string belowAFile = Assert.Throws<KeyFileException>(() => KeyFile.Read(Path("key/key"), null)).Message;
        Assert.DoesNotContain("no such file", belowAFile, StringComparison.Ordinal);
        Assert.Contains("or is a file", belowAFile, StringComparison.Ordinal);
        File.CreateSymbolicLink(Path("a"), Path("a"));
        Assert.Contains($"the user {Environment.UserName} cannot read it", Assert.Throws<KeyFileException>(() => KeyFile.Read(Path("a"), null)).Message, StringComparison.Ordinal);
        string tooLong = Assert.Throws<KeyFileException>(() => KeyFile.Read(Path(new string('k', 300)), null)).Message;
        Assert.DoesNotContain("no such file", tooLong, StringComparison.Ordinal);

        // And a name that is taken by something that cannot be read is taken: a link to itself.
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        Assert.Contains("exists already", Assert.Throws<KeyFileException>(() => KeyFile.Create(Path("a"), "k", VerifierKey.Ed25519, key)).Message, StringComparison.Ordinal);
    }

    [Fact]
    public void Links_are_followed_and_loops_missing_files_and_folders_are_named()
    {
        Write(Utf8(Pem(Der)));
        File.CreateSymbolicLink(Path("link"), Path("key"));
        KeyFile.Read(Path("link"), null).Key.Dispose();
        File.SetUnixFileMode(Path("key"), OwnerOnly | UnixFileMode.OtherRead);
        Assert.Throws<KeyFileException>(() => KeyFile.Read(Path("link"), null));

        File.CreateSymbolicLink(Path("a"), Path("b"));
        File.CreateSymbolicLink(Path("b"), Path("a"));
        Assert.Throws<KeyFileException>(() => KeyFile.Read(Path("a"), null));
        Assert.Contains("no such file", Assert.Throws<KeyFileException>(() => KeyFile.Read(Path("missing"), null)).Message, StringComparison.Ordinal);
        Assert.Contains("a folder on the way to it", Assert.Throws<KeyFileException>(() => KeyFile.Read(Path("no/folder/key"), null)).Message, StringComparison.Ordinal);
        Assert.Contains("folder", Assert.Throws<KeyFileException>(() => KeyFile.Read(folder.FullName, null)).Message, StringComparison.Ordinal);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData(" \n")]
    public void A_Go_key_is_read_with_its_name(string end)
    {
        KeyFile file = KeyFile.Read(Write(Utf8(GoKey + end)), "PeterNeumann");
        Assert.Equal("PeterNeumann", file.Name);
        Assert.Equal(VerifierKey.Ed25519, file.SignatureType);
        Assert.Equal("PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW", new NoteSigner(file.Name!, file.Key).Key.ToString());
        file.Key.Dispose();
    }

    [Fact]
    public void Every_cut_and_every_changed_byte_of_a_Go_key_is_refused()
    {
        byte[] key = Utf8(GoKey);
        for (int length = 0; length < key.Length; length++) Refused(key[..length]);
        for (int i = 0; i < key.Length; i++)
        {
            byte[] changed = [.. key];
            changed[i] ^= 1;
            Refused(changed);
        }

        Refused(Utf8(GoKey + "\nmore"));
        Refused(Utf8("\n" + GoKey));
    }

    [Fact]
    public void A_key_of_another_name_is_refused_when_a_name_is_expected()
    {
        string path = Write(Utf8(GoKey));
        KeyFileException e = Assert.Throws<KeyFileException>(() => KeyFile.Read(path, "example.com/log"));
        Assert.Contains("PeterNeumann", e.Message, StringComparison.Ordinal);
        Assert.Contains("example.com/log", e.Message, StringComparison.Ordinal);

        // A bare PEM file has no name to differ.
        KeyFile bare = KeyFile.Read(Write(Utf8(Pem(Der))), "example.com/log");
        Assert.Null(bare.Name);
        Assert.Null(bare.SignatureType);
        bare.Key.Dispose();
    }

    [Fact]
    public void A_PEM_file_may_have_notes_around_its_block_and_long_or_short_lines()
    {
        string base64 = Convert.ToBase64String(Der);
        KeyFile file = KeyFile.Read(Write(Utf8($"made in 2024\r\nName:  k \r\n\nType: cosignature\n{Begin}{base64[..20]}\r\n{base64[20..]}\n{End}the end\n")), "k");
        Assert.Equal("k", file.Name);
        Assert.Equal(VerifierKey.Ed25519Cosignature, file.SignatureType);
        using Ed25519PrivateKey expected = Ed25519PrivateKey.FromSeed(Seed);
        Assert.Equal(expected.PublicKey.ToArray(), file.Key.PublicKey.ToArray());
        file.Key.Dispose();
    }

    [Fact]
    public void PKCS8_with_attributes_and_public_key_is_read_and_a_wrong_public_key_refused()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(Seed);
        byte[] inner = [.. Convert.FromHexString("020101300506032b657004220420"), .. Seed];
        byte[] attributes = Convert.FromHexString("a000");
        byte[] publicKey = [0x81, 33, 0, .. key.PublicKey.Span];
        byte[] Sequence(params byte[][] parts) => [0x30, (byte)parts.Sum(part => part.Length), .. parts.SelectMany(part => part)];
        KeyFile.Read(Write(Utf8(Pem(Sequence(inner, publicKey)))), null).Key.Dispose();
        KeyFile.Read(Write(Utf8(Pem(Sequence(inner, attributes, publicKey)))), null).Key.Dispose();
        publicKey[^1] ^= 1;
        Assert.Contains("public key", Refused(Utf8(Pem(Sequence(inner, publicKey)))), StringComparison.Ordinal);
        Refused(Utf8(Pem(Sequence(inner, publicKey, attributes))));
    }

    public static TheoryData<string, string, string> NotKeys
    {
        get
        {
            string base64 = Convert.ToBase64String(Der);
            return new()
            {
                { "empty", "", "neither" },
                { "text", "hello\n", "neither" },
                { "binary", "\0\u0001\u0002", "neither" },
                { "no end", Begin + base64 + "\n", "neither" },
                { "no begin", base64 + "\n" + End, "neither" },
                { "end first", End + Begin, "neither" },
                { "empty block", Begin + End, "not the PKCS#8" },
                { "two keys", Pem(Der) + Pem(Der), "more than one" },
                { "key and certificate", Pem(Der) + "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "more than one" },
                { "certificate", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n", "not a \"PRIVATE KEY\"" },
                { "public key", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "not a \"PRIVATE KEY\"" },
                { "encrypted", "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n", "not encrypted" },
                { "OpenSSH", "-----BEGIN OPENSSH PRIVATE KEY-----\nAAAA\n-----END OPENSSH PRIVATE KEY-----\n", "not a \"PRIVATE KEY\"" },
                { "SEC 1", "-----BEGIN EC PRIVATE KEY-----\nAAAA\n-----END EC PRIVATE KEY-----\n", "not a \"PRIVATE KEY\"" },
                { "other end", Begin + base64 + "\n-----END CERTIFICATE-----\n", "neither" },
                { "no base64", Begin + "!!!!\n" + End, "not base64" },
                { "base64 with a space", Begin + base64.Insert(8, " ") + "\n" + End, "not base64" },
                { "cut base64", Begin + base64[..^1] + "\n" + End, "not base64" },
                { "large block", Begin + Convert.ToBase64String(new byte[6000]) + "\n" + End, "too long" },
                { "cut DER", Pem(Der[..^1]), "not the PKCS#8" },
                { "trailing DER", Pem([.. Der, 0]), "not the PKCS#8" },
                { "seed of 31 bytes", Pem([.. Convert.FromHexString("302d020100300506032b65700421041f"), .. Seed[..31]]), "not the PKCS#8" },
                { "seed of 33 bytes", Pem([.. Convert.FromHexString("302f020100300506032b657004230421"), .. Seed, 0]), "not the PKCS#8" },
                { "one octet string", Pem([.. Convert.FromHexString("302c020100300506032b65700420"), .. Seed]), "not the PKCS#8" },
                { "version 2", Pem([.. Convert.FromHexString("302e020102300506032b657004220420"), .. Seed]), "version" },
                { "X25519", Pem([.. Convert.FromHexString("302e020100300506032b656e04220420"), .. Seed]), "1.3.101.110" },
                { "Ed448", Pem([.. Convert.FromHexString("302e020100300506032b657104220420"), .. Seed]), "1.3.101.113" },
                { "ML-DSA-65", Pem([.. Convert.FromHexString("3034020100300b060960864801650304031204228020"), .. Seed]), "2.16.840.1.101.3.4.3.18" },
                { "ML-DSA-44", Pem(MlDsaDer), "holds an ML-DSA-44 key, where an Ed25519 key is needed" },
                { "ML-DSA-44 of notes", "Type: note\n" + Pem(MlDsaDer), "not note" },
                { "ML-DSA-44 seed in an octet string", Pem([.. Convert.FromHexString("3034020100300b060960864801650304031104220420"), .. Seed]), "without its seed" },
                { "ML-DSA-44 expanded alone", Pem([.. Convert.FromHexString("30820a18020100300b060960864801650304031104820a0404820a00"), .. new byte[2560]]), "without its seed" },
                { "ML-DSA-44 seed of 31 bytes", Pem([.. Convert.FromHexString("3033020100300b06096086480165030403110421801f"), .. Seed[..31]]), "not the PKCS#8" },
                { "ML-DSA-44 seed of 33 bytes", Pem([.. Convert.FromHexString("3035020100300b060960864801650304031104238021"), .. Seed, 0]), "not the PKCS#8" },
                { "ML-DSA-44 without a choice", Pem(Convert.FromHexString("3012020100300b06096086480165030403110400")), "not the PKCS#8" },
                { "ML-DSA-44 with both of other lengths", Pem([.. Convert.FromHexString("3038020100300b0609608648016503040311042630240420"), .. Seed, 4, 0]), "not the PKCS#8" },
                { "ML-DSA-44 with an expanded key of zeros", Pem([.. Convert.FromHexString("30820a3e020100300b060960864801650304031104820a2a30820a260420"), .. Seed, .. Convert.FromHexString("04820a00"), .. new byte[2560]]), "not that of its seed" },
                { "ML-DSA-44 with more behind the seed", Pem([.. Convert.FromHexString("3036020100300b060960864801650304031104248020"), .. Seed, 5, 0]), "not the PKCS#8" },
                { "ML-DSA-44 with parameters", Pem([.. Convert.FromHexString("3036020100300d06096086480165030403110500" + "04228020"), .. Seed]), "not the PKCS#8" },
                { "ML-DSA-44 with the public key of another", Pem([.. Convert.FromHexString("30820559020101300b060960864801650304031104228020"), .. Seed, .. Convert.FromHexString("8182052100"), .. new byte[1312]]), "public key" },
                { "parameters", Pem([.. Convert.FromHexString("3030020100300706032b6570050004220420"), .. Seed]), "not the PKCS#8" },
                { "BER length", Pem([.. Convert.FromHexString("30812e020100300506032b657004220420"), .. Seed]), "not the PKCS#8" },
                { "two names", "Name: a\nName: b\n" + Pem(Der), "Name:" },
                { "bad name", "Name: a b\n" + Pem(Der), "Name:" },
                { "empty name", "Name:\n" + Pem(Der), "Name:" },
                { "two types", "Type: note\nType: note\n" + Pem(Der), "Type:" },
                { "bad type", "Type: seal\n" + Pem(Der), "Type:" },
                { "Go key without parts", "PRIVATE+KEY+", "PRIVATE+KEY" },
                { "too large", Pem(Der) + new string('x', KeyFile.MaxSize), "more than 16384 bytes" },
            };
        }
    }

    [Theory, MemberData(nameof(NotKeys))]
    public void What_is_no_Ed25519_key_is_refused_with_a_reason(string what, string content, string says) =>
        Assert.True(Refused(Encoding.Latin1.GetBytes(content)).Contains(says, StringComparison.Ordinal), what);

    [Fact]
    public void Every_flipped_bit_of_the_DER_is_refused_or_another_key_and_never_another_exception()
    {
        for (int bit = 0; bit < Der.Length * 8; bit++)
        {
            byte[] changed = [.. Der];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            if (bit / 8 >= 16)
            {
                KeyFile.Read(Write(Utf8(Pem(changed))), null).Key.Dispose();
            }
            else if (bit != 32)
            {
                Refused(Utf8(Pem(changed)));
            }
        }
    }

    [Fact]
    public void An_ML_DSA_44_key_is_written_as_its_seed_and_read_back()
    {
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(Seed);
        KeyFile.Create(Path("new"), "example.com/w", key);
        Assert.Equal(OwnerOnly, File.GetUnixFileMode(Path("new")));
        Assert.Equal($"Name: example.com/w\nType: cosignature\n{Pem(MlDsaDer)}", File.ReadAllText(Path("new")));

        MlDsa44KeyFile read = KeyFile.ReadMlDsa44(Path("new"), "example.com/w");
        Assert.Equal("example.com/w", read.Name);
        Assert.Equal(key.PublicKey.ToArray(), read.Key.PublicKey.ToArray());
        read.Key.Dispose();
        Assert.Contains("example.com/w", Assert.Throws<KeyFileException>(() => KeyFile.ReadMlDsa44(Path("new"), "example.com/v")).Message, StringComparison.Ordinal);

        // With its public key beside it, as RFC 5958 allows; an Ed25519 key is none.
        byte[] withPublicKey = [.. Convert.FromHexString("30820559020101300b060960864801650304031104228020"), .. Seed, .. Convert.FromHexString("8182052100"), .. key.PublicKey.Span];
        KeyFile.ReadMlDsa44(Write(Utf8(Pem(withPublicKey))), null).Key.Dispose();
        Assert.Contains("where an ML-DSA-44 key is needed", Assert.Throws<KeyFileException>(() => KeyFile.ReadMlDsa44(Write(Utf8(Pem(Der))), null)).Message, StringComparison.Ordinal);
        Assert.Throws<KeyFileException>(() => KeyFile.Create(Path("new"), "k", key));
        Assert.Throws<ArgumentException>(() => KeyFile.Create(Path("newer"), "a b", key));
        Assert.False(File.Exists(Path("newer")));
    }

    [Fact]
    public void Every_flipped_bit_of_the_DER_of_a_seed_is_refused_or_another_key()
    {
        for (int bit = 0; bit < MlDsaDer.Length * 8; bit++)
        {
            byte[] changed = [.. MlDsaDer];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            if (bit / 8 >= 22) KeyText.ReadAny(Utf8(Pem(changed)), "key").MlDsa44("key").Key.Dispose();
            else if (bit != 32) Refused(Utf8(Pem(changed)));
        }
    }

    [Fact]
    public void The_keys_of_the_vectors_are_read_and_written_byte_for_byte()
    {
        int keys = 0;
        foreach (System.Text.Json.JsonElement group in Document("wycheproof/mldsa_44_sign_seed_test.json").GetProperty("testGroups").EnumerateArray())
        {
            if (!group.TryGetProperty("privateKeyPkcs8", out System.Text.Json.JsonElement pkcs8) || group.GetProperty("publicKey").GetString() is not string publicKey) continue;
            byte[] der = Convert.FromHexString(pkcs8.GetString()!);
            using MlDsa44PrivateKey key = KeyText.ReadAny(Utf8(Pem(der)), "key").MlDsa44("key").Key;
            Assert.Equal(publicKey, Convert.ToHexStringLower(key.PublicKey.Span));
            byte[] text = new byte[KeyFile.MaxSize];
            int length = KeyText.Write(text, "k", key);
            Assert.EndsWith(Pem(der), Encoding.UTF8.GetString(text, 0, length), StringComparison.Ordinal);
            keys++;
        }

        Assert.Equal(16, keys);
    }

    [Fact]
    public async Task OpenSSL_reads_what_we_write_and_we_read_what_it_writes()
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(Seed);
        KeyFile.Create(Path("ours"), "k", VerifierKey.Ed25519, key);
        byte[] spki = await OpenSsl("pkey", "-in", Path("ours"), "-pubout", "-outform", "DER");
        Assert.Equal(key.PublicKey.ToArray(), spki[^32..]);

        await OpenSsl("genpkey", "-algorithm", "ed25519", "-out", Path("theirs"));
        File.SetUnixFileMode(Path("theirs"), OwnerOnly);
        KeyFile theirs = KeyFile.Read(Path("theirs"), null);
        Assert.Equal(theirs.Key.PublicKey.ToArray(), (await OpenSsl("pkey", "-in", Path("theirs"), "-pubout", "-outform", "DER"))[^32..]);
        theirs.Key.Dispose();
    }

    private static async Task<byte[]> OpenSsl(params string[] arguments)
    {
        ProcessStartInfo start = new("openssl", arguments) { UseShellExecute = false, RedirectStandardOutput = true, RedirectStandardError = true };
        using Process process = Process.Start(start)!;
        using MemoryStream output = new();
        Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.StandardOutput.BaseStream.CopyToAsync(output, TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.True(process.ExitCode == 0, await errors);
        return output.ToArray();
    }
}
