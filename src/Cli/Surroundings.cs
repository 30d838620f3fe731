using System.Globalization;
using System.Text;

namespace TransparencyLog.Cli;

/// <summary>What the process exits with; spec/interface.md.</summary>
internal readonly record struct ExitCode(int Value)
{
    public static readonly ExitCode Ok = new(0);

    /// <summary>The claim does not hold: a proof, a log, a policy.</summary>
    public static readonly ExitCode DoesNotHold = new(1);

    /// <summary>Usage or configuration: another command line is needed.</summary>
    public static readonly ExitCode Usage = new(2);

    /// <summary>State that cannot be used: in use, not a log.</summary>
    public static readonly ExitCode State = new(3);

    /// <summary>Trouble that may pass.</summary>
    public static readonly ExitCode Trouble = new(4);

    public static implicit operator int(ExitCode code) => code.Value;
}

/// <summary>Ends a command with a code and one line for people.</summary>
internal sealed class CliException(ExitCode code, string message) : Exception(message)
{
    public ExitCode Code { get; } = code;
}

/// <summary>What a command has of the world: text and bytes for programs go to <see cref="Out"/>, everything for people to <see cref="Error"/>. <see cref="In"/> is null when it is closed.</summary>
internal sealed record Surroundings(Stream? In, Stream Out, TextWriter Error, TimeProvider Time)
{
    /// <summary>Whether a person looks at <see cref="Error"/> as it is written.</summary>
    public bool ErrorIsTerminal { get; init; }

    /// <summary>Standard input, of a command that needs it.</summary>
    public Stream RequireInput() => In ?? throw new CliException(ExitCode.Usage, "standard input is closed or write-only: redirect it from a file or a pipe, or name a file instead of -");

    /// <summary>
    /// Writes a line for programs, in printable ASCII: names and origins in it are foreign, and standard output may be a terminal. It is flushed at once: an index that was
    /// answered is not to be lost in a buffer.
    /// </summary>
    public Task PrintAsync(string line, CancellationToken stop) => PrintExactAsync(PrintableText.Escape(line), stop);

    /// <summary>Writes a line for programs byte for byte: one of our own, as a new vkey, in which every letter counts.</summary>
    public async Task PrintExactAsync(string line, CancellationToken stop)
    {
        await Out.WriteAsync(Encoding.UTF8.GetBytes(line + "\n"), stop);
        await Out.FlushAsync(stop);
    }

    /// <summary>Writes what a log, or a copy of one, was found to hold; of one that has signed nothing, the empty tree.</summary>
    public async Task PrintTreeAsync(long entries, long segments, long? size, Hash? root, CancellationToken stop)
    {
        await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"entries {entries}"), stop);
        await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"segments {segments}"), stop);
        await PrintAsync(string.Create(CultureInfo.InvariantCulture, $"size {size ?? 0}"), stop);
        await PrintAsync($"root {root ?? MerkleHash.Empty}", stop);
    }

    /// <summary>Writes a line for people.</summary>
    public Task SayAsync(string line) => Error.WriteLineAsync($"tlog: {PrintableText.Escape(line)}");

    /// <summary>Damage is a line for programs, and ends the command with exit code 1.</summary>
    public async Task<CliException> EndAsync(Damage damage, string damaged, string consequence, CancellationToken stop)
    {
        await PrintAsync(damage.ToString(), stop);
        return new CliException(ExitCode.DoesNotHold, $"{damaged}; the line on standard output names the first place; {consequence}");
    }
}
