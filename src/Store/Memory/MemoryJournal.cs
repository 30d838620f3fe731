namespace TransparencyLog.Store;

/// <summary>The journal of a store in memory. Everything in its state is guarded by the gate of the store.</summary>
internal sealed class MemoryJournal(MemoryStore store, MemoryJournal.State state, MemoryRegister.State register, TimeProvider time)
    : IJournal
{
    private bool _inFlight;
    private bool _isFull;

    /// <inheritdoc/>
    public long FirstIndex
    {
        get
        {
            lock (store.Gate) return state.FirstIndex;
        }
    }

    /// <inheritdoc/>
    public long NextIndex
    {
        get
        {
            lock (store.Gate) return state.Next;
        }
    }

    /// <inheritdoc/>
    public bool IsFull => Volatile.Read(ref _isFull);

    /// <inheritdoc/>
    public async ValueTask<AppendAnswer> AppendAsync(JournalBatch batch, CancellationToken stop)
    {
        if (batch.Count == 0) throw new ArgumentException("a batch holds at least one entry", nameof(batch));
        if (batch.Id == Guid.Empty) throw new ArgumentException("a batch has an id", nameof(batch));
        if (Interlocked.Exchange(ref _inFlight, true)) throw new InvalidOperationException("an append is in flight");
        try
        {
            while (true)
            {
                Task changed = state.Changed.Next, ended = store.Changed.Next;
                lock (store.Gate)
                {
                    store.ThrowIfFenced_NeedsLock();
                    if (TryAppend_NeedsLock(batch) is AppendAnswer answer) return answer;
                }

                if (!stop.CanBeCanceled) throw new StoreException($"the journal in memory has no room: {state.MaxBytes} bytes of entries");
                stop.ThrowIfCancellationRequested();
                Volatile.Write(ref _isFull, true);
                await Task.WhenAny(changed, ended).WaitAsync(stop).ConfigureAwait(false);
            }
        }
        finally
        {
            Volatile.Write(ref _isFull, false);
            Volatile.Write(ref _inFlight, false);
        }
    }

    /// <inheritdoc/>
    public IJournalReader Read(long from) => Follow(from);

    /// <inheritdoc/>
    public IJournalFollower Follow(long from)
    {
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            ArgumentOutOfRangeException.ThrowIfLessThan(from, state.FirstIndex);
            ArgumentOutOfRangeException.ThrowIfGreaterThan(from, state.Next);
            return new Position(store, state, from);
        }
    }

    /// <inheritdoc/>
    public ValueTask TrimAsync(long below, CancellationToken stop)
    {
        lock (store.Gate)
        {
            store.ThrowIfFenced_NeedsLock();
            ArgumentOutOfRangeException.ThrowIfGreaterThan(below, state.Next);
            state.Trim(below);
        }

        state.Changed.Set();
        return ValueTask.CompletedTask;
    }

    /// <inheritdoc/>
    public ValueTask<StreamHead?> FindHeadAsync(string stream, CancellationToken stop)
    {
        JournalCondition.EncodeName(stream);
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            return ValueTask.FromResult(state.HeadOf(stream));
        }
    }

    /// <inheritdoc/>
    public ValueTask<KeyedAnswer?> FindKeyAsync(string key, CancellationToken stop)
    {
        JournalCondition.EncodeName(key);
        lock (store.Gate)
        {
            store.ThrowIfEnded_NeedsLock();
            return ValueTask.FromResult(state.AnswerOf(key, time.GetUtcNow()));
        }
    }

    /// <summary>Appends the batch; null where there is no room.</summary>
    private AppendAnswer? TryAppend_NeedsLock(JournalBatch batch)
    {
        DateTimeOffset now = time.GetUtcNow();
        state.Forget(now);
        if (state.FirstOf(batch) is long first) return AppendAnswer.Stored(first);
        if (register.Halted is string evidence) throw new StoreHaltedException($"the log is halted: {evidence}");
        ConditionCheck check = ConditionCheck.Run(batch, state.Next, state.HeadOf, key => state.AnswerOf(key, now) is not null);
        if (check.Failed.Count > 0) return AppendAnswer.Refused(check.Failed);
        if (!state.HasRoomFor(batch)) return null;
        first = state.Append(batch, check, now);
        state.Changed.Set();
        return AppendAnswer.Stored(first);
    }

    /// <summary>What the journal holds.</summary>
    internal sealed class State
    {
        private readonly List<Stored> _batches = []; // oldest first, contiguous
        private readonly Dictionary<string, StreamHead> _heads = new(StringComparer.Ordinal);
        private readonly Dictionary<string, UsedKey> _keys = new(StringComparer.Ordinal);
        private readonly Queue<(string Key, DateTimeOffset Time)> _keysByTime = new();
        private readonly Dictionary<Guid, Stored> _ids = [];
        private readonly Queue<Guid> _idsByTime = new();
        private long _bytes;

        /// <summary>Set when entries were appended or trimmed, or the bound has changed.</summary>
        public Signal Changed { get; } = new();

        public long MaxBytes { get; set; }

        public long Next { get; private set; }

        public long FirstIndex => _batches.Count == 0 ? Next : _batches[0].First;

        /// <summary>The first index of a batch that was appended under the id of this one; null where the id is unknown.</summary>
        public long? FirstOf(JournalBatch batch)
        {
            if (!_ids.TryGetValue(batch.Id, out Stored? stored)) return null;
            if (stored.Count != batch.Count || stored.Length != batch.EntryBytes) throw MisusedId(batch);
            return stored.First;
        }

        public StreamHead? HeadOf(string stream) => _heads.TryGetValue(stream, out StreamHead head) ? head : null;

        public KeyedAnswer? AnswerOf(string key, DateTimeOffset now) =>
            _keys.TryGetValue(key, out UsedKey used) && now - used.Time < IJournal.KeyLifetime ? used.Answer : null;

        public bool HasRoomFor(JournalBatch batch) => MaxBytes > 0 && (_bytes == 0 || batch.EntryBytes <= MaxBytes - _bytes);

        public long Append(JournalBatch batch, ConditionCheck check, DateTimeOffset now)
        {
            Stored stored = new(Next, batch.Count, batch.EntryBytes, now) { Bundle = batch.Entries.ToArray() };
            _batches.Add(stored);
            _bytes += stored.Length;
            Next += stored.Count;
            _ids.Add(batch.Id, stored);
            _idsByTime.Enqueue(batch.Id);
            foreach ((string stream, StreamHead head) in check.Heads) _heads[stream] = head;
            foreach ((string key, KeyedAnswer answer) in check.Keys)
            {
                _keys[key] = new UsedKey(answer, now);
                _keysByTime.Enqueue((key, now));
            }

            return stored.First;
        }

        /// <summary>The batch that holds an entry, which is neither trimmed nor beyond the end.</summary>
        public Stored Find(long index)
        {
            int low = 0, high = _batches.Count - 1;
            while (low < high)
            {
                int middle = (low + high + 1) / 2;
                if (_batches[middle].First <= index) low = middle;
                else high = middle - 1;
            }

            return _batches[low];
        }

        /// <summary>Removes the batches all of whose entries are below an index.</summary>
        public void Trim(long below)
        {
            int whole = 0;
            while (whole < _batches.Count && _batches[whole].First + _batches[whole].Count <= below)
            {
                _bytes -= _batches[whole].Length;
                _batches[whole].Bundle = null;
                whole++;
            }

            _batches.RemoveRange(0, whole);
        }

        /// <summary>Forgets keys and ids whose time is over, but never the id of the newest append.</summary>
        public void Forget(DateTimeOffset now)
        {
            while (_idsByTime.Count > 1 && now - _ids[_idsByTime.Peek()].Time >= IJournal.IdLifetime)
            {
                _ids.Remove(_idsByTime.Dequeue());
            }

            while (_keysByTime.TryPeek(out (string Key, DateTimeOffset Time) oldest) && now - oldest.Time >= IJournal.KeyLifetime)
            {
                // It may have been used again since.
                if (_keys.TryGetValue(oldest.Key, out UsedKey used) && used.Time == oldest.Time) _keys.Remove(oldest.Key);
                _keysByTime.Dequeue();
            }
        }

        private static ArgumentException MisusedId(JournalBatch batch) =>
            new($"the id {batch.Id} names an append of other entries", nameof(batch));
    }

    /// <summary>A batch that was appended. Its entries are null once they are trimmed.</summary>
    internal sealed record Stored(long First, int Count, int Length, DateTimeOffset Time)
    {
        public byte[]? Bundle { get; set; }
    }

    /// <summary>The answer under a key, and when it was given.</summary>
    private readonly record struct UsedKey(KeyedAnswer Answer, DateTimeOffset Time);

    private sealed class Position(MemoryStore store, State state, long next) : IJournalFollower
    {
        private long _next = next;

        public ValueTask<JournalEntries?> ReadAsync(CancellationToken stop)
        {
            stop.ThrowIfCancellationRequested();
            lock (store.Gate)
            {
                store.ThrowIfEnded_NeedsLock();
                if (_next < state.FirstIndex)
                {
                    throw new EntriesTrimmedException($"entries from {_next} on were trimmed; the journal begins at {state.FirstIndex}");
                }

                if (_next == state.Next) return ValueTask.FromResult<JournalEntries?>(null);
                Stored found = state.Find(_next);
                _next = found.First + found.Count;
                return ValueTask.FromResult<JournalEntries?>(new JournalEntries(found.First, found.Count, found.Bundle));
            }
        }

        public async ValueTask WaitAsync(CancellationToken stop)
        {
            Task changed = state.Changed.Next, ended = store.Changed.Next;
            lock (store.Gate)
            {
                store.ThrowIfEnded_NeedsLock();
                if (_next != state.Next) return;
            }

            await Task.WhenAny(changed, ended).WaitAsync(stop).ConfigureAwait(false);
        }

        public ValueTask DisposeAsync() => ValueTask.CompletedTask;
    }
}
