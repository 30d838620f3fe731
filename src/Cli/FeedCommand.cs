// tlog feed: submits the checkpoints of a log to the witnesses of a policy, for logs that do not do it themselves.

using System.CommandLine;
using System.Globalization;
using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog feed</c>.</summary>
internal static class FeedCommand
{
    private const int MostSeconds = 86_400;

    public static Command Create(Surroundings around)
    {
        Argument<string> url = LogUrl.Argument();
        Option<string> policy = new("--policy") { HelpName = "FILE", Description = "A tlog-policy: its witnesses are asked at their URLs, its quorum is the aim, and the log is one of its logs, unless --vkey says which.", Required = true };
        Option<string?> vkey = new("--vkey") { HelpName = "VKEY", Description = "The log's vkey." };
        Option<string?> file = new("--out") { HelpName = "FILE", Description = "Where the cosigned checkpoint goes, replaced as a whole each time, with its mode, through links; a pipe or a device is written to. Without it: standard output." };
        Option<string?> evidence = EvidenceCommand.FolderOption();
        Option<bool> once = new("--once") { Description = "One round instead of one every --interval." };
        Option<string> interval = new("--interval") { HelpName = "SECONDS", Description = $"From one round to the next, 1 to {MostSeconds}; default 60. An idle log's cosignatures get as old as that.", DefaultValueFactory = _ => "60" };
        Option<string> wait = new("--wait") { HelpName = "SECONDS", Description = $"How long a round waits for witnesses that do not answer, and for the log to show what a witness has already cosigned, 1 to {MostSeconds}; default 15.", DefaultValueFactory = _ => "15" };
        Command command = new("feed", "Feeds a log's checkpoints to witnesses, after it has verified them; gives the cosigned checkpoint once the quorum is met. Exit code 1: log and witnesses contradict each other; 4: no quorum.")
        {
            url, policy, vkey, file, evidence, once, interval, wait,
        };
        command.SetAction((parsed, stop) => RunAsync(
            parsed.GetRequiredValue(url), parsed.GetRequiredValue(policy), parsed.GetValue(vkey), parsed.GetValue(file), parsed.GetValue(evidence), parsed.GetValue(once),
            Seconds("--interval", parsed.GetRequiredValue(interval)), Seconds("--wait", parsed.GetRequiredValue(wait)), around, stop));
        return command;
    }

    private static TimeSpan Seconds(string option, string text) =>
        Strict.TryReadSize(Encoding.UTF8.GetBytes(text), out long seconds) && seconds is >= 1 and <= MostSeconds
            ? TimeSpan.FromSeconds(seconds)
            : throw new CliException(ExitCode.Usage, $"{option}: '{text}' is not a whole number from 1 to {MostSeconds}");

    private static async Task<int> RunAsync(
        string url, string policyPath, string? vkey, string? file, string? evidence, bool once, TimeSpan interval, TimeSpan wait, Surroundings around, CancellationToken stop)
    {
        if (file is not null) OutputFile.RequireOpen(file);
        Policy policy = await InputFile.ReadPolicyAsync(policyPath, around, stop);
        VerifierKey? key = vkey is null ? null : LogUrl.ReadVkey(vkey);
        using LogReader log = LogUrl.Open(url);
        await using LogFeeder feeder = Open(log, policy, key, policyPath, wait, around);
        Teller teller = new(file, evidence, around);
        if (once) return await teller.RoundAsync(feeder, stop);

        try
        {
            while (true)
            {
                long started = around.Time.GetTimestamp();
                try
                {
                    await teller.RoundAsync(feeder, stop);
                }
                catch (LogReaderException trouble) when (trouble.Kind == LogFailure.Trouble)
                {
                    await around.SayAsync(trouble.Message);
                }

                TimeSpan rest = interval - around.Time.GetElapsedTime(started);
                if (rest > TimeSpan.Zero) await Task.Delay(rest, around.Time, stop);
            }
        }
        catch (OperationCanceledException) when (stop.IsCancellationRequested)
        {
            // Cancellation is how this command normally ends.
            return teller.HasContradiction ? ExitCode.DoesNotHold : ExitCode.Ok;
        }
    }

    private static LogFeeder Open(LogReader log, Policy policy, VerifierKey? key, string policyPath, TimeSpan wait, Surroundings around)
    {
        try
        {
            return new LogFeeder(log, policy, key, new LogFeederOptions { RoundTimeout = wait, Feed = new WitnessFeedOptions { Time = around.Time } });
        }
        catch (ArgumentException unusable)
        {
            throw new CliException(ExitCode.Usage, $"{policyPath}: {unusable.Message.Split(" (Parameter", 2)[0]}");
        }
    }

    /// <summary>Reports the results of rounds: the checkpoint for programs, everything else for people.</summary>
    private sealed class Teller(string? file, string? evidence, Surroundings around)
    {
        private ReadOnlyMemory<byte> _given;

        public bool HasContradiction { get; private set; }

        public async Task<int> RoundAsync(LogFeeder feeder, CancellationToken stop)
        {
            try
            {
                return await TellAsync(await feeder.FeedAsync(stop), stop);
            }
            catch (LogReaderException lie) when (lie.Evidence is not null)
            {
                await EvidenceCommand.KeepAsync(lie.Evidence, evidence, around);
                throw;
            }
        }

        private async Task<int> TellAsync(FeedRound round, CancellationToken stop)
        {
            foreach (FedWitness fed in round.Witnesses.Where(fed => fed.Trouble is not null))
            {
                string name = string.Join(", ", fed.Witness.Witnesses.Select(witness => witness.Name));
                string alarm = fed.Contradicts ? "CONTRADICTION between the log and a witness, keep what both say: " : "";
                await around.SayAsync($"{alarm}witness {name} at {fed.Witness.SubmissionPrefix}: size {round.Checkpoint.Size.ToString(CultureInfo.InvariantCulture)} not cosigned: {fed.Trouble}");
                if (fed.Evidence is TlogEvidence found) await EvidenceCommand.KeepAsync(found, evidence, around);
            }

            foreach (FedWitness fed in round.Witnesses.Where(fed => fed.WentBack is not null)) await TellRegressAsync(fed.Witness, fed.WentBack!);
            bool contradicts = round.Witnesses.Any(fed => fed.Contradicts);
            HasContradiction |= contradicts;
            if (round.IsHeld) await around.SayAsync($"size {round.Checkpoint.Size.ToString(CultureInfo.InvariantCulture)} is not given out: the witnesses that have not cosigned it could meet the quorum for what the contradicting one claims");
            else if (round.MeetsQuorum) await GiveAsync(round.Note, stop);
            else await around.SayAsync($"size {round.Checkpoint.Size.ToString(CultureInfo.InvariantCulture)} has {round.Cosignatures.ToString(CultureInfo.InvariantCulture)} cosignatures, which do not meet the quorum");
            return contradicts ? ExitCode.DoesNotHold : round.MeetsQuorum ? ExitCode.Ok : ExitCode.Trouble;
        }

        /// <summary>A fault of the witness, not of the log: it is reported and kept, and is no reason to stop.</summary>
        private async Task TellRegressAsync(WitnessAddress witness, WitnessRegress regress)
        {
            string name = string.Join(", ", witness.Witnesses.Select(one => one.Name));
            string what = string.Create(CultureInfo.InvariantCulture, $"it has cosigned size {regress.Held.Checkpoint.Size} and now answers size {regress.Size}");
            await around.SayAsync($"witness {name} at {witness.SubmissionPrefix} WENT BACK: {what}{(regress.IsProven ? ", and has cosigned a smaller size at a later time: its lines do not count" : "")}");
            await EvidenceCommand.KeepNoteAsync(regress.FileName, regress.ToBytes(name, witness.SubmissionPrefix), evidence, around);
        }

        private async Task GiveAsync(ReadOnlyMemory<byte> note, CancellationToken stop)
        {
            if (note.Span.SequenceEqual(_given.Span)) return;
            if (file is null)
            {
                await around.Out.WriteAsync(note, stop);
                await around.Out.FlushAsync(stop);
            }
            else
            {
                OutputFile.Write(file, note.Span);
            }

            _given = note;
        }
    }
}
