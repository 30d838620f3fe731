using System.CommandLine;
using TransparencyLog.Client;

namespace TransparencyLog.Cli;

/// <summary><c>tlog get</c>: the raw bytes of one entry.</summary>
internal static class GetCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> url = LogUrl.Argument();
        Argument<string> index = new("INDEX") { Description = "The entry's index, from 0." };
        Command command = new("get", "Writes the bytes of an entry to standard output. They are what the log says they are: tlog prove and tlog verify tell whether it is true.") { url, index };
        command.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(url), parsed.GetRequiredValue(index), around, stop));
        return command;
    }

    /// <summary>An entry, unverified, from the log's own endpoint, or from its bundle where the log has no such endpoint.</summary>
    public static async Task<byte[]> ReadEntryAsync(LogReader log, long index, CancellationToken stop)
    {
        if (await log.TryReadEntryAsync(index, stop) is byte[] entry) return entry;
        (Checkpoint checkpoint, _) = await log.ReadUnverifiedCheckpointAsync(stop);
        if (index >= checkpoint.Size) throw new LogReaderException(LogFailure.Missing, $"{log.Url} has no entry {index}; its size is {checkpoint.Size}");
        byte[] bundle = await log.ReadBundleAsync(index / EntryBundle.Width, checkpoint, stop);
        return EntryAt(bundle, (int)(index % EntryBundle.Width));
    }

    private static async Task<int> RunAsync(string url, string text, Surroundings around, CancellationToken stop)
    {
        if (!LogUrl.TryReadIndex(text, out long index)) throw new CliException(ExitCode.Usage, $"INDEX is a decimal number from 0 on, not {text}");
        using LogReader log = LogUrl.Open(url);
        await around.Out.WriteAsync(await ReadEntryAsync(log, index, stop), stop);
        await around.Out.FlushAsync(stop);
        return ExitCode.Ok;
    }

    private static byte[] EntryAt(byte[] bundle, int place)
    {
        EntryBundle.Enumerator entries = EntryBundle.Enumerate(bundle);
        for (int i = 0; i <= place; i++) entries.MoveNext();
        return entries.Current.ToArray();
    }
}
