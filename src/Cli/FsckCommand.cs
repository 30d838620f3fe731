// tlog fsck: recomputes everything that follows from the entry bytes, over HTTP or in a data directory, and names the first difference.

using System.CommandLine;
using System.Globalization;
using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog fsck</c>: checks a log from its entries up. Never changes that log: a repair goes into a copy.</summary>
internal static class FsckCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> target = new("URL|DIR") { Description = "A log's URL prefix, or a data directory; a server may be using it." };
        Option<string?> policy = LogUrl.PolicyOption("A tlog-policy that the checkpoint has to satisfy. A directory without a published checkpoint holds the log's own signatures alone: there the quorum is not judged.");
        Option<string?> vkey = new("--vkey") { HelpName = "VKEY", Description = "Instead of a policy: the log's vkey." };
        Option<bool> plan = new("--repair-plan") { Description = "Names every damaged segment and tile of a directory, and what each can be rebuilt from. Changes nothing." };
        Option<string[]> from = new("--from") { HelpName = "URL|DIR", Description = "With --repair-plan: a copy of the log, or a mirror, that may have entries which are lost here. What it gives is compared with the roots." };
        Option<bool> apply = new("--apply") { Description = "With --repair-plan and --to: makes a copy in which all of it is mended, and checks it. Nothing is made when something cannot be." };
        Option<string?> to = new("--to") { HelpName = "DIR", Description = "With --apply: the copy, a new directory." };
        Option<string?> evidence = EvidenceCommand.FolderOption();
        Command command = new("fsck", "Rebuilds everything from entry bytes and names the first damage: kind, place, segment, index, expected, found. Exit code 1: damage.") { target, policy, vkey, evidence, plan, from, apply, to };
        command.SetAction((parsed, stop) => parsed.GetValue(plan) || parsed.GetValue(apply) || parsed.GetValue(to) is not null || parsed.GetValue(from) is { Length: > 0 }
            ? RepairAsync(parsed.GetRequiredValue(target), parsed.GetValue(plan), parsed.GetValue(from) ?? [], parsed.GetValue(apply), parsed.GetValue(to), around, stop)
            : RunAsync(parsed.GetRequiredValue(target), parsed.GetValue(policy), parsed.GetValue(vkey), parsed.GetValue(evidence), around, stop));
        return command;
    }

    private static async Task<int> RunAsync(string target, string? policyPath, string? vkey, string? evidence, Surroundings around, CancellationToken stop)
    {
        Policy? policy = await TrustAsync(policyPath, vkey, around, stop);
        long started = around.Time.GetTimestamp();
        FsckProgress progress = new(around);
        try
        {
            if (target.Contains("://", StringComparison.Ordinal)) await CheckUrlAsync(target, policy, progress, around, stop);
            else await CheckDirectoryAsync(target, policy, progress, around, stop);
        }
        catch (Exception failure) when (DamageOf(failure) is Damage damage)
        {
            CliException end = await around.EndAsync(damage, $"{target} is damaged", "nothing was changed", stop);
            if (failure is LogReaderException { Evidence: TlogEvidence found }) await EvidenceCommand.KeepAsync(found, evidence, around);
            throw end;
        }

        await around.PrintAsync($"seconds {around.Time.GetElapsedTime(started).TotalSeconds.ToString("F1", CultureInfo.InvariantCulture)}", stop);
        return ExitCode.Ok;
    }

    private static async Task<int> RepairAsync(string path, bool plan, string[] from, bool apply, string? to, Surroundings around, CancellationToken stop)
    {
        if (!plan) throw new CliException(ExitCode.Usage, "--from, --apply and --to belong to --repair-plan");
        if (path.Contains("://", StringComparison.Ordinal)) throw new CliException(ExitCode.Usage, "--repair-plan is for a data directory");
        if (apply != (to is not null)) throw new CliException(ExitCode.Usage, "--apply and --to DIR belong together: a directory is never repaired in place");
        LogIdentity identity = LogDirectory.ReadIdentity(path);
        List<IEntrySource> sources = [];
        List<LogReader> logs = [];
        try
        {
            foreach (string source in from)
            {
                if (!source.Contains("://", StringComparison.Ordinal))
                {
                    sources.Add(Salvage.Of(source, identity.Origin, stop));
                    continue;
                }

                LogReader log = LogUrl.Open(source);
                logs.Add(log);
                (Checkpoint checkpoint, _) = await log.ReadUnverifiedCheckpointAsync(stop);
                sources.Add(new RemoteEntries(log, checkpoint));
            }

            RepairOptions options = new() { Sources = sources, Time = around.Time };
            DirectoryReport? copy = null;
            RepairPlan found;
            if (to is null) found = await Repair.PlanAsync(path, Verifiers.TryCreate, options, stop);
            else (found, copy) = await Repair.ApplyAsync(path, to, Verifiers.TryCreate, options, stop);
            foreach (RepairStep step in found.Steps)
            {
                await around.PrintAsync(step.Damage.ToString(), stop);
                await around.PrintAsync(step.Remedy is string remedy ? $"    repair: {remedy}" : "    repair: none from what is here; give a copy or a mirror with --from", stop);
            }

            await around.PrintAsync(string.Create(CultureInfo.InvariantCulture, $"damages {found.Steps.Count}, of which {found.Steps.Count(step => step.Remedy is not null)} can be repaired"), stop);
            if (copy is null) return found.Steps.Count == 0 ? ExitCode.Ok : ExitCode.DoesNotHold;
            await around.PrintTreeAsync(copy.Entries, copy.Segments, copy.Head?.Size, copy.Head?.Root, stop);
            await around.PrintAsync($"signed by {SignersOf(identity)}", stop);
            await around.SayAsync($"{to} is whole and halted: tlog-server resume --data {to} --reason TEXT, once it is sure that nobody has seen a larger checkpoint");
            return ExitCode.Ok;
        }
        finally
        {
            foreach (LogReader log in logs) log.Dispose();
        }
    }

    private static async Task<Policy?> TrustAsync(string? policyPath, string? vkey, Surroundings around, CancellationToken stop)
    {
        if (policyPath is not null && vkey is not null) throw new CliException(ExitCode.Usage, "--policy and --vkey exclude each other");
        if (policyPath is not null) return await InputFile.ReadPolicyAsync(policyPath, around, stop);
        return vkey is null ? null : CheckpointCheck.PolicyOf(LogUrl.ReadVkey(vkey));
    }

    private static async Task CheckUrlAsync(string url, Policy? policy, FsckProgress progress, Surroundings around, CancellationToken stop)
    {
        using LogReader log = LogUrl.Open(url);
        RemoteReport report = await progress.EndAsync(RemoteCheck.RunAsync(log, policy, progress.Tell, stop));
        Checkpoint checkpoint = report.Checkpoint;
        await around.PrintTreeAsync(checkpoint.Size, checkpoint.Size / EntryBundle.Width, checkpoint.Size, checkpoint.Root, stop);
        await around.PrintAsync($"signed by {(report.Verified is null ? "not checked" : string.Join(", ", report.Verified.Keys))}", stop);
        foreach (WitnessedBy witness in report.Verified?.Cosigned ?? []) await around.PrintAsync($"cosigned by {witness.Witness.Name}", stop);
        if (report.Verified is null) await around.SayAsync("who signed the checkpoint was not checked: give --policy or --vkey");
    }

    private static async Task CheckDirectoryAsync(string path, Policy? policy, FsckProgress progress, Surroundings around, CancellationToken stop)
    {
        DirectoryReport report;
        try
        {
            report = await progress.EndAsync(DirectoryCheck.RunAsync(path, Verifiers.TryCreate, new CheckOptions { Progress = progress.Tell }, stop));
        }
        catch (DirectoryInUseException holder)
        {
            await around.SayAsync($"{holder.Message}: checked beside it, what is appended meanwhile as far as the check meets it");
            report = await progress.EndAsync(DirectoryCheck.RunAsync(path, Verifiers.TryCreate, new CheckOptions { Progress = progress.Tell, InUse = true }, stop));
        }

        foreach (string note in report.Notes) await around.SayAsync(note);
        if (policy is not null && report.Head is not null) await RequirePolicyAsync(path, policy, report, around);
        await around.PrintTreeAsync(report.Entries, report.Segments, report.Head?.Size, report.Head?.Root, stop);
        await around.PrintAsync($"signed by {(report.Head is null ? "nobody" : SignersOf(report.Identity))}", stop);
        await around.PrintAsync($"heads {report.Heads}", stop);
        if (report.Head is not TreeHead head) await around.SayAsync("nothing is signed yet");
        else if (report.Entries > head.Size) await around.SayAsync($"{report.Entries - head.Size} entries are durable and not signed yet");
    }

    private static string SignersOf(LogIdentity identity) => string.Join(", ", identity.Keys.Select(key => key.VerifierKey));

    private static async Task RequirePolicyAsync(string path, Policy policy, DirectoryReport report, Surroundings around)
    {
        ReadOnlyMemory<byte> bytes = report.Published ?? report.Head!.Checkpoint;
        if (!Note.TryParse(bytes.Span, out Note? note)) throw new System.Diagnostics.UnreachableException("the checkpoint was parsed before");
        PolicyVerdict verdict = policy.Verify(note, Verifiers.TryCreate);
        if (verdict.Failure == PolicyFailure.None) return;
        if (verdict.Failure == PolicyFailure.QuorumNotMet && report.Published is null)
        {
            await around.SayAsync("the checkpoint on disk holds the log's own signatures: the policy's quorum was not judged");
            return;
        }

        string place = Path.Combine(path, report.Published is null ? "commit" : "published");
        throw new DamageException(new Damage("checkpoint", place, null, null, "a checkpoint that the policy accepts", verdict.Reason));
    }

    private static Damage? DamageOf(Exception failure) => failure switch
    {
        DamageException storage => storage.Damage,
        LogReaderException { Kind: LogFailure.Lie or LogFailure.Missing } log => log.Damage,
        _ => null,
    };
}
