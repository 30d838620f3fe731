// Bounds the memory that slow clients can hold in total. Bytes are counted before they are used. A request that does not fit is refused with 503 and uses no
// memory.

namespace TransparencyLog.Hosting;

/// <summary>Counts the bytes in use, up to a limit. An array that several requests share counts once. Thread-safe.</summary>
/// <param name="most">Most bytes in use.</param>
internal sealed class ByteBudget(long most)
{
    private readonly Lock _counting = new();
    private readonly Dictionary<byte[], int> _holders = new(ReferenceEqualityComparer.Instance); // guarded by _counting
    private long _taken; // guarded by _counting

    /// <summary>How many bytes are free.</summary>
    public long Left
    {
        get
        {
            lock (_counting) return most - _taken;
        }
    }

    /// <summary>Counts bytes that are not allocated yet. Returns null when there is no room for them.</summary>
    public Share? TryTake(long bytes)
    {
        lock (_counting)
        {
            if (_taken + bytes > most) return null;
            _taken += bytes;
            return new Share(this, bytes, null);
        }
    }

    /// <summary>
    /// Counts an existing array, unless another request already holds it. Returns null when there is no room for it. The whole array counts, even when only
    /// part of it is sent.
    /// </summary>
    public Share? TryHold(byte[] array)
    {
        lock (_counting)
        {
            if (!_holders.ContainsKey(array) && _taken + array.Length > most) return null;
            Hold_NeedsLock(array);
            return new Share(this, 0, array);
        }
    }

    private void Hold_NeedsLock(byte[] array)
    {
        _holders.TryGetValue(array, out int holders);
        if (holders == 0) _taken += array.Length;
        _holders[array] = holders + 1;
    }

    private void Release_NeedsLock(byte[] array)
    {
        int holders = _holders[array];
        if (holders > 1)
        {
            _holders[array] = holders - 1;
            return;
        }

        _holders.Remove(array);
        _taken -= array.Length;
    }

    /// <summary>The bytes that one request has counted. Disposing it frees them.</summary>
    public sealed class Share : IDisposable
    {
        private readonly ByteBudget _budget;
        private long _bytes;    // guarded by the lock of the budget, as is _array
        private byte[]? _array;

        internal Share(ByteBudget budget, long bytes, byte[]? array)
        {
            _budget = budget;
            _bytes = bytes;
            _array = array;
        }

        /// <summary>From now on counts this array instead of the bytes that were reserved for it. The limit is not checked again.</summary>
        public void Become(byte[] array)
        {
            lock (_budget._counting)
            {
                _budget._taken -= _bytes;
                _bytes = 0;
                if (_array is not null) _budget.Release_NeedsLock(_array);
                _array = array;
                _budget.Hold_NeedsLock(array);
            }
        }

        public void Dispose()
        {
            lock (_budget._counting)
            {
                _budget._taken -= _bytes;
                _bytes = 0;
                if (_array is not null) _budget.Release_NeedsLock(_array);
                _array = null;
            }
        }
    }
}

/// <summary>There is no room for a large body or answer now. The server answers 503. The message is for the client.</summary>
internal sealed class NoRoomException(string message) : Exception(message)
{
    /// <summary>Value of Retry-After. Slow clients free their memory within seconds to minutes, fast ones immediately.</summary>
    public const int RetryAfterSeconds = 1;

    public static NoRoomException ForAnswers() => new("as many large answers are under way as there is memory for");
}
