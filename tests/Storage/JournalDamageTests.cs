using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>Bytes that no interrupted write leaves behind are refused, by file and offset, and nothing is changed (D-15, I-02, I-06).</summary>
public sealed class JournalDamageTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task I02_one_bit_flipped_anywhere_in_the_last_frame_is_damage_never_a_torn_frame()
    {
        // Header, entries, trailer and padding alike. What may not happen: that the frame, which was answered, is cut in silence.
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        Random random = new(21);
        byte[] bytes = [.. image.Bytes];
        for (int offset = image.LastStart; offset < image.End; offset++)
        {
            int bit = random.Next(8);
            bytes[offset] ^= (byte)(1 << bit);
            Assert.Equal((offset, FrameState.Damaged), (offset, FrameHeader.Read(bytes.AsSpan(image.LastStart), Options.Identity).State));
            if (offset % 17 == 0)
            {
                Scratch.Overwrite(image.File, offset, bytes[offset]);
                DamageException damage = JournalImage.Refused(() => Journal.Inspect(image.Folder, Options, _ => { }), $"bit {bit} of byte {offset - image.LastStart}");
                Assert.Contains($"{image.File}, offset {image.LastStart}:", damage.Message, StringComparison.Ordinal);
                Scratch.Overwrite(image.File, offset, image.Bytes[offset]);
            }

            bytes[offset] = image.Bytes[offset];
        }

        // The same through opening, which may repair: every bit of the header and of the trailer.
        int end = image.Bytes.AsSpan(0, image.End).LastIndexOfAnyExcept((byte)0) + 1;
        foreach (int offset in (int[])[image.LastStart, image.LastStart + 12, image.LastStart + 36, image.LastStart + 63, end - 8, end - 1, image.End - 1])
        {
            image.Write(flipped => flipped[offset] ^= 1);
            image.RefusedAt(image.LastStart, $"byte {offset - image.LastStart}");
        }
    }

    [Theory]
    [InlineData(1, 0, true)]
    [InlineData(long.MaxValue - 1, long.MaxValue - int.MaxValue, true)]
    [InlineData(0, 0, false)]
    [InlineData(-1, 0, false)]
    [InlineData(long.MaxValue, 0, false)]
    [InlineData(1, -1, false)]
    [InlineData(1, long.MinValue, false)]
    [InlineData(1, long.MaxValue, false)]
    public void I06_a_sequence_or_an_index_that_no_frame_has_is_damage_with_right_checksums_too(long sequence, long firstIndex, bool whole)
    {
        JournalFrame frame = new();
        Assert.True(frame.TryAdd("an entry"u8));
        Assert.Equal(whole ? FrameState.Whole : FrameState.Damaged, FrameHeader.Read(frame.Seal(sequence, firstIndex, 0, Options.Identity).Span, Options.Identity).State);
    }

    [Fact]
    public async Task A_flip_that_leaves_a_sector_all_zeros_looks_torn_and_is_the_one_that_does()
    {
        // A sector with one bit set, and that one flipped: the same bytes as a sector that was never written. Entries of zeros can make
        // such a sector, so this is the limit of what the zeros can tell.
        string folder = _scratch["journal"];
        Journal.Create(folder, Options);
        await using (Journal journal = Journal.Open(folder, Options, 0)) await AppendAsync(journal, new byte[512 - 64 - 2], new byte[512], new byte[600]);
        string file = Path.Combine(folder, "000000000001");
        byte[] bytes = await File.ReadAllBytesAsync(file);
        int torn = 0;
        int[] set = [.. Enumerable.Range(0, 2048).Where(i => bytes[i] != 0)];
        foreach (int offset in set)
        {
            for (int bit = 0; bit < 8; bit++)
            {
                bytes[offset] ^= (byte)(1 << bit);
                bool zeroed = bytes.AsSpan(offset / 512 * 512, 512).IndexOfAnyExcept((byte)0) < 0;
                Assert.Equal(zeroed ? FrameState.Torn : FrameState.Damaged, FrameHeader.Read(bytes, Options.Identity).State);
                bytes[offset] ^= (byte)(1 << bit);
                if (zeroed) torn++;
            }
        }

        Assert.Equal(1, torn);
    }

    [Fact]
    public async Task I02_every_bit_of_header_and_trailer_is_guarded()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        int end = image.Bytes.AsSpan(0, image.End).LastIndexOfAnyExcept((byte)0) + 1;
        foreach (int offset in Enumerable.Range(image.LastStart, 64).Concat(Enumerable.Range(end - 8, 8)))
        {
            for (int bit = 0; bit < 8; bit++)
            {
                Scratch.Overwrite(image.File, offset, (byte)(image.Bytes[offset] ^ (1 << bit)));
                JournalImage.Refused(() => Journal.Inspect(image.Folder, Options, _ => { }), $"bit {bit} of byte {offset - image.LastStart}");
            }

            Scratch.Overwrite(image.File, offset, image.Bytes[offset]);
        }
    }

    [Fact]
    public async Task D15_a_bad_frame_with_a_durable_one_behind_it_is_damage()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        Random random = new(22);
        for (int frame = 0; frame < 3; frame++)
        {
            int start = image.Starts[frame], end = image.Starts[frame + 1];
            for (int i = 0; i < 100; i++)
            {
                int offset = i < 64 ? start + i : random.Next(start, end);
                Scratch.Overwrite(image.File, offset, (byte)(image.Bytes[offset] ^ (1 << random.Next(8))));
                DamageException damage = JournalImage.Refused(() => Journal.Inspect(image.Folder, Options, _ => { }), $"byte {offset - start} of frame {frame + 1}");
                Assert.True(damage.Message.Contains($"{image.File}, offset {start}:", StringComparison.Ordinal), $"byte {offset - start} of frame {frame + 1}: {damage.Message}");
                Scratch.Overwrite(image.File, offset, image.Bytes[offset]);
            }

            foreach (int kept in (int[])[0, 1, 63, 64, 65, 511, end - start - 512])
            {
                image.Write(bytes => bytes.AsSpan(start + kept, end - start - kept).Clear());
                if (File.ReadAllBytes(image.File).AsSpan().SequenceEqual(image.Bytes)) continue;
                image.RefusedAt(start, $"frame {frame + 1} torn behind {kept} bytes");
            }

            image.Write(_ => { });
        }
    }

    [Fact]
    public async Task D15_a_frame_put_back_from_another_place_or_another_log_is_damage()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        byte[] second = image.Bytes[image.Starts[1]..image.Starts[2]];

        // The second frame once more, where the next one goes, and instead of the first.
        image.Write(bytes => second.CopyTo(bytes, image.End));
        Assert.Contains("frame 5", image.RefusedAt(image.End, "old frame").Message, StringComparison.Ordinal);
        image.Write(bytes => second.CopyTo(bytes, 0));
        image.RefusedAt(0, "frame 2 first");

        // The same journal of another log.
        image.Write(_ => { });
        JournalOptions foreign = Options with { Identity = 7 };
        DamageException damage = JournalImage.Refused(() => Journal.Open(image.Folder, foreign, 0), "another identity");
        Assert.Contains("another log", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task I06_swapped_sectors_and_equal_flips_eight_bytes_apart_are_damage()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        int at = image.LastStart;
        image.Write(bytes =>
        {
            bytes[at + 70] ^= 4;
            bytes[at + 78] ^= 4;
        });
        image.RefusedAt(at, "equal flips");
        image.Write(bytes =>
        {
            image.Bytes.AsSpan(at + 512, 512).CopyTo(bytes.AsSpan(image.End - 512));
            image.Bytes.AsSpan(image.End - 512, 512).CopyTo(bytes.AsSpan(at + 512));
        });
        DamageException swapped = JournalImage.Refused(() => Journal.Open(image.Folder, Options, 0), "swapped sectors");
        Assert.Contains($"offset {at}:", swapped.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task Bytes_behind_the_last_frame_that_no_torn_frame_explains_are_damage()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);

        // Where the next frame begins: something that is not the beginning of one.
        image.Write(bytes => bytes[image.End] = 1);
        image.RefusedAt(image.End, "a wrong first byte");
        image.Write(bytes => "TLJX"u8.CopyTo(bytes.AsSpan(image.End)));
        image.RefusedAt(image.End, "a wrong magic");
        image.Write(bytes => bytes[image.End + 100] = 1);
        image.RefusedAt(image.End, "entries without a header in one sector");

        // Farther behind than the largest frame reaches, up to the last byte of the file.
        foreach (int offset in (int[])[image.End + JournalFrame.MaxSize, image.Bytes.Length - 1])
        {
            image.Write(bytes => bytes[offset] = 1);
            Assert.Contains($"offset {offset}", image.RefusedAt(image.End, "far behind").Message, StringComparison.Ordinal);
        }

        // Behind the end that the header of a torn frame gives.
        image.Write(bytes =>
        {
            bytes.AsSpan(image.LastStart + 600, image.End - image.LastStart - 600).Clear();
            bytes[image.End] = 1;
        });
        image.RefusedAt(image.LastStart, "behind a torn frame");
    }

    [Fact]
    public async Task An_entry_that_imitates_a_frame_does_not_make_a_torn_frame_look_damaged()
    {
        // Whoever appends can put a whole frame of this log, with a sequence to come, at a sector inside a frame.
        string other = _scratch["other"];
        Journal.Create(other, Options);
        byte[] imitation;
        await using (Journal journal = Journal.Open(other, Options, 0))
        {
            for (int i = 0; i < 9; i++) await AppendAsync(journal, [1, 2, 3]);
            imitation = (await File.ReadAllBytesAsync(Path.Combine(other, "000000000001")))[4096..4608];
        }

        string folder = _scratch["journal"];
        Journal.Create(folder, Options);
        await using (Journal journal = Journal.Open(folder, Options, 0)) await AppendAsync(journal, [.. new byte[512 - 66], .. imitation, .. Entry(new Random(1), 2000)]);
        string file = Path.Combine(folder, "000000000001");
        Assert.True((await File.ReadAllBytesAsync(file)).AsSpan(512, 8).SequenceEqual(JournalFrame.Magic));
        Scratch.Overwrite(file, 2048, new byte[512]);
        await using Journal torn = Journal.Open(folder, Options, 0);
        Assert.NotNull(torn.Cut);
        Holds(torn, []);
    }

    [Fact]
    public async Task D15_a_file_of_another_size_is_refused_wherever_it_was_cut()
    {
        JournalImage image = await JournalImage.CreateAsync(_scratch);
        Random random = new(23);
        IEnumerable<int> sizes = image.Starts.Concat(Enumerable.Range(0, 1000).Select(i => random.Next(i % 2 == 0 ? image.End + 512 : Options.FileBytes)));
        foreach (int size in sizes)
        {
            using (FileStream file = new(image.File, FileMode.Open, FileAccess.Write)) file.SetLength(size);
            DamageException damage = JournalImage.Refused(() => Journal.Open(image.Folder, Options, 0), $"cut at {size}");
            Assert.Contains($"{size} bytes", damage.Message, StringComparison.Ordinal);
        }

        image.Write(_ => { });
        using (FileStream file = new(image.File, FileMode.Append)) file.WriteByte(0);
        JournalImage.Refused(() => Journal.Open(image.Folder, Options, 0), "one byte more");
    }
}
