// tlog conform: checks any witness or log against the rows of spec/conformance.md that can be observed from outside. spec/conformance-tester.md is its manual.

using System.CommandLine;
using System.Globalization;
using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Cli.Conform;

/// <summary><c>tlog conform witness</c> and <c>tlog conform log</c>.</summary>
internal static class ConformCommand
{
    /// <summary>Seconds that all waits for 429 and Retry-After may take together.</summary>
    private const int DefaultPatience = 120;

    public static Command Create(Surroundings around) => new(
        "conform", "Asks a witness or a log what the C2SP texts ask of it, row by row. Exit code 1: a row of level M, MN, m or D does not hold. S, SN and MAY are told only; what cannot be seen from outside is named as not observed.")
    {
        CreateWitness(around),
        CreateLog(around),
    };

    private static Command CreateWitness(Surroundings around)
    {
        Argument<string> url = new("URL") { Description = "The submission prefix: add-checkpoint is below it." };
        Option<string[]> vkey = new("--vkey") { HelpName = "VKEY", Description = "A key of the witness, its cosignatures are verified with; once for each key it has.", Required = true };
        Option<string> key = new("--key") { HelpName = "FILE", Description = "The private key of a log that the witness has been configured with, and that nothing else uses: made by tlog keygen, or a Go note key. The tester plays this log.", Required = true };
        Option<string?> origin = new("--origin") { HelpName = "NAME", Description = "The log's origin; the name in the key file when left out." };
        Option<string?> second = new("--second-key") { HelpName = "FILE", Description = "A second key of the same origin that the witness trusts too (row TW-12)." };
        Option<bool> allowGroup = InputFile.AllowGroupOption();
        Option<string?> monitor = new("--monitor") { HelpName = "URL", Description = "The monitoring prefix, where it is not the submission prefix." };
        (Option<int> patience, Option<bool> json) = Common();
        Command command = new("witness", "Plays a log towards a witness. It needs `log VKEY` of --key on the witness's list of logs; a second run goes on where the first ended, and some rows take a witness that has never seen the origin.")
        {
            url, vkey, key, origin, second, allowGroup, monitor, patience, json,
        };
        command.SetAction(async (parsed, stop) =>
        {
            string target = parsed.GetRequiredValue(url);
            INoteVerifier[] keys = [.. parsed.GetRequiredValue(vkey).Select(text => ReadKey(text, cosigner: true))];
            using KeyFile file = ReadKeyFile(parsed.GetRequiredValue(key), parsed.GetValue(origin), parsed.GetValue(allowGroup));
            using KeyFile? other = parsed.GetValue(second) is string path ? ReadKeyFile(path, file.Name, parsed.GetValue(allowGroup)) : null;
            using Prefix submission = Open(target, parsed.GetValue(patience), around, stop);
            using Prefix? monitoring = parsed.GetValue(monitor) is string elsewhere ? Open(elsewhere, parsed.GetValue(patience), around, stop) : null;
            WitnessTester witness = new(submission, monitoring ?? submission, file.Signer, other?.Signer, keys, around.Time);
            return await FinishAsync(await RunWitnessAsync(witness, target), parsed.GetValue(json), around, stop);
        });
        return command;
    }

    private static Command CreateLog(Surroundings around)
    {
        Argument<string> url = new("URL") { Description = "The log's URL prefix: checkpoint and tile are below it." };
        Option<string[]> vkey = new("--vkey") { HelpName = "VKEY", Description = "A key of the log; once for each key it signs with." };
        Option<string?> policy = new("--policy") { HelpName = "FILE", Description = "Instead: a tlog-policy whose log lines are the keys." };
        Option<int> watch = new("--watch") { HelpName = "SECONDS", Description = "Looks at the checkpoint for so long, and then whether the partial tiles of all sizes it had are still there. Default 0, at most 3600.", DefaultValueFactory = _ => 0 };
        Option<long> minimum = new("--minimum-index") { HelpName = "INDEX", Description = "The log's minimum index, where a retention policy lets it prune. Default 0.", DefaultValueFactory = _ => 0 };
        (Option<int> patience, Option<bool> json) = Common();
        Command command = new("log", "Reads a log as monitors do; appends nothing.") { url, vkey, policy, watch, minimum, patience, json };
        command.SetAction(async (parsed, stop) =>
        {
            string target = parsed.GetRequiredValue(url);
            int seconds = parsed.GetValue(watch);
            if (seconds is < 0 or > 3600) throw new CliException(ExitCode.Usage, "--watch is 0 to 3600 seconds");
            if (parsed.GetValue(minimum) < 0) throw new CliException(ExitCode.Usage, "--minimum-index is not negative");
            INoteVerifier[] keys = await ReadLogKeysAsync(parsed.GetValue(vkey) ?? [], parsed.GetValue(policy), around, stop);
            using Prefix prefix = Open(target, parsed.GetValue(patience), around, stop);
            LogTester log = new(prefix, target, keys, TimeSpan.FromSeconds(seconds), parsed.GetValue(minimum), around.Time, stop);
            return await FinishAsync(await RunLogAsync(log, target), parsed.GetValue(json), around, stop);
        });
        return command;
    }

    private static async Task<ConformReport> RunWitnessAsync(WitnessTester witness, string url)
    {
        try
        {
            await witness.StartAsync();
        }
        catch (GoneException)
        {
            throw new CliException(ExitCode.Trouble, $"{url} gives no answer");
        }

        WitnessRows rows = new(witness);
        IEnumerable<Row> all =
        [
            .. rows.First(), .. rows.Requests(), .. rows.Refusals(), .. new SubtreeRows(witness).All(), .. new MonitorRows(witness).All(), .. rows.Answers(), .. WitnessRows.Unseen(),
        ];
        IReadOnlyList<RowResult> results = await ConformReport.RunAsync(all, witness.SettleAsync);
        int requests = witness.Submission.Requests + (ReferenceEquals(witness.Monitoring, witness.Submission) ? 0 : witness.Monitoring.Requests);
        return new ConformReport("witness", url, [.. witness.Keys.Select(key => key.Key)], results, requests);
    }

    private static async Task<ConformReport> RunLogAsync(LogTester log, string url)
    {
        try
        {
            await log.StartAsync();
        }
        catch (GoneException)
        {
            throw new CliException(ExitCode.Trouble, $"{url} gives no answer");
        }

        IReadOnlyList<RowResult> results = await ConformReport.RunAsync([.. new LogRows(log).All(), .. LogRows.Unseen()], () => Task.CompletedTask);
        return new ConformReport("log", url, [.. log.Keys.Select(key => key.Key)], results, log.Prefix.Requests);
    }

    private static async Task<int> FinishAsync(ConformReport report, bool json, Surroundings around, CancellationToken stop)
    {
        if (json)
        {
            await around.Out.WriteAsync(report.ToJson(), stop);
            await around.Out.FlushAsync(stop);
        }
        else
        {
            foreach (RowResult row in report.Rows) await around.PrintAsync(row.ToString(), stop);
            await around.PrintAsync(report.Summary, stop);
        }

        if (!report.Conforms) await around.SayAsync($"{report.Url} does not conform: {string.Join(", ", report.Rows.Where(row => row is { IsGate: true, Verdict: Verdict.Fail }).Select(row => row.Id))}");
        return report.Conforms ? ExitCode.Ok : ExitCode.DoesNotHold;
    }

    private static (Option<int> Patience, Option<bool> Json) Common() =>
    (
        new Option<int>("--patience") { HelpName = "SECONDS", Description = string.Create(CultureInfo.InvariantCulture, $"How long to wait, all together, where the answer is 429 or says Retry-After. Default {DefaultPatience}, 0 to 3600."), DefaultValueFactory = _ => DefaultPatience },
        new Option<bool>("--json") { Description = "One JSON object instead of lines." }
    );

    private static Prefix Open(string url, int patience, Surroundings around, CancellationToken stop)
    {
        if (!Prefix.IsPrefix(url)) throw new CliException(ExitCode.Usage, $"{url} is not an http or https URL without query and credentials");
        if (patience is < 0 or > 3600) throw new CliException(ExitCode.Usage, "--patience is 0 to 3600 seconds");
        return new Prefix(url, TimeSpan.FromSeconds(patience), around.Time, stop);
    }

    private static INoteVerifier ReadKey(string text, bool cosigner)
    {
        string whose = cosigner ? "a witness's" : "a log's";
        if (!VerifierKey.TryParse(Encoding.UTF8.GetBytes(text), out VerifierKey? key)) throw new CliException(ExitCode.Usage, $"--vkey is {whose} verifier key, name+id+base64");
        bool fits = key.SignatureType == VerifierKey.MlDsa44Cosignature || key.SignatureType == (cosigner ? VerifierKey.Ed25519Cosignature : VerifierKey.Ed25519);
        if (fits && Verifiers.WhyUnusable(key) is string reason) throw new CliException(ExitCode.Usage, $"--vkey {key.Name}: nothing can be verified with this key: {reason}");
        return (fits ? Verifiers.TryCreate(key) : null) ?? throw new CliException(ExitCode.Usage, string.Create(CultureInfo.InvariantCulture, $"--vkey {key.Name}: no key of type 0x{key.SignatureType:x2} is {whose} that tlog can verify with"));
    }

    private static async Task<INoteVerifier[]> ReadLogKeysAsync(string[] vkeys, string? policyPath, Surroundings around, CancellationToken stop)
    {
        if (vkeys.Length > 0 == policyPath is not null) throw new CliException(ExitCode.Usage, "either --vkey or --policy says which keys the log has");
        if (policyPath is null) return [.. vkeys.Select(text => ReadKey(text, cosigner: false))];
        Policy policy = await InputFile.ReadPolicyAsync(policyPath, around, stop);
        return policy.Logs.Count > 0 ? [.. policy.Logs.Select(log => ReadKey(log.Key.ToString(), cosigner: false))] : throw new CliException(ExitCode.Usage, $"{policyPath}: there is no log in this policy");
    }

    private static KeyFile ReadKeyFile(string path, string? origin, bool allowGroup)
    {
        Signing.KeyFile file = Signing.KeyFile.Read(path, origin, allowGroup);
        string? name = origin ?? file.Name;
        if (name is not null && VerifierKey.IsKeyName(name) && file.SignatureType is null or VerifierKey.Ed25519) return new KeyFile(file.Key, new NoteSigner(name!, file.Key));
        file.Key.Dispose();
        throw new CliException(ExitCode.Usage, name is null ? $"{path} has no name: --origin says whose key it is" : $"{path}: not the Ed25519 note key of a log with a key name for its origin");
    }

    /// <summary>A key of the tester's log with its signer, to be disposed after use.</summary>
    private sealed class KeyFile(Ed25519PrivateKey key, NoteSigner signer) : IDisposable
    {
        public string Name => signer.Key.Name;

        public NoteSigner Signer => signer;

        public void Dispose() => key.Dispose();
    }
}
