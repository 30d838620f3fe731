using System.Buffers.Binary;
using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>Records and parts in FASTER: what was committed is there after a reopening, what was not is not.</summary>
public sealed class RecordLogTests : IDisposable
{
    private const int Page = 4 * 1024 * 1024, Around = 4 + 20 + 4; // FASTER's header, our envelope, our CRC

    private readonly Scratch _scratch = new();
    private readonly Random _random = new(30);
    private readonly List<byte[]> _records = [];

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["log"];

    private RecordLog Create()
    {
        RecordLog.Create(Folder);
        return RecordLog.Open(Folder);
    }

    private void Append(RecordLog log, int size)
    {
        _records.Add(Entry(_random, size));
        Assert.Equal(_records.Count - 1, log.Append(_records[^1]));
        Assert.Equal(_records.Count, log.Count);
    }

    private void Holds(RecordLog log)
    {
        Assert.Equal(_records.Count, log.DurableCount);
        for (int i = 0; i < _records.Count; i++) Assert.Equal(_records[i], log.Read(i).ToArray());
        Assert.Throws<ArgumentOutOfRangeException>(() => log.Read(_records.Count));
        Assert.Throws<ArgumentOutOfRangeException>(() => log.Read(-1));
    }

    [Fact]
    public async Task A_new_log_is_empty_before_and_after_reopening()
    {
        for (int i = 0; i < 3; i++)
        {
            await using RecordLog log = i == 0 ? Create() : RecordLog.Open(Folder);
            Holds(log);
            await log.CommitAsync();
            Holds(log);
        }
    }

    /// <summary>With a right checksum, as nothing but a program with a mistake writes it: named, and no failed system call.</summary>
    [Theory]
    [InlineData(8, -1L)]
    [InlineData(16, -1L)]
    [InlineData(24, -1L)]
    [InlineData(24, long.MinValue)]
    [InlineData(24, long.MaxValue)]
    [InlineData(24, (long.MaxValue / 8) + 2)]
    [InlineData(32, -1L)]
    public async Task A_commit_file_with_a_number_that_cannot_be_is_damage(int offset, long number)
    {
        await using (RecordLog log = Create())
        {
            Append(log, 10);
            await log.CommitAsync();
        }

        string path = Path.Combine(Folder, "commit");
        byte[] bytes = await File.ReadAllBytesAsync(path);
        BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(offset), number);
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - 4), Crc32C.Of(bytes.AsSpan(0, bytes.Length - 4)));
        await File.WriteAllBytesAsync(path, bytes);
        Assert.Contains(path, Assert.Throws<DamageException>(() => RecordLog.OpenReadOnly(Folder)).Message);
        Assert.Contains(path, Assert.Throws<DamageException>(() => RecordLog.Open(Folder)).Message);
    }

    [Fact]
    public async Task Committed_records_are_there_after_reopening_and_uncommitted_ones_are_not()
    {
        await using (RecordLog log = Create())
        {
            for (int i = 0; i < 50; i++) Append(log, i * 37);
            await log.CommitAsync();
            Holds(log);
            log.Append([1, 2, 3]);
            log.Append(new byte[RecordLog.MaxPayload]);
            Assert.Equal(50, log.DurableCount);
            Assert.Equal(52, log.Count);
        }

        for (int round = 0; round < 5; round++)
        {
            await using RecordLog log = RecordLog.Open(Folder);
            Assert.Equal(_records.Count, log.Count);
            Holds(log);
            for (int i = 0; i < round; i++) Append(log, _random.Next(3000));
            await log.CommitAsync();
            Holds(log);
        }
    }

    [Fact]
    public async Task Records_of_every_size_around_page_ends_survive()
    {
        await using (RecordLog log = Create())
        {
            for (int i = 0; i < 30; i++) Append(log, RecordLog.MaxPayload - (i % 3));
            await log.CommitAsync();
            Holds(log);
        }

        await using RecordLog again = RecordLog.Open(Folder);
        Holds(again);
        Append(again, 10);
        await again.CommitAsync();
        Holds(again);
    }

    [Theory]
    [InlineData(-8)]
    [InlineData(-4)]
    [InlineData(0)]
    [InlineData(4)]
    [InlineData(4096)]
    public async Task A_commit_that_ends_at_or_near_a_page_end_can_be_reopened(int beyond)
    {
        await using (RecordLog log = Create())
        {
            long tail = 64;
            while (Page + beyond - tail > RecordLog.MaxPayload) tail += Appended(log, RecordLog.MaxPayload / 2);
            Append(log, (int)(Page - tail) - Around + Math.Min(beyond, 0));
            if (beyond > 0) Append(log, beyond);
            await log.CommitAsync();
            Holds(log);
        }

        for (int i = 0; i < 3; i++)
        {
            await using RecordLog log = RecordLog.Open(Folder);
            Holds(log);
            Append(log, 100);
            await log.CommitAsync();
            Holds(log);
        }

        long Appended(RecordLog log, int size)
        {
            Append(log, size / 4 * 4);
            return (size / 4 * 4) + Around;
        }
    }

    [Fact]
    public async Task Parts_are_read_by_address_number_and_place()
    {
        await using RecordLog log = Create();
        byte[] payload = Entry(_random, 70_000);
        long first = log.AppendPart(0, payload), second = log.AppendPart(1, [7]);
        Append(log, 10);
        await log.CommitAsync();
        Assert.Equal(payload, log.ReadPart(first, 0, 0).ToArray());
        Assert.Equal([7], log.ReadPart(second, 0, 1).ToArray());
        Assert.Throws<DamageException>(() => log.ReadPart(first, 0, 1));
        Assert.Throws<DamageException>(() => log.ReadPart(first, 1, 0));
        Assert.Throws<DamageException>(() => log.ReadPart(first + 4, 0, 0));
        Assert.Throws<DamageException>(() => log.ReadPart(long.MaxValue, 0, 0));
        Assert.Throws<DamageException>(() => log.ReadPart(-1, 0, 0));
    }

    [Fact]
    public async Task Appending_may_go_on_during_a_commit()
    {
        await using (RecordLog log = Create())
        {
            for (int round = 0; round < 200; round++)
            {
                Append(log, 100);
                Task commit = Task.Run(() => log.CommitAsync());
                for (int i = 0; i < 20 && !commit.IsCompleted; i++) Append(log, 50);
                await commit;
                await log.CommitAsync();
                Assert.Equal(log.Count, log.DurableCount);
            }

            Holds(log);
        }

        await using RecordLog again = RecordLog.Open(Folder);
        Holds(again);
    }

    [Fact]
    public async Task A_record_appended_between_a_commit_s_count_and_its_end_is_committed_by_the_next_one()
    {
        // The first commit covers its bytes already, and not its number: FASTER sees nothing new to do.
        await using (RecordLog log = Create())
        {
            Append(log, 10);
            using (FaultScope.On(Folder, (call, path) =>
            {
                if (call == "fdatasync" && path.EndsWith("addresses", StringComparison.Ordinal) && log.Count == 1) Append(log, 20);
                return FaultScope.None;
            })) await log.CommitAsync();
            Assert.Equal(1, log.DurableCount);
            Assert.Equal(2, log.Count);
            await log.CommitAsync();
            Holds(log);
        }

        await using RecordLog again = RecordLog.Open(Folder);
        Holds(again);
    }

    [Fact]
    public async Task D06_data_and_addresses_are_synced_before_the_commit_file_names_them()
    {
        await using RecordLog log = Create();
        for (int i = 0; i < 3; i++)
        {
            Append(log, 100);
            List<string> calls = [];
            using (FaultScope.Watch(Folder, (call, path) => calls.Add($"{call} {Path.GetFileName(path)}"))) await log.CommitAsync();
            if (i == 0) Assert.True(calls.Remove("fsync log"), "the new data file's name is synced"); // one of two: the commit file's is the last call
            Assert.Equal(
                ["fdatasync addresses", "pwrite data.0", "fdatasync data.0", "pwrite commit.new", "fsync commit.new", "rename commit.new", "fsync log"],
                calls);
        }
    }

    [Fact]
    public async Task Readers_see_only_committed_records_while_the_writer_goes_on()
    {
        await using RecordLog log = Create();
        using CancellationTokenSource done = new();
        Task reader = Task.Run(() =>
        {
            Random random = new(31);
            while (!done.IsCancellationRequested)
            {
                long count = log.DurableCount;
                if (count == 0) continue;
                long number = random.NextInt64(count);
                Assert.Equal(BitConverter.GetBytes(number), log.Read(number)[..8].ToArray());
            }
        });
        for (int i = 0; i < 1000; i++)
        {
            log.Append([.. BitConverter.GetBytes((long)i), .. new byte[_random.Next(2000)]]);
            if (i % 25 == 0) await log.CommitAsync();
        }

        await log.CommitAsync();
        await done.CancelAsync();
        await reader;
    }

    [Fact]
    public async Task A_read_only_log_reads_what_is_committed_and_changes_nothing()
    {
        await using (RecordLog log = Create())
        {
            for (int i = 0; i < 10; i++) Append(log, 1000);
            await log.CommitAsync();
        }

        SortedDictionary<string, string> before = Scratch.Content(Folder);
        await using (RecordLog log = RecordLog.OpenReadOnly(Folder)) Holds(log);
        Assert.Equal(before, Scratch.Content(Folder));
    }

    [Fact]
    public async Task Payloads_above_the_limit_are_misuse()
    {
        await using RecordLog log = Create();
        Assert.Throws<ArgumentOutOfRangeException>(() => log.Append(new byte[RecordLog.MaxPayload + 1]));
        Assert.Throws<StorageException>(() => RecordLog.Create(Folder));
    }

    [Fact]
    public async Task Opening_and_closing_leaves_no_descriptor_open()
    {
        await using (RecordLog log = Create())
        {
            Append(log, 10);
            await log.CommitAsync();
            Holds(log);
            Assert.NotEmpty(OpenBelow(Folder));
        }

        Assert.Empty(OpenBelow(Folder));
        File.Delete(Path.Combine(Folder, "data.0"));
        Assert.ThrowsAny<StorageException>(() => RecordLog.Open(Folder));
        Assert.Empty(OpenBelow(Folder));
    }

    /// <summary>The files below a directory that this process has open.</summary>
    internal static string[] OpenBelow(string directory) =>
        [.. Directory.GetFiles("/proc/self/fd").Select(link => new FileInfo(link).LinkTarget).OfType<string>().Where(target => target.StartsWith(directory + "/", StringComparison.Ordinal))];
}
