using System.Buffers;
using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>What a batch accepts.</summary>
public sealed class BatchTests
{
    private static readonly Hash Some = Acts.HashOf("some");

    [Fact]
    public void Entries_come_in_one_piece_in_several_and_as_a_bundle()
    {
        JournalBatch batch = Acts.Batch([1, 2]);
        Segment first = new([3]);
        Assert.True(batch.TryAdd(new ReadOnlySequence<byte>(first, 0, first.Append([4, 5]), 2)));
        Assert.True(batch.TryAddBundle([0, 1, 7, 0, 0], 2));
        Assert.Equal([0, 2, 1, 2, 0, 3, 3, 4, 5, 0, 1, 7, 0, 0], batch.Entries.ToArray());
        Assert.Equal((4, 14), (batch.Count, batch.EntryBytes));
        Assert.Throws<ArgumentException>(() => batch.TryAddBundle([0, 1, 7, 0, 0], 1));
        Assert.Throws<ArgumentException>(() => batch.TryAddBundle([0, 1, 7, 0], 2));
        Assert.Throws<ArgumentOutOfRangeException>(() => batch.TryAdd(new byte[65_536]));
        Assert.Throws<ArgumentException>(() => batch.TryAdd(new ReadOnlySequence<byte>(new byte[65_536])));
        Assert.Equal((4, 14), (batch.Count, batch.EntryBytes));
        batch.Begin(Guid.NewGuid());
        Assert.Equal((0, 0, 0), (batch.Count, batch.EntryBytes, batch.Conditions.Count));
    }

    [Fact]
    public void An_entry_that_does_not_fit_changes_nothing_and_the_buffer_has_room_around_the_entries()
    {
        JournalBatch batch = Acts.Batch();
        byte[] bundle = [255, 255, .. new byte[65_535]];
        while (batch.TryAddBundle(bundle, 1))
        {
        }

        Assert.Equal((31, 31 * 65_537), (batch.Count, batch.EntryBytes));
        Assert.False(batch.TryAdd(new byte[65_535]));
        Assert.False(batch.TryAdd(new ReadOnlySequence<byte>(new byte[65_535])));
        Assert.True(batch.TryAdd(new byte[JournalBatch.MaxEntryBytes - batch.EntryBytes - 2]));
        Assert.Equal(JournalBatch.MaxEntryBytes, batch.EntryBytes);
        Assert.False(batch.TryAdd([]));
        Assert.InRange(batch.Buffer.Length, JournalBatch.HeaderRoom + JournalBatch.MaxEntryBytes + JournalBatch.TrailerRoom, 4 * JournalBatch.MaxEntryBytes);
    }

    [Fact]
    public void A_batch_has_an_id_once_it_was_begun()
    {
        Assert.Equal(Guid.Empty, new JournalBatch().Id);
        Assert.Throws<ArgumentException>(() => new JournalBatch().Begin(Guid.Empty));
    }

    [Fact]
    public void A_condition_that_cannot_be_meant_is_misuse()
    {
        JournalBatch batch = Acts.Batch([1], [2]);
        JournalCondition.Head head = new("s", 1, Some, Some, DateTimeOffset.UnixEpoch, 1);
        JournalCondition.Once once = new("k", Some, 0, 2);
        JournalCondition[] bad =
        [
            head with { Stream = "" }, head with { Stream = new string('s', 129) }, head with { Stream = "a\udc00" }, head with { Entry = -1 }, head with { Entry = 2 },
            head with { ExpectedSequence = -1 }, head with { ExpectedSequence = 0 }, head with { ExpectedHash = default }, head with { Time = DateTimeOffset.UnixEpoch.AddTicks(-1) },
            once with { Key = "" }, once with { Key = new string('\u00e9', 65) }, once with { Entry = 1 }, once with { Count = 0 }, once with { Count = int.MaxValue }, once with { Entry = -1 },
        ];
        foreach (JournalCondition condition in bad) Assert.ThrowsAny<ArgumentException>(() => batch.Require(condition));
        Assert.Empty(batch.Conditions);
        batch.Require(head);
        batch.Require(once);
        Assert.Equal([head, once], batch.Conditions);
    }

    private sealed class Segment : ReadOnlySequenceSegment<byte>
    {
        public Segment(byte[] bytes) => Memory = bytes;

        public Segment Append(byte[] bytes)
        {
            Segment next = new(bytes) { RunningIndex = RunningIndex + Memory.Length };
            Next = next;
            return next;
        }
    }
}
