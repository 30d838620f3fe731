// The loop: take an input, change it, run the parser, keep what took an edge that no other took, or took one more often. And the oracles that hold
// for every parser: what comes out of it, its time, what it allocates.

using System.Diagnostics;
using System.Numerics;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>An input on which something did not hold.</summary>
/// <param name="What">The oracle in words, and where.</param>
/// <param name="Input">The smallest input that was found for it.</param>
internal sealed record Finding(string What, byte[] Input);

/// <summary>Fuzzes one target. Deterministic: the same seed and inputs give the same runs, and time says only where they end. One thread.</summary>
internal sealed class Fuzzer
{
    /// <summary>Changes of one input before another is taken.</summary>
    private const int Energy = 32;

    /// <summary>Runs for making one input shorter.</summary>
    private const int MostTries = 2000;

    private readonly Target _target;
    private readonly Instrumentation _code;
    private readonly Chance _chance;
    private readonly Mutator _mutator;
    private readonly byte[] _seen;                        // for each edge the classes of counts that were seen
    private readonly Entry?[] _best;                      // for each edge the smallest input that takes it
    private readonly List<Entry> _corpus = [];
    private readonly List<Entry> _favoured = [];
    private readonly List<byte[]> _words;
    private readonly SortedDictionary<string, Finding> _findings = new(StringComparer.Ordinal);
    private readonly bool[] _wordKnown;

    public Fuzzer(Target target, Instrumentation code, ulong seed)
    {
        _target = target;
        _code = code;
        _chance = new Chance(seed);
        _mutator = new Mutator(_chance, target.MaxLength);
        _seen = new byte[code.Edges.Count];
        _best = new Entry?[code.Edges.Count];
        _words = [.. target.Words];
        _wordKnown = new bool[code.Words.Count];
    }

    /// <summary>Called with each input before it is run.</summary>
    public Action<byte[]>? Before { get; init; }

    /// <summary>Findings after which it ends: inputs of one kind are one, and a parser with many is known to be broken.</summary>
    public int MaxFindings { get; init; } = 20;

    public long Executions { get; private set; }

    public IReadOnlyList<Finding> Findings => [.. _findings.Values];

    public IReadOnlyList<byte[]> Corpus => [.. _corpus.Select(entry => entry.Bytes)];

    /// <summary>Edges taken in the types that the target is about, edges there are in them, and edges taken everywhere.</summary>
    public (int Covered, int Known, int Everywhere) Edges()
    {
        HashSet<string> types = [.. _target.Parsers.Select(type => type.FullName!)];
        int covered = 0, known = 0, everywhere = 0;
        for (int i = 0; i < _seen.Length; i++)
        {
            bool inTarget = types.Contains(_code.Edges[i]);
            if (inTarget) known++;
            if (_seen[i] == 0) continue;
            everywhere++;
            if (inTarget) covered++;
        }

        return (covered, known, everywhere);
    }

    /// <summary>Runs an input as it is, and keeps it when it is new in some way.</summary>
    public void Add(byte[] input)
    {
        if (Execute(input) && Take()) Keep(input);
    }

    /// <summary>Fuzzes until one of the two is over.</summary>
    public void Run(long executions, TimeSpan time)
    {
        if (_corpus.Count == 0) Add([]);
        if (_corpus.Count == 0) Keep([]);
        long start = Stopwatch.GetTimestamp(), end = executions > long.MaxValue - Executions ? long.MaxValue : Executions + executions;
        while (Executions < end && Stopwatch.GetElapsedTime(start) < time && _findings.Count < MaxFindings)
        {
            Entry parent = Pick();
            parent.Picks++;
            for (int i = 0; i < Energy; i++)
            {
                byte[] input = _mutator.Mutate(parent.Bytes, _corpus[_chance.Below(_corpus.Count)].Bytes, _words);
                if (_target.FixUp is not null && !_chance.OneIn(4)) input = _target.FixUp(input);
                if (Execute(input) && Take()) Keep(input);
            }
        }
    }

    /// <summary>Inputs that take every edge that was taken: chosen in one pass, the smallest first, and each made shorter while it takes those for which it was chosen.</summary>
    public IReadOnlyList<byte[]> Minimal()
    {
        List<byte[]> kept = [];
        HashSet<int> covered = [];
        foreach (Entry entry in _corpus.OrderBy(entry => entry.Bytes.Length))
        {
            int[] own = [.. Taken(entry.Bytes).Except(covered)];
            if (own.Length == 0) continue;
            byte[] shorter = Shorter(entry.Bytes, own);
            covered.UnionWith(Taken(shorter));
            kept.Add(shorter);
        }

        return kept;
    }

    private byte[] Shorter(byte[] input, int[] edges)
    {
        int left = MostTries;
        for (int size = Math.Max(1, input.Length / 2); size > 0; size /= 2)
        {
            for (int from = 0; from < input.Length && left > 0; left--)
            {
                byte[] candidate = [.. input[..from], .. input[Math.Min(from + size, input.Length)..]];
                if (Takes(candidate) || (_target.FixUp is not null && Takes(candidate = _target.FixUp(candidate)))) input = candidate;
                else from += size;
            }
        }

        return input;

        bool Takes(byte[] candidate) => edges.All(Taken(candidate).Contains);
    }

    private HashSet<int> Taken(byte[] input)
    {
        HashSet<int> taken = [];
        if (Once(input) is not null) return taken;
        Span<byte> counters = Coverage.Counters(_seen.Length);
        for (int i = 0; i < counters.Length; i++)
        {
            if (counters[i] != 0) taken.Add(i);
        }

        return taken;
    }

    private Entry Pick()
    {
        if (_chance.OneIn(4) || _favoured.Count == 0) return _corpus[_chance.Below(_corpus.Count)];
        Entry one = _favoured[_chance.Below(_favoured.Count)], other = _favoured[_chance.Below(_favoured.Count)];
        return one.Picks <= other.Picks ? one : other;
    }

    /// <summary>False for an input on which something did not hold; else the counters are those of its run.</summary>
    private bool Execute(byte[] input)
    {
        Executions++;
        Before?.Invoke(input);
        long start = Stopwatch.GetTimestamp();
        string? what = Once(input);
        if (what is null && Stopwatch.GetElapsedTime(start) > _target.Time && IsSlow(input)) what = Slow;
        if (what is null) return true;
        if (_findings.ContainsKey(Kind(what))) return false;
        byte[] smallest = Smallest(input, Kind(what));
        _findings.Add(Kind(what), new Finding(Once(smallest) ?? what, smallest));
        return false;
    }

    private const string Slow = "time: longer than allowed";

    /// <summary>What makes two findings one: the first line, without its numbers.</summary>
    private static string Kind(string what) => new([.. what.TakeWhile(letter => letter != '\n').Where(letter => !char.IsAsciiDigit(letter))]);

    /// <summary>Whether a run takes too much of the processor. A collection or a busy machine is no finding: the best of three counts.</summary>
    private bool IsSlow(byte[] input)
    {
        for (int i = 0; i < 3; i++)
        {
            TimeSpan start = ThreadTime.Now;
            Once(input);
            if (ThreadTime.Now - start <= _target.Time) return false;
        }

        return true;
    }

    private string? Once(byte[] input)
    {
        Coverage.Counters(_seen.Length).Clear();
        byte[] given = [.. input];
        long allocated = GC.GetAllocatedBytesForCurrentThread();
        string? what = null;
        try
        {
            _target.Run(given);
        }
        catch (Exception failure)
        {
            what = failure is OracleException ? $"oracle: {failure.Message}" : $"exception: {failure.GetType().Name} in {Thrower(failure)}\n{failure}";
        }

        allocated = GC.GetAllocatedBytesForCurrentThread() - allocated;
        if (what is null && allocated > _target.Allocation + ((long)_target.AllocationPerByte * input.Length)) what = $"memory: {allocated} bytes allocated";
        return what;
    }

    private static string Thrower(Exception failure)
    {
        StackTrace trace = new(failure);
        System.Reflection.MethodBase? method = trace.GetFrames().Select(frame => frame.GetMethod())
            .FirstOrDefault(method => method?.DeclaringType?.Assembly.GetName().Name is string name && (name.StartsWith("TransparencyLog", StringComparison.Ordinal) || name.StartsWith("tlog", StringComparison.Ordinal)));
        return method is null ? "?" : $"{method.DeclaringType!.Name}.{method.Name}";
    }

    /// <summary>Looks at the counters of the run before; true when some edge was taken for the first time, or in another class of counts.</summary>
    private bool Take()
    {
        bool isNew = false;
        Span<byte> counters = Coverage.Counters(_seen.Length);
        for (int at = 0; at < counters.Length;)
        {
            int skip = counters[at..].IndexOfAnyExcept((byte)0);
            if (skip < 0) break;
            at += skip;
            byte kind = (byte)(1 << CountClass(counters[at]));
            if ((_seen[at] & kind) == 0)
            {
                _seen[at] |= kind;
                isNew = true;
            }

            at++;
        }

        return isNew;
    }

    /// <summary>1, 2, 3, 4-7, 8-15, 16-31, 32-127, more.</summary>
    private static int CountClass(byte count) => count switch
    {
        <= 3 => count - 1,
        <= 31 => BitOperations.Log2(count) + 1,
        <= 127 => 6,
        _ => 7,
    };

    private void Keep(byte[] input)
    {
        Entry entry = new(input);
        _corpus.Add(entry);
        Span<byte> counters = Coverage.Counters(_seen.Length);
        for (int i = 0; i < counters.Length; i++)
        {
            if (counters[i] == 0 || (_best[i] is Entry best && best.Bytes.Length <= input.Length)) continue;
            if (_best[i] is Entry before) before.Wins--;
            _best[i] = entry;
            entry.Wins++;
        }

        _favoured.Clear();
        _favoured.AddRange(_corpus.Where(one => one.Wins > 0));

        // The constants of the methods that it reached first.
        for (int i = 0; i < _wordKnown.Length; i++)
        {
            (int edge, byte[] word) = _code.Words[i];
            if (_wordKnown[i] || counters[edge] == 0) continue;
            _wordKnown[i] = true;
            if (_words.Exists(other => other.AsSpan().SequenceEqual(word))) continue;
            _words.Add(word);
        }
    }

    /// <summary>A smaller input of the same kind: pieces go while it stays so, for some seconds at most; then bytes become plain ones.</summary>
    private byte[] Smallest(byte[] input, string kind)
    {
        long start = Stopwatch.GetTimestamp();
        TimeSpan limit = TimeSpan.FromSeconds(kind == Slow ? 1 : 3);
        for (int size = Math.Max(1, input.Length / 2); size > 0; size /= 2)
        {
            for (int from = 0; from < input.Length && Stopwatch.GetElapsedTime(start) < limit;)
            {
                byte[] shorter = [.. input[..from], .. input[Math.Min(from + size, input.Length)..]];
                if (Same(ref shorter)) input = shorter;
                else from += size;
            }
        }

        for (int i = 0; i < input.Length && Stopwatch.GetElapsedTime(start) < limit; i++)
        {
            if (input[i] == (byte)'0') continue;
            byte[] plainer = [.. input];
            plainer[i] = (byte)'0';
            if (Same(ref plainer)) input = plainer;
        }

        return input;

        bool Same(ref byte[] candidate) => Is(candidate) || (_target.FixUp is not null && Is(candidate = _target.FixUp(candidate)));

        bool Is(byte[] candidate)
        {
            string? what = kind == Slow ? IsSlow(candidate) ? Slow : null : Once(candidate);
            return what is not null && Kind(what) == kind;
        }
    }

    private sealed class Entry(byte[] bytes)
    {
        public byte[] Bytes { get; } = bytes;

        /// <summary>Edges for which it is the smallest.</summary>
        public int Wins { get; set; }

        public int Picks { get; set; }
    }
}
