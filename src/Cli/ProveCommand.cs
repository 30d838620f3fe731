// tlog prove: writes a file that proves to anyone, offline, that an entry is in the log.

using System.CommandLine;
using System.Diagnostics.CodeAnalysis;
using System.Globalization;
using System.Runtime.InteropServices;
using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog prove</c>: writes a tlog-proof for an index or for the content of a file.</summary>
internal static class ProveCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> url = LogUrl.Argument();
        Argument<string> what = new("INDEX|FILE")
        {
            Description = "An index, or a file whose content is an entry. The index of a file is looked up in the level-0 tiles, newest first, over the whole size of the log if need be: nothing is added. A file whose name is a number: ./123.",
        };
        Option<string> proof = new("--out") { HelpName = "FILE", Description = "Where the proof goes, FILE.tlog-proof; - is standard output. A file is replaced as a whole and keeps its mode; a link stays and its target is replaced; a pipe or a device is written to.", Required = true };
        Option<string?> policy = LogUrl.PolicyOption("Verify the checkpoint with this tlog-policy before the proof is written. Without it the proof is checked against the checkpoint, and the checkpoint's signatures are not.");
        Command command = new("prove", "Fetches a tlog-proof, checks it and writes it to a file; prints the index.") { url, what, proof, policy };
        command.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(url), parsed.GetRequiredValue(what), parsed.GetRequiredValue(proof), parsed.GetValue(policy), around, stop));
        return command;
    }

    private static async Task<int> RunAsync(string url, string what, string path, string? policyPath, Surroundings around, CancellationToken stop)
    {
        if (path != "-") OutputFile.RequireOpen(path);
        Policy? policy = policyPath is null ? null : await InputFile.ReadPolicyAsync(policyPath, around, stop);
        bool isIndex = LogUrl.TryReadIndex(what, out long index);
        byte[]? entry = isIndex ? null : await InputFile.ReadEntryAsync(what, around, stop);
        using LogReader log = LogUrl.Open(url);
        (Checkpoint checkpoint, byte[] bytes) = await log.ReadUnverifiedCheckpointAsync(stop);
        if (policy is not null) Verify(bytes, policy, log);
        entry ??= await GetCommand.ReadEntryAsync(log, index, stop);
        Hash leaf = MerkleHash.Leaf(entry);
        if (!isIndex) index = await FindAsync(log, checkpoint, leaf, what, stop);

        TlogProof proof = await ReadProofAsync(log, index, checkpoint, bytes, stop);
        if (!TryReadCheckpoint(proof.Checkpoint.Span, out Checkpoint? under)) throw new LogReaderException(LogFailure.Lie, $"{url}: the proof holds no checkpoint");
        if (policy is not null) Verify(proof.Checkpoint.Span, policy, log);
        if (!ProofVerifier.Includes(proof, leaf, under, out string reason)) throw new LogReaderException(LogFailure.Lie, $"{url}: {reason}");

        if (path == "-")
        {
            await around.Out.WriteAsync(proof.ToBytes(), stop);
            await around.Out.FlushAsync(stop);
            return ExitCode.Ok;
        }

        OutputFile.Write(path, proof.ToBytes());
        await around.PrintAsync(index.ToString(CultureInfo.InvariantCulture), stop);
        return ExitCode.Ok;
    }

    /// <summary>The proof from the log's own endpoint, or built from its tiles where the log has no such endpoint.</summary>
    private static async Task<TlogProof> ReadProofAsync(LogReader log, long index, Checkpoint checkpoint, byte[] bytes, CancellationToken stop)
    {
        if (index < checkpoint.Size && await log.TryReadProofAsync(index, stop) is TlogProof served) return served;
        if (index >= checkpoint.Size) throw new LogReaderException(LogFailure.Missing, $"{log.Url}: entry {index} is not under the checkpoint, whose size is {checkpoint.Size}");
        return new TlogProof(index, await log.BuildAsync(ProofPlan.Inclusion(index, checkpoint.Size), checkpoint, stop), bytes);
    }

    /// <summary>Finds the index of a leaf hash. Searches from the end of the log, because most entries to be proven are recent.</summary>
    private static async Task<long> FindAsync(LogReader log, Checkpoint checkpoint, Hash leaf, string what, CancellationToken stop)
    {
        for (long tile = (checkpoint.Size - 1) / EntryBundle.Width; tile >= 0 && checkpoint.Size > 0; tile--)
        {
            byte[] hashes = await log.ReadTileAsync(0, tile, checkpoint, stop);
            int place = MemoryMarshal.Cast<byte, Hash>(hashes).LastIndexOf(leaf);
            if (place >= 0) return (tile * EntryBundle.Width) + place;
        }

        throw new LogReaderException(LogFailure.Missing, $"{log.Url}: no entry of its {checkpoint.Size} has the content of {what}");
    }

    private static void Verify(ReadOnlySpan<byte> bytes, Policy policy, LogReader log)
    {
        if (!CheckpointCheck.TryVerify(bytes, policy, out _, out string reason)) throw new LogReaderException(LogFailure.Lie, $"{log.Url}: {reason}");
    }

    private static bool TryReadCheckpoint(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out Checkpoint? checkpoint)
    {
        checkpoint = null;
        return Note.TryParse(bytes, out Note? note) && Checkpoint.TryParse(note.Text.Span, out checkpoint);
    }
}
