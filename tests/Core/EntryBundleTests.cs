namespace TransparencyLog.Tests.Core;

public sealed class EntryBundleTests
{
    private const int Seed = 20260805;

    [Fact]
    public void TT24_entries_stand_behind_their_length_as_two_bytes_big_endian()
    {
        byte[] expected = [0x00, 0x03, (byte)'o', (byte)'n', (byte)'e', 0, 0, 0, 2, (byte)'a', (byte)'b'];
        Assert.Equal(expected, Bundle("one"u8.ToArray(), [], "ab"u8.ToArray()));
        byte[] largest = new byte[65535];
        byte[] bundle = Bundle(largest);
        Assert.Equal((65537, 0xFF, 0xFF), (bundle.Length, bundle[0], bundle[1]));
    }

    [Fact]
    public void TT24_an_entry_has_0_to_65535_bytes()
    {
        Assert.Equal((2, 65537), (EntryBundle.EncodedSize(0), EntryBundle.EncodedSize(65535)));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.EncodedSize(65536));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.EncodedSize(-1));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.Write(new byte[65536], new byte[70_000]));
        byte[] room = new byte[4];
        Assert.Throws<ArgumentException>(() => EntryBundle.Write(new byte[3], room));
        Assert.Throws<ArgumentException>(() => EntryBundle.Write([], new byte[1]));
        Assert.Equal(new byte[4], room);
    }

    [Fact]
    public void What_is_written_is_read_back_the_same()
    {
        Random random = new(Seed);
        for (int i = 0; i < 200; i++)
        {
            byte[][] entries = new byte[i < 3 ? i : random.Next(257)][];
            for (int j = 0; j < entries.Length; j++)
            {
                entries[j] = new byte[random.Next(40) switch { 0 => 0, 1 => 1, 2 when j < 3 => 65535, 3 => 256, _ => random.Next(200) }];
                random.NextBytes(entries[j]);
            }

            byte[] bundle = Bundle(entries);
            Assert.True(EntryBundle.TryCount(bundle, out int count, out int badOffset), $"seed {Seed}, case {i}");
            Assert.Equal((entries.Length, -1), (count, badOffset));
            Assert.True(EntryBundle.TryCount(bundle, out int again) && again == count);

            int read = 0;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(bundle))
            {
                Assert.True(entry.SequenceEqual(entries[read]), $"seed {Seed}, case {i}, entry {read}");
                read++;
                Assert.Equal(Bundle(entries[..read]).Length, EntryBundle.PrefixLength(bundle, read));
            }

            Assert.Equal(entries.Length, read);
            Assert.Equal(0, EntryBundle.PrefixLength(bundle, 0));
        }
    }

    [Fact]
    public void The_largest_full_bundle_is_read()
    {
        byte[][] entries = [.. Enumerable.Range(0, 256).Select(_ => new byte[65535])];
        byte[] bundle = Bundle(entries);
        Assert.Equal(256 * 65537, bundle.Length);
        Assert.True(EntryBundle.TryCount(bundle, out int count));
        Assert.Equal(256, count);
        Assert.Equal(bundle.Length, EntryBundle.PrefixLength(bundle, 256));
    }

    [Fact]
    public void A_bundle_cut_anywhere_but_between_entries_is_refused_at_the_prefix_that_points_past_the_end()
    {
        byte[] bundle = Bundle([1, 2, 3], [], [4], new byte[300]);
        int[] starts = [0, 5, 7, 10, bundle.Length];
        for (int length = 0; length <= bundle.Length; length++)
        {
            int whole = starts.Count(start => start <= length) - 1;
            bool wellFormed = starts[whole] == length;
            Assert.Equal(wellFormed, EntryBundle.TryCount(bundle.AsSpan(0, length), out int count, out int badOffset));
            Assert.Equal(wellFormed ? (whole, -1) : (0, starts[whole]), (count, badOffset));
            Assert.Equal(wellFormed, EntryBundle.TryCount(bundle.AsSpan(0, length), out _));
        }
    }

    [Theory]
    [InlineData(new byte[] { 0 }, 0)]
    [InlineData(new byte[] { 0, 1 }, 0)]
    [InlineData(new byte[] { 0, 1, 9, 0 }, 3)]
    [InlineData(new byte[] { 0, 0, 0, 0, 255, 255, 1 }, 4)]
    [InlineData(new byte[] { 1, 0, 0 }, 0)]
    public void A_bad_prefix_is_named_by_its_offset(byte[] bundle, int offset)
    {
        Assert.False(EntryBundle.TryCount(bundle, out int count, out int badOffset));
        Assert.Equal((0, offset), (count, badOffset));
    }

    [Fact]
    public void The_framing_carries_any_number_of_entries()
    {
        Assert.True(EntryBundle.TryCount(new byte[2 * 100_000], out int count));
        Assert.Equal(100_000, count);
    }

    [Fact]
    public void An_unchecked_bundle_throws_where_it_is_bad_and_never_reads_past_the_end()
    {
        byte[] bundle = [0, 1, 7, 0, 9, 1];
        int read = 0;
        Assert.Throws<ArgumentException>(() =>
        {
            foreach (ReadOnlySpan<byte> _ in EntryBundle.Enumerate(bundle)) read++;
        });
        Assert.Equal(1, read);
        Assert.Equal(3, EntryBundle.PrefixLength(bundle, 1));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.PrefixLength(bundle, 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.PrefixLength(bundle, -1));
        Assert.Throws<ArgumentOutOfRangeException>(() => EntryBundle.PrefixLength([], 1));
    }

    private static byte[] Bundle(params byte[][] entries)
    {
        byte[] bundle = new byte[entries.Sum(entry => EntryBundle.EncodedSize(entry.Length))];
        int length = 0;
        foreach (byte[] entry in entries) length += EntryBundle.Write(entry, bundle.AsSpan(length));
        Assert.Equal(bundle.Length, length);
        return bundle;
    }
}
