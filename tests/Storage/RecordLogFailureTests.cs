using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>A failing disk under FASTER: a commit fails and never hangs, everything after it fails, and what was committed stays (D-05, D-06, D-12, D-13, D-18).</summary>
public sealed class RecordLogFailureTests : IDisposable
{
    private static readonly TimeSpan Limit = TimeSpan.FromSeconds(30);

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["log"];

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task D06_whichever_storage_call_of_a_commit_fails_it_throws_in_time_and_so_does_everything_after_it(bool after)
    {
        byte[][] records = [.. Enumerable.Range(0, 12).Select(i => Entry(new Random(i), 1000 * i))];
        for (int n = 1; ; n++)
        {
            if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
            RecordLog.Create(Folder);
            int committed = 0, appended = 0;
            StorageException? failure = null;
            await using (RecordLog log = RecordLog.Open(Folder))
            {
                using FaultScope fault = FaultScope.Nth(Folder, n, FaultScope.Io, after);
                while (appended < records.Length && failure is null)
                {
                    try
                    {
                        log.Append(records[appended]);
                        appended++;
                        if (appended % 3 != 0) continue;
                        await log.CommitAsync().WaitAsync(Limit);
                        committed = appended;
                    }
                    catch (StorageException thrown)
                    {
                        failure = thrown;
                        Assert.Equal(FaultScope.Io, thrown.Errno);
                        Assert.Throws<StorageException>(() => log.Append([1]));
                        await Assert.ThrowsAsync<StorageException>(() => log.CommitAsync().WaitAsync(Limit));
                        Assert.Throws<StorageException>(() => log.AppendPart(0, [1]));
                    }
                }

                Assert.Equal(committed, log.DurableCount);
                for (int i = 0; i < committed; i++) Assert.Equal(records[i], log.Read(i).ToArray());
            }

            await using RecordLog again = RecordLog.Open(Folder);
            Assert.InRange(again.Count, committed, appended);

            // More than was acknowledged, when the new commit file was in place and the call behind that failed.
            for (int i = 0; i < again.Count; i++) Assert.Equal(records[i], again.Read(i).ToArray());
            while (again.Count < records.Length) again.Append(records[again.Count]);
            await again.CommitAsync().WaitAsync(Limit);
            for (int i = 0; i < records.Length; i++) Assert.Equal(records[i], again.Read(i).ToArray());
            if (failure is null)
            {
                Assert.InRange(n, 30, 100);
                return;
            }
        }
    }

    [Fact]
    public async Task D18_no_descriptor_left_fails_the_commit_and_deletes_nothing()
    {
        RecordLog.Create(Folder);
        byte[][] records = [[1], [2], [3]];
        await using (RecordLog log = RecordLog.Open(Folder))
        {
            log.Append(records[0]);
            await log.CommitAsync();
            log.Append(records[1]);
            using (FaultScope.On(Folder, (call, _) => call == "open" ? FaultScope.Fail(FaultScope.TooManyFiles) : FaultScope.None))
            {
                StorageException failure = await Assert.ThrowsAsync<StorageException>(() => log.CommitAsync().WaitAsync(Limit));
                Assert.Equal(FaultScope.TooManyFiles, failure.Errno);
            }

            await Assert.ThrowsAsync<StorageException>(() => log.CommitAsync().WaitAsync(Limit));
            Assert.Throws<StorageException>(() => log.Append(records[2]));
            Assert.Equal(records[0], log.Read(0).ToArray());
        }

        await using RecordLog again = RecordLog.Open(Folder);
        Assert.Equal(1, again.Count);
        Assert.Equal(records[0], again.Read(0).ToArray());
    }

    [Fact]
    public async Task D05_a_device_that_fails_while_memory_is_full_does_not_leave_the_writer_waiting()
    {
        RecordLog.Create(Folder);
        await using RecordLog log = RecordLog.Open(Folder);
        using ManualResetEventSlim full = new();
        using FaultScope fault = FaultScope.On(Folder, (call, path) =>
        {
            if (call != "pwrite" || !path.EndsWith("data.0", StringComparison.Ordinal)) return FaultScope.None;
            full.Wait(Limit);
            return FaultScope.Fail(FaultScope.NoSpace);
        });
        byte[] record = new byte[1_000_000];
        Task writer = Task.Run(() =>
        {
            for (int i = 0; i < 100; i++) log.Append(record);
        });
        Assert.True(SpinWait.SpinUntil(() => log.Count >= 12, Limit));
        full.Set();
        await Assert.ThrowsAsync<StorageException>(() => writer.WaitAsync(Limit));
        Assert.InRange(log.Count, 12, 20);
        StorageException failure = await Assert.ThrowsAsync<StorageException>(() => log.CommitAsync().WaitAsync(Limit));
        Assert.Contains("errno 28", failure.Message, StringComparison.Ordinal);
        Assert.Equal(0, log.DurableCount);
    }

    [Fact]
    public async Task A_slow_device_makes_the_writer_wait_and_loses_nothing()
    {
        RecordLog.Create(Folder);
        byte[][] records = [.. Enumerable.Range(0, 40).Select(i => Entry(new Random(i), 1_000_000))];
        await using (RecordLog log = RecordLog.Open(Folder))
        {
            using ManualResetEventSlim gate = new();
            using FaultScope slow = FaultScope.On(Folder, (call, path) =>
            {
                if (call == "pwrite" && path.EndsWith("data.0", StringComparison.Ordinal)) gate.Wait();
                return FaultScope.None;
            });
            Task writer = Task.Run(() =>
            {
                foreach (byte[] record in records) log.Append(record);
            });
            Assert.True(SpinWait.SpinUntil(() => log.Count >= 12, Limit));
            Assert.False(writer.IsCompleted);
            gate.Set();
            await writer.WaitAsync(Limit);
            await log.CommitAsync().WaitAsync(Limit);
        }

        await using RecordLog again = RecordLog.Open(Folder);
        for (int i = 0; i < records.Length; i++) Assert.Equal(records[i], again.Read(i).ToArray());
    }

    [Fact]
    public async Task A_log_closed_in_the_middle_of_everything_closes_in_time()
    {
        for (int round = 0; round < 20; round++)
        {
            if (Directory.Exists(Folder)) Directory.Delete(Folder, recursive: true);
            RecordLog.Create(Folder);
            RecordLog log = RecordLog.Open(Folder);
            for (int i = 0; i < 10; i++) log.Append(new byte[(round * 50_000) + i]);
            Task commit = log.CommitAsync();
            if (round % 2 == 0) await commit.WaitAsync(Limit);
            await Task.Run(async () => await log.DisposeAsync()).WaitAsync(Limit);
            await using RecordLog again = RecordLog.Open(Folder);
            Assert.True(again.Count is 0 or 10);
            if (round % 2 == 0) Assert.Equal(10, again.Count);
        }
    }

    [Fact]
    public async Task A_read_error_while_FASTER_recovers_is_a_refusal()
    {
        RecordLog.Create(Folder);
        await using (RecordLog log = RecordLog.Open(Folder))
        {
            log.Append(new byte[5000]);
            await log.CommitAsync();
        }

        for (int n = 1; ; n++)
        {
            int reads = 0;
            using FaultScope fault = FaultScope.On(Folder, (call, _) => call == "pread" && ++reads == n ? FaultScope.Fail(FaultScope.Io) : FaultScope.None);
            try
            {
                RecordLog log = await Task.Run(() => RecordLog.Open(Folder)).WaitAsync(Limit);
                await log.DisposeAsync();
                Assert.InRange(n, 5, 20);
                return;
            }
            catch (StorageException)
            {
                Assert.Empty(RecordLogTests.OpenBelow(Folder));
            }
        }
    }
}
