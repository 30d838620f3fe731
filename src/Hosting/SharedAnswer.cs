namespace TransparencyLog.Hosting;

/// <summary>
/// An answer about the state of a server. A small answer is made for each request. A large one costs time and memory in proportion to the number of logs or
/// witnesses. So it is made at most once a second, and all requests in between are sent the same bytes (N-06). Thread-safe.
/// </summary>
/// <typeparam name="T">The answer. It does not change once it is made.</typeparam>
/// <param name="make">Makes the answer from the present state.</param>
/// <param name="length">The length of an answer in bytes.</param>
/// <param name="time">Measures the second.</param>
internal sealed class SharedAnswer<T>(Func<T> make, Func<T, int> length, TimeProvider time)
    where T : class
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private readonly Lock _making = new();
    private T? _large;          // guarded by _making; the last answer, or null when it was small
    private long _madeAt;       // guarded by _making
    private bool _wasSmall;     // volatile

    /// <summary>The present answer, or one made less than a second ago.</summary>
    public T Get()
    {
        if (Volatile.Read(ref _wasSmall))
        {
            T small = make();
            if (length(small) <= LargeAnswers.Least) return small;
            Volatile.Write(ref _wasSmall, false);
        }

        // Of several requests at the same time, the first makes the answer and the others wait for it.
        lock (_making)
        {
            if (_large is T known && time.GetElapsedTime(_madeAt) < Fresh) return known;
            T made = make();
            bool isLarge = length(made) > LargeAnswers.Least;
            (_large, _madeAt) = (isLarge ? made : null, time.GetTimestamp());
            Volatile.Write(ref _wasSmall, !isLarge);
            return made;
        }
    }
}
