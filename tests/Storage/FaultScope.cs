using System.Collections.Concurrent;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>Makes storage calls below one directory go wrong, while other tests go on undisturbed.</summary>
internal sealed class FaultScope : IDisposable
{
    public const int Intr = 4, Io = 5, Access = 13, TooManyFiles = 24, NoSpace = 28, Loop = 40;

    private static readonly ConcurrentDictionary<FaultScope, bool> Open = new();

    private readonly string _below;
    private readonly Func<string, string, FaultAct> _decide;
    private readonly Action<string, string> _done;

    static FaultScope() => Posix.Fault = new OpenScopes();

    private FaultScope(string below, Func<string, string, FaultAct> decide, Action<string, string> done)
    {
        (_below, _decide, _done) = (below, decide, done);
        Open[this] = true;
    }

    public static FaultAct None => default;

    /// <summary>Fails before it does anything, or after it has done it all.</summary>
    public static FaultAct Fail(int errno, bool after = false) => new(after ? FaultKind.FailAfter : FaultKind.Fail, errno);

    /// <summary>Asked about each call before it is made; may hold it up.</summary>
    public static FaultScope On(string below, Func<string, string, FaultAct> decide) => new(below, decide, (_, _) => { });

    /// <summary>Sees each change of the disk that went well, or seems to have.</summary>
    public static FaultScope Watch(string below, Action<string, string> seen) => new(below, (_, _) => None, seen);

    /// <summary>The n-th of the calls that change the disk fails; later ones go well.</summary>
    public static FaultScope Nth(string below, int n, int errno, bool after)
    {
        int count = 0;
        return On(below, (call, _) => call is not ("open" or "pread" or "statx" or "readdir") && Interlocked.Increment(ref count) == n ? Fail(errno, after) : None);
    }

    public void Dispose() => Open.TryRemove(this, out _);

    private bool Covers(string path) => path.StartsWith(_below, StringComparison.Ordinal) && (path.Length == _below.Length || path[_below.Length] == '/');

    private sealed class OpenScopes : DiskFault
    {
        public override FaultAct Decide(string call, string path)
        {
            foreach (FaultScope scope in Open.Keys)
            {
                if (scope.Covers(path) && scope._decide(call, path) is FaultAct act && act.Kind != FaultKind.None) return act;
            }

            return None;
        }

        public override void Done(string call, string path)
        {
            foreach (FaultScope scope in Open.Keys)
            {
                if (scope.Covers(path)) scope._done(call, path);
            }
        }
    }
}
