// What is fuzzed: a parser, what has to hold of it for every input, and what helps to get deep into it.

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Something that must hold for every input and did not.</summary>
internal sealed class OracleException(string message) : Exception(message);

/// <summary>One parser under the fuzzer.</summary>
/// <param name="Name">Its name, and that of its folder of inputs.</param>
/// <param name="Run">
/// Runs the parser and checks what it made. It catches what the parser may throw by its contract; whatever else comes out of it is a finding.
/// </param>
/// <param name="Parsers">The types whose edges are told as its coverage.</param>
internal sealed record Target(string Name, Action<byte[]> Run, params Type[] Parsers)
{
    /// <summary>Inputs to begin with, beside those of the folder.</summary>
    public IEnumerable<byte[]> Seeds { get; init; } = [];

    /// <summary>Words of the format; the constants of the code come by themselves.</summary>
    public byte[][] Words { get; init; } = [];

    /// <summary>Makes checksums, lengths and IDs right again after three of four changes, so that what lies behind them is reached. Null for none.</summary>
    public Func<byte[], byte[]>? FixUp { get; init; }

    /// <summary>Longest input that is made: a little above what the parser takes, where that is not much.</summary>
    public int MaxLength { get; init; } = 8 * 1024;

    /// <summary>Most bytes that one run may allocate, beside <see cref="AllocationPerByte"/> for each byte of its input.</summary>
    public long Allocation { get; init; } = 1024 * 1024;

    /// <summary>Each byte of an input may become a character, a part of a list, and be formatted and compared, checks of this project included.</summary>
    public int AllocationPerByte { get; init; } = 32;

    /// <summary>Most time of the processor for one run, at best of three.</summary>
    public TimeSpan Time { get; init; } = TimeSpan.FromMilliseconds(10);

    /// <summary>Throws unless it holds.</summary>
    public static void Require(bool holds, string what)
    {
        if (!holds) throw new OracleException(what);
    }

    /// <summary>What was read and is written again has the same bytes: nothing is accepted that we would not write.</summary>
    public static void RequireSame(ReadOnlySpan<byte> read, ReadOnlySpan<byte> written, string what)
    {
        if (!read.SequenceEqual(written)) throw new OracleException($"{what}: accepted, and formatted to other bytes");
    }
}
