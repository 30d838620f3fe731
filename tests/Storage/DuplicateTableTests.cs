using System.Buffers.Binary;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

public sealed class DuplicateTableTests
{
    public static TheoryData<int> SmallSizes => [128, 192, 256, 320, 448, 1000, 4096, 65_536];

    [Theory]
    [MemberData(nameof(SmallSizes))]
    public void It_names_only_indexes_that_were_added_and_always_the_newest_eight(int bytes)
    {
        for (int seed = 0; seed < 20; seed++)
        {
            Random random = new(seed);
            DuplicateTable table = new(bytes, (ulong)random.NextInt64());
            Dictionary<int, List<long>> model = [];
            List<(int Entry, long Index)> added = [];
            long index = random.Next(3) == 0 ? 0 : random.NextInt64(1L << 50);
            int entries = Math.Min(20_000, bytes); // eight times as many as there are slots
            for (int i = 0; i < entries; i++)
            {
                // Now and then an entry that was there before, with another index; and gaps between indexes.
                int entry = random.Next(20) == 0 && i > 0 ? random.Next(i) : i;
                index += random.Next(50) == 0 ? random.Next(1000) + 1 : 1;
                table.Add(HashOf(entry), index);
                added.Add((entry, index));
                if (!model.TryGetValue(entry, out List<long>? indexes)) model.Add(entry, indexes = []);
                indexes.Add(index);
                if (i % 7 != 0) continue;
                foreach ((int recent, long at) in added.TakeLast(8)) Assert.True(Find(table, recent).Contains(at) || model[recent].Count > DuplicateTable.MaxCandidates, $"seed {seed}, {bytes} bytes: entry {recent} at {at}");
                int any = random.Next(i + 1);
                Assert.All(Find(table, any), found => Assert.Contains(found, model.GetValueOrDefault(any) ?? []));
                Assert.Empty(Find(table, -1 - any));
            }

            Assert.Equal(entries, table.Count + table.Forgotten);
            Assert.InRange(table.Count, 1, bytes / 8);
            Assert.InRange(table.Bytes, 128, bytes);
        }
    }

    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public void It_remembers_the_newest_as_many_as_it_is_made_for_in_whatever_order_they_come(bool newestFirst)
    {
        const int Bytes = 3 * 1024 * 1024;
        DuplicateTable table = new(Bytes, 7);
        Assert.Equal(Bytes / 64 * 5, table.Capacity);
        int entries = (int)table.Capacity * 4;
        for (int i = 0; i < entries; i++)
        {
            int index = newestFirst ? entries - 1 - i : i;
            table.Add(HashOf(index), index);
            if (i == 50_000) Assert.Equal(1024 * 1024, table.Bytes);
        }

        int forgotten = 0;
        for (int index = entries - (int)table.Capacity; index < entries; index++)
        {
            if (!Find(table, index).Contains(index)) forgotten++;
        }

        Assert.InRange(forgotten, 0, (int)table.Capacity / 100);
        Assert.Equal(Bytes, table.Bytes);
        Assert.InRange(table.Count, Bytes / 8 * 0.99, Bytes / 8);

        // What is named for an entry that is not there would be compared: hardly ever.
        int named = Enumerable.Range(1, 1_000_000).Count(i => Find(table, -i).Length > 0);
        Assert.InRange(named, 0, 5);
    }

    [Fact]
    public void Who_asks_while_it_grows_misses_nothing_that_is_there()
    {
        DuplicateTable table = new(8 * 1024 * 1024, 3);
        const int Entries = 400_000;
        int added = 0;
        Thread[] readers = [.. Enumerable.Range(0, 2).Select(_ => new Thread(() => Ask(table, () => Volatile.Read(ref added), Entries)))];
        foreach (Thread reader in readers) reader.Start();
        for (int i = 0; i < Entries; i++)
        {
            table.Add(HashOf(i), i);
            Volatile.Write(ref added, i + 1);
        }

        foreach (Thread reader in readers) reader.Join();
        Assert.Empty(s_failures);
        Assert.InRange(table.Bytes, 4 * 1024 * 1024, 8 * 1024 * 1024);
    }

    [Fact]
    public void Hashes_made_to_collide_cost_four_candidates_and_forget_only_each_other()
    {
        DuplicateTable table = new(64 * 1024, 11);
        for (int i = 0; i < 100; i++) table.Add(HashOf(i), i);
        for (int i = 0; i < 100; i++) table.Add(Colliding(i), 100 + i);

        // The pair of buckets holds 16; the smallest indexes are named, so that the first is the answer.
        long[] found = Find(table, Colliding(1000));
        Assert.Equal(DuplicateTable.MaxCandidates, found.Length);
        Assert.Equal(found.Order(), found);
        Assert.Equal([184L, 185, 186, 187], found);
        Assert.True(table.Crowded > 0);
        Assert.Equal([196L, 197, 198, 199], Find(table, Colliding(0), atLeast: 196));
        Assert.InRange(Enumerable.Range(0, 100).Count(i => Find(table, i).Length == 0), 0, 16);
    }

    [Fact]
    public void Sizes_and_indexes_out_of_range_are_refused()
    {
        Assert.Throws<ArgumentOutOfRangeException>(() => new DuplicateTable(127, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DuplicateTable(DuplicateTable.MaxBytes + 1, 0));
        Assert.Throws<ArgumentOutOfRangeException>(() => new DuplicateTable(128, 0).Add(HashOf(1), -1));
        Assert.Equal(1024 * 1024, new DuplicateTable(DuplicateTable.MaxBytes, 0).Bytes);
    }

    private static readonly List<string> s_failures = []; // guarded by itself

    /// <summary>Asks for entries that are there; what is missing must have been forgotten for good, and what is named must be right.</summary>
    private static void Ask(DuplicateTable table, Func<int> added, int all)
    {
        Random random = new(all);
        List<int> missing = [];
        while (added() < all)
        {
            int entry = random.Next(added() + 1);
            if (entry >= added()) continue;
            long[] found = Find(table, entry);
            if (found.Length == 0) missing.Add(entry);
            else if (found[0] != entry) Fail($"entry {entry} is at {found[0]}");
        }

        foreach (int entry in missing)
        {
            if (Find(table, entry).Length > 0) Fail($"entry {entry} was there and was not found");
        }

        static void Fail(string what)
        {
            lock (s_failures) s_failures.Add(what);
        }
    }

    internal static Hash HashOf(int entry)
    {
        Span<byte> bytes = stackalloc byte[4];
        BinaryPrimitives.WriteInt32BigEndian(bytes, entry);
        return MerkleHash.Leaf(bytes);
    }

    /// <summary>Hashes that agree in the 8 bytes that the table looks at.</summary>
    private static Hash Colliding(int number)
    {
        byte[] bytes = new byte[Hash.Size];
        BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(28), number);
        return new Hash(bytes);
    }

    private static long[] Find(DuplicateTable table, int entry) => Find(table, HashOf(entry));

    private static long[] Find(DuplicateTable table, Hash leaf, long atLeast = 0)
    {
        Span<long> candidates = stackalloc long[DuplicateTable.MaxCandidates];
        table.Prefetch(leaf); // changes nothing
        return candidates[..table.Find(leaf, atLeast, candidates)].ToArray();
    }
}
