using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>What the suites do to a store, and the strong checks after it.</summary>
internal static class Acts
{
    /// <summary>Only a failing test waits as long.</summary>
    public static readonly TimeSpan Limit = TimeSpan.FromMinutes(2);

    /// <summary>A batch of these entries, with an id.</summary>
    public static JournalBatch Batch(params byte[][] entries)
    {
        JournalBatch batch = new();
        batch.Begin(Guid.NewGuid());
        foreach (byte[] entry in entries) Assert.True(batch.TryAdd(entry));
        return batch;
    }

    /// <summary>Appends a batch that has to be stored; returns the index of its first entry.</summary>
    public static async Task<long> AppendAsync(this IJournal journal, JournalBatch batch)
    {
        AppendAnswer answer = await journal.AppendAsync(batch, CancellationToken.None);
        Assert.True(answer.IsStored, $"conditions {string.Join(", ", answer.Failed)} failed");
        return answer.FirstIndex;
    }

    public static Task<long> AppendAsync(this IJournal journal, params byte[][] entries) => journal.AppendAsync(Batch(entries));

    /// <summary>The journal holds exactly these entries from an index on: every batch contiguous, every byte right.</summary>
    public static async Task HoldsAsync(this IJournal journal, IReadOnlyList<byte[]> entries, long from = 0, string because = "")
    {
        Assert.True(journal.NextIndex == entries.Count, $"{journal.NextIndex} entries, not {entries.Count}; {because}");
        long next = -1;
        await foreach (JournalEntries batch in journal.ReadAllAsync(from, CancellationToken.None))
        {
            if (next < 0) Assert.True(batch.FirstIndex <= from, because);
            else Assert.True(next == batch.FirstIndex, $"entry {batch.FirstIndex} follows {next - 1}; {because}");
            next = Check(batch, entries, because);
        }

        Assert.True(from == entries.Count ? next < 0 : next == entries.Count, $"reading from {from} ended at {next} of {entries.Count}; {because}");
    }

    /// <summary>The entries of a batch are these; returns the index after the last.</summary>
    public static long Check(JournalEntries batch, IReadOnlyList<byte[]> entries, string because = "")
    {
        long next = batch.FirstIndex;
        foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(batch.Bundle.Span))
        {
            Assert.True(entry.SequenceEqual(entries[(int)next]), $"entry {next} is another one; {because}");
            next++;
        }

        Assert.Equal(batch.FirstIndex + batch.Count, next);
        return next;
    }

    /// <summary>Waits for a condition.</summary>
    public static async Task UntilAsync(Func<bool> condition, string what)
    {
        long start = TimeProvider.System.GetTimestamp();
        while (!condition())
        {
            Assert.True(TimeProvider.System.GetElapsedTime(start) < Limit, $"not within {Limit}: {what}");
            await Task.Delay(2);
        }
    }

    /// <summary>A hash that follows from a text.</summary>
    public static Hash HashOf(string text) => new(SHA256.HashData(Encoding.UTF8.GetBytes(text)));

    /// <summary>
    /// A signed note of the origin of every store; the signature is one in form only. Two of one size and root differ where the variant does.
    /// </summary>
    public static SignedHead Head(long size, string root = "", byte variant = 0)
    {
        Hash hash = HashOf($"root {size} {root}");
        string line = Convert.ToBase64String([1, 2, 3, 4, .. Enumerable.Repeat(variant, 64)]);
        string text = Encoding.UTF8.GetString(new Checkpoint(StoreUnderTest.Origin, size, hash).ToText());
        return new SignedHead(size, hash, Encoding.UTF8.GetBytes(string.Create(CultureInfo.InvariantCulture, $"{text}\n\u2014 {StoreUnderTest.Origin} {line}\n")));
    }

    /// <summary>Acquires the lease and swaps; the swap has to succeed.</summary>
    public static async Task SwapAsync(this IHeadRegister register, SignedHead? expected, SignedHead next)
    {
        IHeadLease? lease = await register.AcquireAsync(CancellationToken.None);
        Assert.NotNull(lease);
        Assert.True(await register.SwapAsync(lease, expected, next, "signed", CancellationToken.None));
    }

    public static async Task<List<HistoricHead>> ReadHistoryAsync(this IHeadRegister register)
    {
        List<HistoricHead> history = [];
        await foreach (HistoricHead line in register.HistoryAsync(CancellationToken.None)) history.Add(line);
        return history;
    }
}
