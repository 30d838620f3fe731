// A bound on the memory that slow clients can hold in total. Memory is counted before it is used: what does not fit is refused with 503, and costs nothing.

namespace TransparencyLog.Hosting;

/// <summary>Counts bytes that are in use, up to a limit. An array that several requests share counts once. Thread-safe.</summary>
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

    /// <summary>Counts bytes that are not allocated yet; null when there is no room for them.</summary>
    public Share? TryTake(long bytes)
    {
        lock (_counting)
        {
            if (_taken + bytes > most) return null;
            _taken += bytes;
            return new Share(this, bytes, null);
        }
    }

    /// <summary>Counts an array that exists, unless another request holds it already; null when there is no room for it. All of the array counts, whatever is sent of it.</summary>
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

    /// <summary>What one request has counted; disposing it returns the bytes.</summary>
    public sealed class Share : IDisposable
    {
        private readonly ByteBudget _budget;
        private long _bytes;    // guarded by the lock of the budget, as is the next
        private byte[]? _array;

        internal Share(ByteBudget budget, long bytes, byte[]? array)
        {
            _budget = budget;
            _bytes = bytes;
            _array = array;
        }

        /// <summary>From now on the share counts this array in the place of the bytes that were reserved for it.</summary>
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

/// <summary>There is no room for a large body or answer now. Answered with 503; the message is for the client.</summary>
internal sealed class NoRoomException(string message) : Exception(message)
{
    /// <summary>Slow peers end within seconds to minutes, fast ones at once.</summary>
    public const int RetryAfterSeconds = 1;

    public static NoRoomException ForAnswers() => new("as many large answers are under way as there is memory for");
}
