// Standard output and standard error of a server. Neither may stop it: a reader that has stopped reading is the reader's trouble.

using System.Globalization;

namespace TransparencyLog.Hosting;

/// <summary>The two streams of this process, each behind a queue of its own.</summary>
internal static class StandardStreams
{
    /// <summary>How long the end of the process waits for lines that are still queued.</summary>
    private static readonly TimeSpan LastWait = TimeSpan.FromSeconds(1);

    /// <summary>The log and everything else for people.</summary>
    public static LineQueue Error { get; } = new(bytes => Descriptor.Write(Descriptor.Error, bytes), DroppedLines);

    /// <summary>The line that programs read.</summary>
    public static LineQueue Output { get; } = new(bytes => Descriptor.Write(Descriptor.Output, bytes));

    /// <summary>Writes a line for people: printable ASCII, whatever is in the message.</summary>
    public static void Say(string program, string message) => Error.Write(LineOf(program, message));

    /// <summary>The line that <see cref="Say"/> writes.</summary>
    public static string LineOf(string program, string message) => $"{program}: {PrintableText.Escape(message)}";

    /// <summary>What is queued is written, or given up.</summary>
    public static void End()
    {
        Output.Flush(LastWait);
        Error.Flush(LastWait);
    }

    /// <summary>
    /// Whether the process was started with both streams; says so where it can. A closed descriptor is given to the next file that is opened, a file of the store perhaps, and
    /// lines for people would be written into that. What a process inherits never has the flag that closes a descriptor at exec; what the runtime and we open always has it.
    /// </summary>
    public static bool AreUsable(string program)
    {
        // Nothing can be said without standard error: the exit code has to do.
        if (!IsInherited(Descriptor.Error)) return false;
        if (IsInherited(Descriptor.Output)) return true;
        Say(program, "standard output is closed: it carries the lines that programs read. Redirect it, to /dev/null if nothing reads it");
        End();
        return false;
    }

    private static bool IsInherited(int descriptor)
    {
        const string Field = "flags:";
        const int CloseOnExec = 0x80000; // O_CLOEXEC, the same on every processor we run on
        try
        {
            string? flags = File.ReadLines(string.Create(CultureInfo.InvariantCulture, $"/proc/self/fdinfo/{descriptor}")).FirstOrDefault(line => line.StartsWith(Field, StringComparison.Ordinal));
            return flags is null || (Convert.ToInt32(flags[Field.Length..].Trim(), 8) & CloseOnExec) == 0;
        }
        catch (Exception failure) when (failure is FileNotFoundException)
        {
            return false;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return true; // no /proc: nothing is known
        }
    }

    private static string DroppedLines(long lines) => string.Create(CultureInfo.InvariantCulture, $"{lines} lines of this log were dropped, because nobody read them");
}
