using System.Collections.Concurrent;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>Makes storage calls below one directory fail, while other tests go on undisturbed.</summary>
internal sealed class FaultScope : IDisposable
{
    public const int Io = 5, NoSpace = 28, TooManyFiles = 24;

    private static readonly ConcurrentDictionary<FaultScope, bool> Open = new();

    private readonly string _below;
    private readonly Func<string, string, bool, int> _fault;

    static FaultScope() => Posix.Fault = (call, path, done) =>
    {
        foreach (FaultScope scope in Open.Keys)
        {
            if (path.StartsWith(scope._below, StringComparison.Ordinal) && scope._fault(call, path, done) is int errno and > 0) return errno;
        }

        return 0;
    };

    private FaultScope(string below, Func<string, string, bool, int> fault)
    {
        _below = below;
        _fault = fault;
        Open[this] = true;
    }

    /// <summary>Told of each call before it is made (false) and after (true); answers the errno to fail with, or 0.</summary>
    public static FaultScope On(string below, Func<string, string, bool, int> fault) => new(below, fault);

    /// <summary>Sees each call that went well.</summary>
    public static FaultScope Watch(string below, Action<string, string> seen) => new(below, (call, path, done) =>
    {
        if (done) seen(call, path);
        return 0;
    });

    /// <summary>The n-th of the calls that change the disk fails, before it does anything or after it has done it all; later ones go well.</summary>
    public static FaultScope Nth(string below, int n, int errno, bool after)
    {
        int count = 0;
        return new FaultScope(below, (call, path, done) => done == after && call is not ("open" or "pread") && Interlocked.Increment(ref count) == n ? errno : 0);
    }

    public void Dispose() => Open.TryRemove(this, out _);
}
