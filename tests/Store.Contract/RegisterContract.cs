using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>The promises of <see cref="IHeadRegister"/>.</summary>
public abstract class RegisterContract<T> : ContractTests<T> where T : StoreUnderTest, new()
{
    [Fact]
    public async Task A_new_register_has_no_head_and_a_history_that_says_created()
    {
        RegisterValue value = await Register.ReadAsync(CancellationToken.None);
        Assert.Equal(new RegisterValue(null, null), value);
        HistoricHead line = Assert.Single(await Register.ReadHistoryAsync());
        Assert.Equal(("created", null), (line.Reason, line.Head));
        Assert.Equal(Under.Clock.GetUtcNow().ToUnixTimeMilliseconds(), line.Time.ToUnixTimeMilliseconds());
    }

    [Fact]
    public async Task A_head_that_was_swapped_in_is_there_after_a_kill_with_its_history()
    {
        SignedHead? last = null;
        long[] sizes = [0, 1, 1, 256, 300];
        for (int i = 0; i < sizes.Length; i++)
        {
            // The second of size 1 was signed again: same root, other signature.
            SignedHead next = Acts.Head(sizes[i], variant: (byte)i);
            await Register.SwapAsync(last, next);
            Assert.Equal(next, (await Register.ReadAsync(CancellationToken.None)).Head);
            if (i % 2 == 0) await KillAndReopenAsync();
            else await ReopenAsync();
            Assert.Equal(next, (await Register.ReadAsync(CancellationToken.None)).Head);
            last = next;
            Under.Clock.Advance(TimeSpan.FromSeconds(1.5));
        }

        List<HistoricHead> history = await Register.ReadHistoryAsync();
        Assert.Equal(["created", .. Enumerable.Repeat("signed", sizes.Length)], history.Select(line => line.Reason));
        Assert.Equal([null, .. sizes.Select((size, i) => Acts.Head(size, variant: (byte)i))], history.Select(line => line.Head));
        Assert.Equal([0, 1500, 1500, 1500, 1500], history.Skip(1).Zip(history, (later, earlier) => (later.Time - earlier.Time).TotalMilliseconds));
    }

    [Fact]
    public async Task A_swap_that_expects_another_value_changes_nothing()
    {
        IHeadLease lease = await LeaseAsync();
        SignedHead first = Acts.Head(5), second = Acts.Head(9);
        Assert.False(await SwapAsync(lease, first, second));
        await Register.SwapAsync(null, first);
        Assert.False(await SwapAsync(lease, null, second));
        Assert.False(await SwapAsync(lease, Acts.Head(5, variant: 1), second));
        Assert.False(await SwapAsync(lease, Acts.Head(5, "other"), second));
        Assert.False(await SwapAsync(lease, Acts.Head(4), second));

        // Not even to a head that could never follow.
        Assert.False(await SwapAsync(lease, null, Acts.Head(2)));
        Assert.Equal(first, (await Register.ReadAsync(CancellationToken.None)).Head);
        Assert.Equal(2, (await Register.ReadHistoryAsync()).Count);
        Assert.True(await SwapAsync(lease, first, second));
    }

    [Fact]
    public async Task A_swap_that_is_tried_again_after_it_succeeded_returns_true()
    {
        IHeadLease lease = await LeaseAsync();
        SignedHead first = Acts.Head(5), second = Acts.Head(9);
        for (int i = 0; i < 3; i++) Assert.True(await SwapAsync(lease, null, first));
        for (int i = 0; i < 3; i++) Assert.True(await SwapAsync(lease, first, second));
        Assert.False(await SwapAsync(lease, null, first));
        Assert.Equal(3, (await Register.ReadHistoryAsync()).Count);
    }

    [Fact]
    public async Task A_smaller_tree_or_another_root_of_the_same_size_is_a_conflict_with_evidence()
    {
        IHeadLease lease = await LeaseAsync();
        SignedHead signed = Acts.Head(300);
        await Register.SwapAsync(null, signed);
        foreach (SignedHead bad in (SignedHead[])[Acts.Head(299), Acts.Head(0), Acts.Head(300, "other")])
        {
            StoreConflictException conflict = await Assert.ThrowsAsync<StoreConflictException>(() => SwapAsync(lease, signed, bad));
            Assert.Contains("300", conflict.Message, StringComparison.Ordinal);
            if (bad.Size == 300) Assert.Equal(EvidenceKind.Fork, conflict.Evidence?.Kind);
        }

        Assert.Equal(signed, (await Register.ReadAsync(CancellationToken.None)).Head);
        Assert.True(await SwapAsync(lease, signed, Acts.Head(301)));
        await KillAndReopenAsync();
        Assert.Equal(Acts.Head(301), (await Register.ReadAsync(CancellationToken.None)).Head);
    }

    [Fact]
    public async Task Of_swaps_that_race_from_one_value_one_wins()
    {
        IHeadLease lease = await LeaseAsync();
        SignedHead? last = null;
        for (int round = 1; round <= 20; round++)
        {
            SignedHead? expected = last;
            SignedHead[] next = [.. Enumerable.Range(1, 8).Select(i => Acts.Head((round * 10) + i, $"by {i}"))];
            bool[] won = await Task.WhenAll(next.Select(head => Task.Run(() => SwapAsync(lease, expected, head))));
            last = (await Register.ReadAsync(CancellationToken.None)).Head;
            Assert.Equal(Assert.Single(next.Where((_, i) => won[i])), last);
        }

        Assert.Equal(21, (await Register.ReadHistoryAsync()).Count);
    }

    [Fact]
    public async Task The_checkpoint_is_copied_and_has_a_limit()
    {
        IHeadLease lease = await LeaseAsync();
        byte[] checkpoint = new byte[SignedHead.MaxCheckpoint];
        Random.Shared.NextBytes(checkpoint);
        byte[] original = [.. checkpoint];
        Assert.True(await SwapAsync(lease, null, new SignedHead(1, Acts.HashOf("1"), checkpoint)));
        checkpoint.AsSpan().Clear();
        SignedHead stored = new(1, Acts.HashOf("1"), original);
        Assert.Equal(stored, (await Register.ReadAsync(CancellationToken.None)).Head);
        await Assert.ThrowsAsync<ArgumentException>(() => SwapAsync(lease, stored, new SignedHead(2, Acts.HashOf("2"), new byte[original.Length + 1])));
        await Assert.ThrowsAsync<ArgumentOutOfRangeException>(() => SwapAsync(lease, stored, new SignedHead(-1, Acts.HashOf("2"), original)));
        await KillAndReopenAsync();
        Assert.Equal(stored, (await Register.ReadAsync(CancellationToken.None)).Head);
    }

    [Fact]
    public async Task A_lease_that_was_given_up_signs_nothing_and_the_next_one_does()
    {
        IHeadLease lease = await LeaseAsync();
        Assert.Same(lease, await LeaseAsync());
        Assert.False(lease.Lost.IsCancellationRequested);
        await lease.DisposeAsync();
        Assert.True(lease.Lost.IsCancellationRequested);
        Assert.False(await SwapAsync(lease, null, Acts.Head(1)));
        IHeadLease next = await LeaseAsync();
        Assert.NotSame(lease, next);
        Assert.True(await SwapAsync(next, null, Acts.Head(1)));
        Assert.False(await SwapAsync(lease, Acts.Head(1), Acts.Head(2)));
    }

    [Fact]
    public async Task A_lease_of_another_register_is_misuse()
    {
        await using MemoryStore other = MemoryStore.Create(StoreUnderTest.Origin);
        IHeadLease lease = (await other.Register.AcquireAsync(CancellationToken.None))!;
        await Assert.ThrowsAsync<ArgumentException>(() => SwapAsync(lease, null, Acts.Head(1)));
    }

    [Fact]
    public async Task A_halted_log_signs_and_appends_nothing_until_it_is_resumed()
    {
        SignedHead head = Acts.Head(1);
        await Register.SwapAsync(null, head);
        JournalBatch before = Acts.Batch([1]);
        await Journal.AppendAsync(before);
        await Register.HaltAsync("first evidence", CancellationToken.None);
        await Register.HaltAsync("second evidence", CancellationToken.None);
        for (int life = 0; life < 3; life++)
        {
            Assert.Equal(new RegisterValue(head, "first evidence"), await Register.ReadAsync(CancellationToken.None));
            Assert.False(await SwapAsync(await LeaseAsync(), head, Acts.Head(2)));
            Assert.False(await SwapAsync(await LeaseAsync(), null, head));
            StoreHaltedException halted = await Assert.ThrowsAsync<StoreHaltedException>(async () => await Journal.AppendAsync(Acts.Batch([2]), CancellationToken.None));
            Assert.Contains("first evidence", halted.Message, StringComparison.Ordinal);
            await Journal.HoldsAsync([[1]]);
            await (life == 0 ? ReopenAsync() : KillAndReopenAsync());
        }

        await Register.ResumeAsync("it was a test", CancellationToken.None);
        await Journal.AppendAsync([2]);
        await KillAndReopenAsync();
        await Register.SwapAsync(head, Acts.Head(2));
        await Journal.AppendAsync([3]);
        await Journal.HoldsAsync([[1], [2], [3]]);
        Assert.Equal(
            [("created", null), ("signed", head), ("halted: first evidence", head), ("resumed: it was a test", head), ("signed", Acts.Head(2))],
            (await Register.ReadHistoryAsync()).Select(line => (line.Reason, line.Head)));
    }

    [Fact]
    public async Task A_log_that_is_not_halted_cannot_be_resumed()
    {
        await Assert.ThrowsAsync<StoreException>(async () => await Register.ResumeAsync("?", CancellationToken.None));
        Assert.Single(await Register.ReadHistoryAsync());
    }

    [Fact]
    public async Task A_log_may_be_halted_before_it_has_signed()
    {
        await Register.HaltAsync("", CancellationToken.None);
        await KillAndReopenAsync();
        Assert.Equal(new RegisterValue(null, ""), await Register.ReadAsync(CancellationToken.None));
        await Register.ResumeAsync("", CancellationToken.None);
        Assert.Equal(new RegisterValue(null, null), await Register.ReadAsync(CancellationToken.None));
    }

    [Fact]
    public async Task Long_and_strange_texts_are_cut_and_can_be_read_again()
    {
        string evidence = "\u0130\0\ud83d\ude00\n" + new string('x', IHeadRegister.MaxEvidence - 6) + "\ud83d\ude00\ud83d\ude00";
        await Register.HaltAsync(evidence, CancellationToken.None);
        await Register.ResumeAsync(new string('r', IHeadRegister.MaxReason), CancellationToken.None);
        await Register.HaltAsync(evidence, CancellationToken.None);
        await KillAndReopenAsync();
        string halted = (await Register.ReadAsync(CancellationToken.None)).Halted!;
        Assert.StartsWith("\u0130", halted, StringComparison.Ordinal);
        Assert.InRange(halted.Length, IHeadRegister.MaxEvidence - 8, IHeadRegister.MaxEvidence + 8);
        Assert.EndsWith("x ...", halted, StringComparison.Ordinal);
        Assert.All(await Register.ReadHistoryAsync(), line => Assert.InRange(line.Reason.Length, 1, IHeadRegister.MaxReason + 20));
    }

    [Fact]
    public async Task A_decision_becomes_part_of_the_history_and_changes_no_head()
    {
        await Register.RecordAsync("distrusted: witness w1", CancellationToken.None);
        await Register.SwapAsync(null, Acts.Head(3));
        await Register.RecordAsync("trusted again: witness w1", CancellationToken.None);
        await KillAndReopenAsync();
        Assert.Equal(Acts.Head(3), (await Register.ReadAsync(CancellationToken.None)).Head);
        Assert.Equal(
            [("created", null), ("distrusted: witness w1", null), ("signed", Acts.Head(3)), ("trusted again: witness w1", Acts.Head(3))],
            (await Register.ReadHistoryAsync()).Select(line => (line.Reason, line.Head)));
    }

    [Fact]
    public async Task A_long_history_is_read_in_order_and_the_newest_lines_are_kept()
    {
        const int Lines = IHeadRegister.MinHistory + 250;
        IHeadLease lease = await LeaseAsync();
        SignedHead? last = null;
        for (int size = 1; size <= Lines; size++)
        {
            SignedHead next = new(size, Acts.HashOf($"{size}"), BitConverter.GetBytes(size));
            Assert.True(await Register.SwapAsync(lease, last, next, $"signed {size}", CancellationToken.None));
            last = next;
        }

        await KillAndReopenAsync();
        List<HistoricHead> history = await Register.ReadHistoryAsync();
        Assert.InRange(history.Count, IHeadRegister.MinHistory, Lines + 1);
        history.Reverse();
        for (int i = 0; i < IHeadRegister.MinHistory; i++) Assert.Equal((Lines - i, $"signed {Lines - i}"), (history[i].Head?.Size, history[i].Reason));
    }

    private async Task<IHeadLease> LeaseAsync()
    {
        IHeadLease? lease = await Register.AcquireAsync(CancellationToken.None);
        Assert.NotNull(lease);
        return lease;
    }

    private async Task<bool> SwapAsync(IHeadLease lease, SignedHead? expected, SignedHead next) =>
        await Register.SwapAsync(lease, expected, next, "signed", CancellationToken.None);
}
