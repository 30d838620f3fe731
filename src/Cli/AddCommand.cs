// tlog add: appends entries and prints the index, or the tlog-proof, of each. The output is final: once an index is printed, it belongs to that entry.

using System.CommandLine;
using System.Globalization;
using TransparencyLog.Client;

namespace TransparencyLog.Cli;

/// <summary><c>tlog add</c>: turns files, standard input or lines into entries.</summary>
internal static class AddCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> url = LogUrl.Argument();
        Argument<string[]> files = new("FILE") { Description = "Each file is one entry; - or none is standard input.", Arity = ArgumentArity.ZeroOrMore };
        Option<bool> lines = new("--lines") { Description = "Each line is one entry, without its newline. With --wait durable they are sent in batches of at most 512 KiB, and of less where the log, or a proxy in front of it, accepts only less." };
        Option<string> wait = new("--wait") { HelpName = "durable|published|witnessed", Description = "durable: answered with the index once on disk. published: with a tlog-proof under a public checkpoint. witnessed: under one that meets the quorum.", DefaultValueFactory = _ => "durable" };
        wait.AcceptOnlyFromAmong("durable", "published", "witnessed");
        Command command = new("add", "Appends entries; prints the index, or the tlog-proof, of each.") { url, files, lines, wait };
        command.SetAction((parsed, stop) =>
        {
            AddWait until = parsed.GetValue(wait) switch { "published" => AddWait.Published, "witnessed" => AddWait.Witnessed, _ => AddWait.Durable };
            return RunAsync(parsed.GetRequiredValue(url), parsed.GetValue(files) is { Length: > 0 } names ? names : ["-"], parsed.GetValue(lines), until, around, stop);
        });
        return command;
    }

    private static async Task<int> RunAsync(string url, string[] files, bool lines, AddWait wait, Surroundings around, CancellationToken stop)
    {
        using LogReader log = LogUrl.Open(url);
        foreach (string file in files)
        {
            // Open every file before anything is sent, so that a wrong name in the middle of the list changes nothing.
            using Stream? opened = file == "-" ? null : InputFile.Open(file);
            if (opened is null) _ = around.RequireInput();
        }

        bool late = false;
        BatchAppender batches = new(log);
        foreach (string file in files)
        {
            if (!lines)
            {
                late |= await AddAsync(log, await InputFile.ReadEntryAsync(file, around, stop), wait, around, stop);
                continue;
            }

            using FileStream? opened = file == "-" ? null : InputFile.Open(file);
            await foreach (LineBatch batch in LineBatch.ReadAsync(opened ?? around.RequireInput(), file, stop))
            {
                if (wait == AddWait.Durable)
                {
                    await AddAsync(batches, batch, file, around, stop);
                    continue;
                }

                foreach (byte[] entry in batch.Entries()) late |= await AddAsync(log, entry, wait, around, stop);
            }
        }

        return late ? ExitCode.Trouble : ExitCode.Ok;
    }

    private static async Task AddAsync(BatchAppender batches, LineBatch batch, string file, Surroundings around, CancellationToken stop)
    {
        long line = batch.FirstLine;
        try
        {
            await foreach (long[] indexes in batches.AppendAsync(batch.Bundle, stop))
            {
                await around.PrintAsync(indexes, stop);
                line += indexes.Length;
            }
        }
        catch (LogReaderException tooLarge) when (tooLarge.Status == 413)
        {
            throw new CliException(ExitCode.Usage, $"line {line} of {file} is too long for this log: {tooLarge.Message}; {LineBatch.AddedBefore(line)}");
        }
    }

    /// <summary>Returns true when a proof was requested and did not come in time.</summary>
    private static async Task<bool> AddAsync(LogReader log, byte[] entry, AddWait wait, Surroundings around, CancellationToken stop)
    {
        AddAnswer answer = await log.AddAsync(entry, wait, stop);
        if (answer.Proof is TlogProof proof)
        {
            await around.Out.WriteAsync(proof.ToBytes(), stop);
            await around.Out.FlushAsync(stop);
            return false;
        }

        await around.PrintAsync(answer.Index.ToString(CultureInfo.InvariantCulture), stop);
        if (wait == AddWait.Durable) return false;
        await around.SayAsync($"entry {answer.Index} is durable, but no proof came within the log's time limit; ask for it later with tlog prove");
        return true;
    }

    private static async Task PrintAsync(this Surroundings around, long[] indexes, CancellationToken stop)
    {
        string lines = string.Concat(indexes.Select(index => index.ToString(CultureInfo.InvariantCulture) + "\n"));
        await around.Out.WriteAsync(System.Text.Encoding.ASCII.GetBytes(lines), stop);
        await around.Out.FlushAsync(stop);
    }
}
