using System.Globalization;
using System.Text;

namespace TransparencyLog.Cli;

/// <summary>The exit codes of the process (spec/interface.md).</summary>
internal readonly record struct ExitCode(int Value)
{
    public static readonly ExitCode Ok = new(0);

    /// <summary>The claim does not hold: a proof, a log, a policy.</summary>
    public static readonly ExitCode DoesNotHold = new(1);

    /// <summary>Usage or configuration: the command line or a file that it names has to change.</summary>
    public static readonly ExitCode Usage = new(2);

    /// <summary>State that cannot be used: in use, damaged, not a log.</summary>
    public static readonly ExitCode State = new(3);

    /// <summary>Trouble that may pass: a later attempt may succeed.</summary>
    public static readonly ExitCode Trouble = new(4);

    public static implicit operator int(ExitCode code) => code.Value;
}

/// <summary>Ends a command with a code and one line for people.</summary>
internal sealed class CliException(ExitCode code, string message) : Exception(message)
{
    public ExitCode Code { get; } = code;
}

/// <summary>
/// The streams and the clock of a command. Text and bytes for programs go to <see cref="Out"/>, everything for people goes to <see cref="Error"/>.
/// <see cref="In"/> is null when standard input is closed.
/// </summary>
internal sealed record Surroundings(Stream? In, Stream Out, TextWriter Error, TimeProvider Time)
{
    /// <summary>Whether <see cref="Error"/> is a terminal, where a person reads it as it is written.</summary>
    public bool ErrorIsTerminal { get; init; }

    /// <summary>Standard input, for a command that needs it. Throws when it is closed or write-only.</summary>
    public Stream RequireInput() => In ?? throw new CliException(ExitCode.Usage, "standard input is closed or write-only: redirect it from a file or a pipe, or name a file instead of -");

    /// <summary>
    /// Writes a line for programs, in printable ASCII: names and origins in it come from others, and standard output may be a terminal. Flushes immediately, so
    /// that no index that the log has answered is lost in a buffer.
    /// </summary>
    public Task PrintAsync(string line, CancellationToken stop) => PrintExactAsync(PrintableText.Escape(line), stop);

    /// <summary>Writes a line for programs byte for byte. Only for text of our own in which every character counts, such as a new vkey.</summary>
    public async Task PrintExactAsync(string line, CancellationToken stop)
    {
        await Out.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), stop);
        await Out.FlushAsync(stop);
    }

    /// <summary>Writes what a log, or a copy of a log, holds. A log that has signed nothing has the size and root of the empty tree.</summary>
    public async Task PrintTreeAsync(long entries, long segments, long? size, Hash? root, CancellationToken stop)
    {
        await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"entries {entries}"), stop);
        await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"segments {segments}"), stop);
        await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"size {size ?? 0}"), stop);
        await PrintAsync($"root {root ?? MerkleHash.Empty}", stop);
    }

    /// <summary>Writes a line for people.</summary>
    public Task SayAsync(string line) => Error.WriteLineAsync($"tlog: {PrintableText.Escape(line)}");

    /// <summary>Prints a damage as a line for programs. Returns the exception that ends the command with exit code 1.</summary>
    public async Task<CliException> EndAsync(Damage damage, string damaged, string consequence, CancellationToken stop)
    {
        await PrintAsync(damage.ToString(), stop);
        return new CliException(ExitCode.DoesNotHold, $"{damaged}; the line on standard output names the first place; {consequence}");
    }
}
