using System.Text.Json;
using static TransparencyLog.Tests.Core.FormatVectors;

namespace TransparencyLog.Tests.Core;

public sealed class VerifierKeyTests
{
    private static readonly byte[] Key = Enumerable.Range(1, 32).Select(i => (byte)i).ToArray();

    private static string Text(string name, byte type, byte[] key) =>
        $"{name}+{VerifierKey.ComputeKeyId(name, type, key):x8}+{Convert.ToBase64String((byte[])[type, .. key])}";

    private static bool Parses(string text) => VerifierKey.TryParse(Utf8(text), out _);

    [Fact]
    public void The_vectors_valid_keys_are_read_and_written_back()
    {
        JsonElement[] keys = [.. Cases("note/vkeys.json", "valid", 4), .. Cases("note/vkeys.json", "validCosigner", 1)];
        foreach (JsonElement key in keys)
        {
            Assert.True(VerifierKey.TryParse(Utf8(key.GetString()!), out VerifierKey? parsed), key.GetString());
            Assert.Equal(key.GetString(), parsed!.ToString());
            Assert.Equal(32, parsed.PublicKey.Length);
        }
    }

    [Fact]
    public void P18_the_vectors_invalid_keys_are_refused()
    {
        foreach (JsonElement one in Cases("note/vkeys.json", "invalid", 5)) Assert.False(Parses(one[1].GetString()!), one[0].GetString());
    }

    [Fact]
    public void P18_every_proper_substring_and_every_one_byte_increment_of_a_good_key_is_refused()
    {
        byte[] key = Utf8(Cases("note/vkeys.json", "valid", 4)[0].GetString()!);
        Assert.True(VerifierKey.TryParse(key, out _));
        for (int start = 0; start <= key.Length; start++)
        {
            for (int end = start; end <= key.Length; end++)
            {
                if (end - start < key.Length) Assert.False(VerifierKey.TryParse(key.AsSpan(start, end - start), out _));
            }
        }

        for (int i = 0; i < key.Length; i++)
        {
            byte[] changed = [.. key];
            changed[i]++;
            Assert.False(VerifierKey.TryParse(changed, out VerifierKey? parsed));
            Assert.Null(parsed);
        }
    }

    [Fact]
    public void P18_every_single_bit_flip_of_a_good_key_is_refused()
    {
        byte[] key = Utf8(Text("example.com/foo", VerifierKey.Ed25519, Key));
        for (int bit = 0; bit < key.Length * 8; bit++)
        {
            byte[] changed = [.. key];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Assert.False(VerifierKey.TryParse(changed, out _), $"bit {bit}");
        }
    }

    [Fact]
    public void SN19_the_key_ID_is_the_hash_of_name_type_and_key()
    {
        byte[] hash = System.Security.Cryptography.SHA256.HashData([.. "example.com/foo"u8, (byte)'\n', 4, .. Key]);
        VerifierKey key = VerifierKey.Create("example.com/foo", VerifierKey.Ed25519Cosignature, Key);
        Assert.Equal(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(hash), key.KeyId);
    }

    [Fact]
    public void SN21_the_key_ID_of_ECDSA_is_the_hash_of_the_SPKI_alone()
    {
        byte[] hash = System.Security.Cryptography.SHA256.HashData(Key);
        Assert.Equal(System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(hash), VerifierKey.ComputeKeyId("any", VerifierKey.Ecdsa, Key));
    }

    [Fact]
    public void SN26_one_public_key_has_another_ID_for_every_type() =>
        Assert.NotEqual(VerifierKey.ComputeKeyId("a", VerifierKey.Ed25519, Key), VerifierKey.ComputeKeyId("a", VerifierKey.Ed25519Cosignature, Key));

    [Theory]
    [InlineData(0x01, 32, true)]
    [InlineData(0x01, 31, false)]
    [InlineData(0x01, 33, false)]
    [InlineData(0x01, 0, false)]
    [InlineData(0x04, 32, true)]
    [InlineData(0x04, 64, false)]
    [InlineData(0x06, 1312, true)]
    [InlineData(0x06, 1311, false)]
    [InlineData(0x06, 1313, false)]
    [InlineData(0x06, 32, false)]
    [InlineData(0x02, 91, true)]
    [InlineData(0x02, 0, false)]
    [InlineData(0x05, 32, true)]
    [InlineData(0xff, 40, true)]
    [InlineData(0xff, 4097, false)]
    [InlineData(0x00, 32, false)]
    [InlineData(0x03, 32, false)]
    [InlineData(0x07, 32, false)]
    [InlineData(0x65, 32, false)]
    [InlineData(0xfa, 32, false)]
    [InlineData(0xfe, 32, false)]
    public void SN22_only_assigned_types_with_keys_of_their_length_are_read(byte type, int length, bool ok)
    {
        byte[] key = new byte[length];
        Assert.Equal(ok, Parses(Text("example.com/foo", type, key)));
        if (!ok) Assert.Throws<ArgumentException>(() => VerifierKey.Create("example.com/foo", type, key));
        else Assert.Equal(Text("example.com/foo", type, key), VerifierKey.Create("example.com/foo", type, key).ToString());
    }

    [Theory]
    [InlineData("example.com/foo+{0}+{1}", true)]
    [InlineData("example.com/foo+{0}+{1}\n", false)]
    [InlineData(" example.com/foo+{0}+{1}", false)]
    [InlineData("example.com/foo +{0}+{1}", false)]
    [InlineData("example.com/foo+{0}+{1} ", false)]
    [InlineData("example.com/foo+ {0}+{1}", false)]
    [InlineData("example.com/foo+{0}+ {1}", false)]
    [InlineData("example.com/foo++{0}+{1}", false)]
    [InlineData("example.com/foo+{0}{1}", false)]
    [InlineData("example.com/foo+0x{0}+{1}", false)]
    [InlineData("example.com/foo+{2}+{1}", false)]
    [InlineData("+{0}+{1}", false)]
    [InlineData("EXAMPLE.com/foo+{0}+{1}", false)]
    [InlineData("example.com/foo+{0}+{1}====", false)]
    [InlineData("example.com/foo+{0}+{3}", false)]
    public void SN24_a_vkey_is_name_ID_and_base64_and_nothing_more(string format, bool ok)
    {
        // A key whose ID has letters, so that upper case is another text.
        byte[] key = Enumerable.Range(0, 256).Select(fill => Enumerable.Repeat((byte)fill, 32).ToArray())
            .First(one => $"{VerifierKey.ComputeKeyId("example.com/foo", 1, one):x8}".Any(char.IsAsciiLetter));
        uint id = VerifierKey.ComputeKeyId("example.com/foo", 1, key);
        string material = Convert.ToBase64String((byte[])[1, .. key]);
        Assert.Equal(ok, Parses(string.Format(format, $"{id:x8}", material, $"{id:X8}", material.Replace('+', '-').Replace('/', '_').TrimEnd('=') + "\n")));
    }

    [Fact]
    public void SN24_the_base64_of_a_vkey_may_hold_a_plus()
    {
        byte[] key = Enumerable.Repeat((byte)0xfb, 32).ToArray();
        string text = Text("a", 1, key);
        Assert.True(text.Count('+') > 2);
        Assert.True(VerifierKey.TryParse(Utf8(text), out VerifierKey? parsed));
        Assert.Equal(key, parsed!.PublicKey.ToArray());
    }

    public static TheoryData<string> NotKeyNames
    {
        get
        {
            TheoryData<string> names = ["", " ", "a b", "a+b", "+", "\ud800", "a\udc00", "\udc00\ud800"];
            int[] spaces = [0x20, 0x85, 0xa0, 0x1680, .. Enumerable.Range(0x2000, 11), 0x2028, 0x2029, 0x202f, 0x205f, 0x3000, .. Enumerable.Range(0, 0x20)];
            foreach (int space in spaces)
            {
                names.Add($"a{(char)space}b");
                names.Add($"{(char)space}");
                names.Add($"a{(char)space}");
            }

            return names;
        }
    }

    [Theory, MemberData(nameof(NotKeyNames))]
    public void SN08_names_that_are_empty_or_hold_a_space_a_plus_or_a_control_character_are_refused(string name)
    {
        Assert.False(VerifierKey.IsKeyName(name));
        Assert.Throws<ArgumentException>(() => VerifierKey.Create(name, 1, Key));
        // An unpaired surrogate has no UTF-8: as bytes there is only its replacement, which is a name.
        if (!name.Any(char.IsSurrogate)) Assert.False(VerifierKey.IsKeyName(Utf8(name)));
    }

    [Theory]
    [InlineData("example.com/log42")]
    [InlineData("a")]
    [InlineData("\u007f")]
    [InlineData("Gru\u00df.example/\U0001f332")]
    [InlineData("oid/1.3.6.1.4.1.44363.47.1")]
    [InlineData("\u200b")] // zero width space has not the White_Space property
    [InlineData("\u180e")] // Mongolian vowel separator lost it in Unicode 6.3
    [InlineData("\u200d\u00ad")]
    [InlineData("Istanbul\u0130\u0131")]
    public void SN08_other_names_are_allowed(string name)
    {
        Assert.True(VerifierKey.IsKeyName(name));
        Assert.True(VerifierKey.IsKeyName(Utf8(name)));
        string text = VerifierKey.Create(name, 1, Key).ToString();
        Assert.True(VerifierKey.TryParse(Utf8(text), out VerifierKey? parsed));
        Assert.Equal(name, parsed!.Name);
        Assert.Equal(text, parsed.ToString());
    }

    [Fact]
    public void P03_a_name_with_bad_utf8_is_refused_even_when_the_replaced_text_would_match()
    {
        byte[] good = Utf8(Text("a\ufffdb", 1, Key));
        Assert.True(VerifierKey.TryParse(good, out _));
        byte[] bad = [(byte)'a', 0xff, .. good[4..]];
        Assert.False(VerifierKey.TryParse(bad, out _));
    }

    [Theory]
    [InlineData(255, true)]
    [InlineData(256, false)]
    public void P17_a_key_name_of_a_vkey_has_at_most_255_bytes(int length, bool ok)
    {
        string name = new('n', length);
        Assert.Equal(ok, Parses(Text(name, 1, Key)));
        Assert.Equal(ok, Record.Exception(() => VerifierKey.Create(name, 1, Key)) is null);
        string two = new string('\u00e4', length / 2) + (length % 2 == 1 ? "a" : "");
        Assert.Equal(ok, Parses(Text(two, 1, Key)));
    }

    [Fact]
    public void Keys_are_equal_by_value()
    {
        VerifierKey one = VerifierKey.Create("a", 1, Key);
        Assert.Equal(one, VerifierKey.Create("a", 1, Key));
        Assert.Equal(one.GetHashCode(), VerifierKey.Create("a", 1, Key).GetHashCode());
        Assert.NotEqual(one, VerifierKey.Create("b", 1, Key));
        Assert.NotEqual(one, VerifierKey.Create("a", 4, Key));
    }

    [Fact]
    public void A_megabyte_of_vkey_is_refused_without_allocating_for_it()
    {
        byte[] text = Utf8("a+00000000+" + new string('A', 1 << 20));
        long before = GC.GetAllocatedBytesForCurrentThread();
        Assert.False(VerifierKey.TryParse(text, out _));
        Assert.InRange(GC.GetAllocatedBytesForCurrentThread() - before, 0, 16_000);
    }

    [Fact]
    public void A_key_is_not_equal_to_none_nor_to_another_name_type_or_key()
    {
        VerifierKey key = VerifierKey.Create("a", VerifierKey.Ed25519, new byte[32]);
        Assert.False(key.Equals(null));
        Assert.True(key.Equals(VerifierKey.Create("a", VerifierKey.Ed25519, new byte[32])));
        Assert.False(key.Equals(VerifierKey.Create("b", VerifierKey.Ed25519, new byte[32])));
        Assert.False(key.Equals(VerifierKey.Create("a", VerifierKey.Ed25519Cosignature, new byte[32])));
        Assert.False(key.Equals(VerifierKey.Create("a", VerifierKey.Ed25519, [.. new byte[31], 1])));
    }
}
