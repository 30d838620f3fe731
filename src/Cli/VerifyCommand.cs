using System.CommandLine;
using System.Globalization;
using TransparencyLog.Client;

namespace TransparencyLog.Cli;

/// <summary><c>tlog verify</c>: verifies a tlog-proof offline, from files alone.</summary>
internal static class VerifyCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> proof = new("FILE.tlog-proof") { Description = "The proof; - is standard input." };
        Option<string> entry = new("--entry") { HelpName = "FILE", Description = "A file whose content is the entry.", Required = true };
        Option<string> policy = new("--policy") { HelpName = "FILE", Description = "The tlog-policy file: which logs, witnesses and quorum are believed.", Required = true };
        Command command = new("verify", "Verifies offline that an entry is in a log; prints index, size, origin and who cosigned. Exit code 1: it is not shown.") { proof, entry, policy };
        command.SetAction((parsed, stop) => RunAsync(parsed.GetRequiredValue(proof), parsed.GetRequiredValue(entry), parsed.GetRequiredValue(policy), around, stop));
        return command;
    }

    private static async Task<int> RunAsync(string proofPath, string entryPath, string policyPath, Surroundings around, CancellationToken stop)
    {
        Policy policy = await InputFile.ReadPolicyAsync(policyPath, around, stop);
        byte[]? entry = await InputFile.ReadAsync(entryPath, EntryBundle.MaxEntrySize, around, stop);
        byte[]? bytes = await InputFile.ReadAsync(proofPath, TlogProof.MaxSize, around, stop);
        if (bytes is null || !TlogProof.TryParse(bytes, out TlogProof? proof)) throw Refuse(proofPath, "it is not a tlog-proof, or not a whole one");
        if (entry is null) throw Refuse(proofPath, $"{entryPath} has more than {EntryBundle.MaxEntrySize} bytes, so it is an entry of no log");
        if (!ProofVerifier.TryVerify(entry, proof, policy, out VerifiedCheckpoint? verified, out string reason)) throw Refuse(proofPath, reason);

        await around.PrintAsync($"index {proof.Index}", stop);
        await around.PrintAsync($"size {verified.Checkpoint.Size}", stop);
        await around.PrintAsync($"origin {verified.Checkpoint.Origin}", stop);
        foreach (WitnessedBy witness in verified.Cosigned) await around.PrintAsync($"witness {witness.Witness.Name} {Time(witness.Timestamp)}", stop);
        if (verified.Cosigned.Count == 0) await around.SayAsync("no witness of the policy cosigned, and its quorum needs none: that nobody saw another log is the log's word alone");
        return ExitCode.Ok;
    }

    private static CliException Refuse(string path, string reason) => new(ExitCode.DoesNotHold, $"{path} does not hold: {reason}");

    /// <summary>Seconds since 1970 as a date; as a number when they are beyond the range of <see cref="DateTimeOffset"/>.</summary>
    private static string Time(ulong seconds) => seconds <= (ulong)DateTimeOffset.MaxValue.ToUnixTimeSeconds()
        ? DateTimeOffset.FromUnixTimeSeconds((long)seconds).ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture)
        : seconds.ToString(CultureInfo.InvariantCulture);
}
