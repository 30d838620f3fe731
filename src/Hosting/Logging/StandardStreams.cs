// Standard output and standard error of a server. A reader that stops reading must not stop the server.

using System.Globalization;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>The two streams of this process, each with a separate queue.</summary>
internal static class StandardStreams
{
    /// <summary>How long the process waits at its end for the queued lines of each stream.</summary>
    private static readonly TimeSpan LastWait = TimeSpan.FromSeconds(1);

    /// <summary>For the log and all other messages to people.</summary>
    public static LineQueue Error { get; } = new(bytes => Descriptor.Write(Descriptor.Error, bytes), DroppedLines);

    /// <summary>For the lines that programs read.</summary>
    public static LineQueue Output { get; } = new(bytes => Descriptor.Write(Descriptor.Output, bytes));

    /// <summary>Writes a line for people, in printable ASCII whatever the message contains.</summary>
    public static void Say(string program, string message) => Error.Write(LineOf(program, message));

    /// <summary>The line that <see cref="Say"/> writes.</summary>
    public static string LineOf(string program, string message) => $"{program}: {PrintableText.Escape(message)}";

    /// <summary>Writes the queued lines, and gives up after a limited time.</summary>
    public static void End()
    {
        Output.Flush(LastWait);
        Error.Flush(LastWait);
    }

    /// <summary>Whether the process was started with both streams. When only standard output is missing, writes an error to standard error.</summary>
    public static bool AreUsable(string program)
    {
        // Nothing can be written without standard error: only the exit code reports it.
        if (!InheritedDescriptor.IsWritable(InheritedDescriptor.Error)) return false;
        if (InheritedDescriptor.IsWritable(InheritedDescriptor.Output)) return true;
        Say(program, InheritedDescriptor.NoOutput);
        End();
        return false;
    }

    private static string DroppedLines(long lines) => string.Create(CultureInfo.InvariantCulture, $"{lines} lines of this log were dropped, because nobody read them");
}
