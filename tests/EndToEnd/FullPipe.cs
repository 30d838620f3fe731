namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A stream that takes nothing more: a pipe that nobody reads, filled to the brim.</summary>
internal static class FullPipe
{
    private const string Fill = "mkfifo \"$1\" && exec 3<>\"$1\" && dd if=/dev/zero of=\"$1\" bs=4096 oflag=nonblock 2> /dev/null; shift; exec \"$@\" ";

    /// <summary>Starts a program with one of its streams on such a pipe. The process is the program: the shell that fills the pipe becomes it.</summary>
    /// <param name="pipe">Where the pipe is made.</param>
    /// <param name="redirection">The stream, as the shell redirects it to descriptor 3: <c>2>&amp;3</c>.</param>
    /// <param name="program">The program.</param>
    /// <param name="arguments">Its arguments.</param>
    /// <param name="environment">More variables.</param>
    public static RunningProgram Start(string pipe, string redirection, string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null) =>
        RunningProgram.Start("sh", ["-c", Fill + redirection, "sh", pipe, program, .. arguments], environment);
}
