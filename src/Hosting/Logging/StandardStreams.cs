// Standard output and standard error of a server. Neither may stop it: a reader that has stopped reading is the reader's trouble.

using System.Globalization;
using TransparencyLog.Storage;

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

    /// <summary>Whether the process was started with both streams; says so where it can.</summary>
    public static bool AreUsable(string program)
    {
        // Nothing can be said without standard error: the exit code has to do.
        if (!InheritedDescriptor.IsWritable(InheritedDescriptor.Error)) return false;
        if (InheritedDescriptor.IsWritable(InheritedDescriptor.Output)) return true;
        Say(program, InheritedDescriptor.NoOutput);
        End();
        return false;
    }

    private static string DroppedLines(long lines) => string.Create(CultureInfo.InvariantCulture, $"{lines} lines of this log were dropped, because nobody read them");
}
