// Where instrumented code counts. The code under test is a copy that counts each edge of its control flow in a byte of one map; what the fuzzer
// keeps, and what it calls new, is decided by this map alone.

using System.Runtime.InteropServices;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>The map of edges. <see cref="Instrumenter"/> makes code that writes to it, so both are public.</summary>
public static unsafe class Coverage
{
    /// <summary>Room for more edges than all our assemblies have together.</summary>
    public const int Size = 1 << 16;

    /// <summary>A counter for each edge, which wraps. Static and never changed, so that the compiler knows its address.</summary>
    public static readonly byte* Map = (byte*)NativeMemory.AllocZeroed(Size);

    internal static Span<byte> Counters(int edges) => new(Map, edges);
}
