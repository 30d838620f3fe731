using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>What the tests of the journal share: frames in, and the one strong check of what comes out.</summary>
internal static class JournalAssert
{
    public static readonly JournalOptions Options = new() { FileBytes = 4 * 1024 * 1024, Identity = 0x1122334455667788 };

    /// <summary>Appends one frame of these entries; returns the index of the first.</summary>
    public static async Task<long> AppendAsync(IJournal journal, params byte[][] entries)
    {
        JournalFrame frame = new();
        foreach (byte[] entry in entries) Assert.True(frame.TryAdd(entry));
        return await journal.AppendAsync(frame, CancellationToken.None);
    }

    /// <summary>The journal holds exactly these entries from <paramref name="first"/> on: every frame contiguous, every byte right.</summary>
    public static void Holds(IJournal journal, IReadOnlyList<byte[]> entries, long first = 0, string because = "")
    {
        Assert.True(journal.NextIndex == entries.Count, $"{journal.NextIndex} entries instead of {entries.Count} {because}");
        long next = -1;
        foreach (JournalEntries frame in journal.Read(first))
        {
            if (next < 0) Assert.True(frame.FirstIndex <= first, because);
            else Assert.Equal(next, frame.FirstIndex);
            next = frame.FirstIndex;
            foreach (ReadOnlySpan<byte> entry in EntryBundle.Enumerate(frame.Bundle.Span))
            {
                Assert.True(entry.SequenceEqual(entries[(int)next]), $"entry {next} {because}");
                next++;
            }

            Assert.Equal(frame.FirstIndex + frame.Count, next);
        }

        if (first < entries.Count) Assert.True(next == entries.Count, $"reading stopped at {next} of {entries.Count} {because}");
    }

    /// <summary>An entry of seeded bytes.</summary>
    public static byte[] Entry(Random random, int size)
    {
        byte[] entry = new byte[size];
        random.NextBytes(entry);
        return entry;
    }
}
