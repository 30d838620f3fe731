namespace TransparencyLog.Hosting;

/// <summary>
/// An answer about the state of a server. While it is small it is made for each request. A large one costs time and memory in proportion to the logs or witnesses there are, so it
/// is made at most once a second, and all requests in between are sent the same bytes (N-06). Thread-safe.
/// </summary>
/// <typeparam name="T">The answer; it never changes once made.</typeparam>
/// <param name="make">Makes the answer as of now.</param>
/// <param name="length">How many bytes it has.</param>
/// <param name="time">Measures the second.</param>
internal sealed class SharedAnswer<T>(Func<T> make, Func<T, int> length, TimeProvider time)
    where T : class
{
    private static readonly TimeSpan Fresh = TimeSpan.FromSeconds(1);

    private readonly Lock _making = new();
    private T? _large;          // the last answer; null when it was small. Written by the holder of _making
    private long _madeAt;       // by _making
    private bool _wasSmall;     // volatile

    /// <summary>The answer as of now, or of less than a second ago.</summary>
    public T Get()
    {
        if (Volatile.Read(ref _wasSmall))
        {
            T small = make();
            if (length(small) <= LargeAnswers.Least) return small;
            Volatile.Write(ref _wasSmall, false);
        }

        // The first of those that ask at the same time makes it, the others wait for that.
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
