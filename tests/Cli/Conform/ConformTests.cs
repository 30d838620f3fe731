using System.Collections.Concurrent;
using System.Text.Json;
using System.Text.RegularExpressions;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

/// <summary>One run of <c>tlog conform --json</c>.</summary>
internal sealed record ConformRun(Tlog Run, JsonDocument Json)
{
    private static readonly string[] Gates = ["M", "MN", "m", "D"];

    public static async Task<ConformRun> OfAsync(TimeProvider time, params string[] args)
    {
        Tlog run = await Tlog.RunAsync([], ["conform", .. args, "--json"], time);
        Assert.True(run.Code is 0 or 1, run.Error);
        return new ConformRun(run, JsonDocument.Parse(run.Bytes));
    }

    public IEnumerable<(string Id, string Level, string Verdict, string Text)> Rows => Json.RootElement.GetProperty("rows").EnumerateArray().Select(row =>
        (Word(row, "id"), Word(row, "level"), Word(row, "verdict"), $"{Word(row, "sent")} | {Word(row, "expected")} | {Word(row, "came")} | {Word(row, "note")}"));

    public int Requests => Json.RootElement.GetProperty("requests").GetInt32();

    public string TextOf(string id) => Rows.Single(row => row.Id == id).Text;

    public string VerdictOf(string id) => Rows.Single(row => row.Id == id).Verdict;

    public string Ids(bool gates, string verdict) => string.Join(' ', Rows.Where(row => row.Verdict == verdict && Gates.Contains(row.Level) == gates).Select(row => row.Id));

    /// <summary>Exactly these rows fail, and the exit code goes by those that count.</summary>
    public void Fails(string gates, string others)
    {
        string failures = string.Join('\n', Rows.Where(row => row.Verdict == "fail").Select(row => $"{row.Id} {row.Level}: {row.Text}"));
        Assert.True(gates == Ids(gates: true, "fail") && others == Ids(gates: false, "fail"), $"expected {gates} and {others}\n{failures}\n{Run.Error}");
        Assert.Equal(gates.Length > 0 ? 1 : 0, Run.Code);
        Assert.Equal(gates.Length == 0, Json.RootElement.GetProperty("conforms").GetBoolean());
        if (gates.Length > 0) Assert.Contains($"does not conform: {gates.Replace(" ", ", ")}", Run.Error);
    }

    private static string Word(JsonElement row, string name) => row.GetProperty(name).GetString()!;
}

/// <summary>tlog conform against references that are right, and against the same with one fault each.</summary>
public sealed class ConformTests : IDisposable
{
    private const string Origin = "conform.example/log";

    private readonly Scratch _scratch = new();
    private readonly JumpTime _time = new();

    public void Dispose() => _scratch.Dispose();

    [Theory]
    [InlineData(WitnessFault.None, "")]
    [InlineData(WitnessFault.OldNotCompared, "CO-23 TW-12 TW-25 TW-39")]
    [InlineData(WitnessFault.OldAboveSize, "TW-23")]
    [InlineData(WitnessFault.ConflictWithoutNewline, "TW-26")]
    [InlineData(WitnessFault.ConflictOfAnotherType, "TW-27")]
    [InlineData(WitnessFault.ConflictWithParameter, "TW-27")]
    [InlineData(WitnessFault.ProofNotVerified, "TW-30")]
    [InlineData(WitnessFault.ForkOfOneSize, "TW-31")]
    [InlineData(WitnessFault.RootOfEmptyTree, "TW-28")]
    [InlineData(WitnessFault.ProofFromZero, "TW-29")]
    [InlineData(WitnessFault.BadTrustedLineIgnored, "TW-21")]
    [InlineData(WitnessFault.UnknownOriginIs403, "TW-20")]
    [InlineData(WitnessFault.UnsignedIs404, "TW-21")]
    [InlineData(WitnessFault.KnownByKeyAlone, "TW-20")]
    [InlineData(WitnessFault.TimeZero, "TW-37 TW-42")]
    [InlineData(WitnessFault.TimesGoBack, "CO-23 TW-42")]
    [InlineData(WitnessFault.AnotherKeyId, "CO-03")]
    [InlineData(WitnessFault.AnotherMessage, "SN-09 CO-09 CO-10 CO-18")]
    [InlineData(WitnessFault.ShortSignature, "CO-05 CO-06")]
    [InlineData(WitnessFault.ExtensionsNotSigned, "CO-11 CO-20")]
    [InlineData(WitnessFault.Base64WithTrailingBits, "SN-10 CO-01 CO-03")]
    [InlineData(WitnessFault.EchoesLines, "TW-34 TW-37")]
    [InlineData(WitnessFault.LeakInRefusals, "TW-32")]
    [InlineData(WitnessFault.PutIsAnswered, "TW-01")]
    [InlineData(WitnessFault.CarriageReturns, "TW-03")]
    [InlineData(WitnessFault.LeadingZeros, "TW-04")]
    [InlineData(WitnessFault.TrailingBitsIgnored, "")]
    [InlineData(WitnessFault.SixtyFourLines, "")]
    [InlineData(WitnessFault.SecondEmptyLine, "TW-09")]
    [InlineData(WitnessFault.LenientCheckpoints, "TW-24")]
    [InlineData(WitnessFault.UnknownLinesRefused, "SN-11 SN-13 TW-10 TW-22 TW-77")]
    [InlineData(WitnessFault.SmallBodies, "TW-10")]
    [InlineData(WitnessFault.StateOfEachKey, "TW-12")]
    [InlineData(WitnessFault.RacesCosignBoth, "TW-39")]
    [InlineData(WitnessFault.RefreshRefused, "TW-42")]
    [InlineData(WitnessFault.RefreshWithOldTime, "TW-42")]
    [InlineData(WitnessFault.NothingForMonitors, "", "TW-70")]
    [InlineData(WitnessFault.MonitorsWithoutTheLog, "TW-73")]
    [InlineData(WitnessFault.MonitorsWithEverything, "TW-77")]
    [InlineData(WitnessFault.MonitorsLate, "TW-78")]
    [InlineData(WitnessFault.MonitorsInUpperCase, "TW-71")]
    [InlineData(WitnessFault.MonitorsUnknownIsEmpty, "TW-71 TW-74")]
    [InlineData(WitnessFault.MonitorsNoHead, "TW-72")]
    [InlineData(WitnessFault.MonitorsOfAnotherType, "TW-76")]
    [InlineData(WitnessFault.ConnectionsClosed, "", "TW-08")]
    [InlineData(WitnessFault.FirstContactUnchecked, "TW-25")]
    [InlineData(WitnessFault.ExtensionsWithMlDsa, "CO-20")]
    [InlineData(WitnessFault.MlDsaAnotherKeyId, "CO-04")]
    [InlineData(WitnessFault.MlDsaAnotherSize, "SN-09 CO-13 CO-16 CO-17 CO-18 CO-19 TW-36")]
    [InlineData(WitnessFault.SubtreesNotOffered, "")]
    [InlineData(WitnessFault.SubtreePutIsAnswered, "TW-50")]
    [InlineData(WitnessFault.SubtreeLeadingZeros, "TW-52")]
    [InlineData(WitnessFault.SubtreeSixtyFourLines, "TW-53")]
    [InlineData(WitnessFault.SubtreeOfAnyRange, "TW-55")]
    [InlineData(WitnessFault.SubtreeNotProven, "TW-56")]
    [InlineData(WitnessFault.SubtreeUnknownOriginIs400, "TW-57")]
    [InlineData(WitnessFault.SubtreeUncosigned, "TW-58")]
    [InlineData(WitnessFault.SubtreeOfAnotherHash, "TW-59")]
    [InlineData(WitnessFault.SubtreeOfEd25519, "TW-61", "TW-60")]
    [InlineData(WitnessFault.SubtreeWithTime, "TW-62")]
    public async Task A_witness_with_one_fault_fails_the_rows_of_that_fault_and_no_others(WitnessFault fault, string gates, string others = "")
    {
        using WitnessUnderTest witness = new(fault, _scratch, _time);
        ConformRun run = await witness.RunAsync();
        run.Fails(gates, others);
        Assert.InRange(run.Requests, 90, 200);
    }

    [Theory]
    [InlineData(LogFault.None, "")]
    [InlineData(LogFault.CheckpointOfAnotherType, "TT-02")]
    [InlineData(LogFault.CheckpointCached, "", "CP-11 TT-03 TT-05")]
    [InlineData(LogFault.CheckpointNotSigned, "TT-04")]
    [InlineData(LogFault.CheckpointSignatureBroken, "SN-20 TT-04")]
    [InlineData(LogFault.LeadingZero, "CP-05")]
    [InlineData(LogFault.RootWithTrailingBits, "CP-06")]
    [InlineData(LogFault.SignatureWithTrailingBits, "SN-10 TT-04", "CP-10 CP-11 TT-05")]
    [InlineData(LogFault.Extension, "", "CP-08 CP-11 TT-05")]
    [InlineData(LogFault.AnotherRoot, "TT-06")]
    [InlineData(LogFault.Rollback, "TT-01")]
    [InlineData(LogFault.Fork, "CP-09 CP-14")]
    [InlineData(LogFault.Rewritten, "CP-09")]
    [InlineData(LogFault.TilesOfAnotherType, "TT-07")]
    [InlineData(LogFault.BundlesOfAnotherType, "TT-23")]
    [InlineData(LogFault.WiderPartialTile, "TT-16 TT-41")]
    [InlineData(LogFault.ShortFullTile, "TT-13")]
    [InlineData(LogFault.FullAtPartialPath, "TT-41")]
    [InlineData(LogFault.PartialGone, "TT-19")]
    [InlineData(LogFault.OldPartialGone, "TT-19")]
    [InlineData(LogFault.PartialLate, "TT-40")]
    [InlineData(LogFault.FirstGone, "TT-34")]
    [InlineData(LogFault.UpperLevelWrong, "TT-06 TT-14")]
    [InlineData(LogFault.PartialHashedIntoAbove, "TT-15")]
    [InlineData(LogFault.EmptyTiles, "TT-17")]
    [InlineData(LogFault.LevelWithZero, "TT-08")]
    [InlineData(LogFault.ZeroGroups, "TT-10")]
    [InlineData(LogFault.Width256, "TT-11")]
    [InlineData(LogFault.WidthWithZero, "TT-11")]
    [InlineData(LogFault.AnotherEntry, "TT-25")]
    [InlineData(LogFault.EntryMissing, "TT-24")]
    [InlineData(LogFault.NoGzip, "", "CP-11 TT-05 TT-26")]
    [InlineData(LogFault.TilesNotCached, "", "CP-11 TT-05 TT-12")]
    public async Task A_log_with_one_fault_fails_the_rows_of_that_fault_and_no_others(LogFault fault, string gates, string others = "CP-11 TT-05")
    {
        using ReferenceLog log = new(fault);
        ConformRun run = await ConformRun.OfAsync(_time, "log", log.Site.Url, "--vkey", log.Key.ToString(), "--watch", "3");
        run.Fails(gates, others);
        Assert.InRange(run.Requests, 40, 100);
    }

    /// <summary>A row that is not observed is never a pass: which ones a right witness and a right log leave open is fixed.</summary>
    [Fact]
    public async Task What_no_request_shows_is_listed_with_its_reason()
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time);
        ConformRun run = await witness.RunAsync();
        const string Never = "SN-05 SN-06 SN-14 SN-16 SN-17 SN-20 SN-21 SN-22 SN-24 SN-25 SN-26 SN-28";
        Assert.Equal($"{Never} CO-11 CO-12 CO-14 CO-22 CO-24 CO-25 TW-02 TW-38 TW-41 TW-43 TW-51 TW-64", run.Ids(gates: true, "not observed"));
        Assert.Equal("SN-12 SN-15 SN-19 SN-23 CO-08 TW-07 TW-40 TW-54", run.Ids(gates: false, "not observed"));
        Assert.All(run.Rows.Where(row => row.Verdict == "not observed"), row => Assert.Matches(@"^ \|  \|  \| .{12,}", row.Text));
        Assert.All(run.Rows.Where(row => row.Verdict == "pass"), row => Assert.Matches(@"^[^|]{5,} \| [^|]{2,} \| [^|]{2,} \| $", row.Text));

        using WitnessUnderTest plain = new(WitnessFault.None, _scratch, _time, mlDsa: false);
        run = await plain.RunAsync();
        run.Fails("", "CO-21 TW-35");
        Assert.Equal($"{Never} CO-04 CO-11 CO-12 CO-13 CO-14 CO-15 CO-16 CO-17 CO-19 CO-20 CO-22 CO-24 CO-25 TW-02 TW-36 TW-38 TW-41 TW-43 TW-50 TW-51 TW-52 TW-53 TW-55 TW-56 TW-57 TW-58 TW-59 TW-61 TW-62 TW-63", run.Ids(gates: true, "not observed"));
        Assert.Equal("pass", run.VerdictOf("TW-64"));

        using ReferenceLog log = new(LogFault.None);
        run = await ConformRun.OfAsync(_time, "log", log.Site.Url, "--vkey", log.Key.ToString(), "--watch", "3");
        Assert.Equal("SN-05 SN-06 SN-11 SN-13 SN-14 SN-16 SN-17 SN-21 SN-22 SN-24 SN-25 SN-26 SN-28 CP-04 CP-12 CP-13 TT-18 TT-21 TT-29 TT-30 TT-31 TT-32 TT-33 TT-37 TT-38 TT-39", run.Ids(gates: true, "not observed"));
        Assert.Equal("SN-12 SN-15 SN-19 SN-23 TT-20 TT-22 TT-27 TT-28 TT-35 TT-36 TT-42", run.Ids(gates: false, "not observed"));
    }

    [Theory]
    [InlineData("witness", "SN CO TW")]
    [InlineData("log", "SN CP TT")]
    public async Task Every_row_of_the_matrix_is_told_once_at_its_level(string role, string sections)
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time);
        using ReferenceLog log = new(LogFault.None);
        ConformRun run = role == "witness" ? await witness.RunAsync() : await ConformRun.OfAsync(_time, "log", log.Site.Url, "--vkey", log.Key.ToString());
        string[] page = [.. Regex.Matches(await File.ReadAllTextAsync(Matrix()), @"^\| ([A-Z]{2}-[0-9]{2}) \| ([A-Za-z]+) \|", RegexOptions.Multiline)
            .Where(row => sections.Split(' ').Contains(row.Groups[1].Value[..2])).Select(row => $"{row.Groups[1].Value} {row.Groups[2].Value}")];
        Assert.InRange(page.Length, 80, 200);
        Assert.Equal(page, run.Rows.Select(row => $"{row.Id} {row.Level}"));
    }

    [Fact]
    public async Task A_second_run_goes_on_where_the_first_ended_and_leaves_open_what_takes_a_new_origin()
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time);
        (await witness.RunAsync()).Fails("", "");
        ConformRun second = await witness.RunAsync();
        second.Fails("", "");
        Assert.Equal(("pass", "not observed", "pass"), (second.VerdictOf("TW-28"), second.VerdictOf("TW-29"), second.VerdictOf("TW-33")));
        Assert.Contains("with a new key and origin", second.TextOf("TW-29"));
    }

    /// <summary>Submission and monitoring at two places, one key of the origin: what the second key is for stays open.</summary>
    [Fact]
    public async Task A_monitoring_prefix_of_its_own_is_asked_and_a_second_key_may_be_left_out()
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time);
        ConcurrentQueue<string> submitted = [], monitored = [];
        using TestSite submission = new(request => Recorded(submitted, request));
        using TestSite monitoring = new(request => Recorded(monitored, request));
        ConformRun run = await ConformRun.OfAsync(_time, "witness", submission.Url + "/", "--monitor", monitoring.Url, "--vkey", ReferenceWitness.Key.ToString(), "--key", witness.KeyFile);
        run.Fails("", "");
        Assert.Equal(("not observed", "pass", "pass"), (run.VerdictOf("TW-12"), run.VerdictOf("TW-73"), run.VerdictOf("TW-35")));
        Assert.Equal(["add-checkpoint", "sign-subtree"], submitted.Distinct().Order());
        Assert.All(monitored, path => Assert.EndsWith("/checkpoint", path));
        Assert.Equal(submitted.Count + monitored.Count, run.Requests);

        Task<SiteAnswer> Recorded(ConcurrentQueue<string> requests, SiteRequest request)
        {
            requests.Enqueue(request.Path);
            return witness.AnswerAsync(request);
        }
    }

    [Fact]
    public async Task A_witness_that_dies_fails_a_row_and_leaves_the_others_open()
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time);
        int requests = 0;
        TestSite? site = null;
        site = new TestSite(request =>
        {
            if (Interlocked.Increment(ref requests) == 60) _ = Task.Run(site!.Dispose);
            return requests < 60 ? witness.AnswerAsync(request) : Task.FromResult(SiteAnswer.Text(500, ""));
        });
        ConformRun run = await ConformRun.OfAsync(_time, ["witness", site.Url, .. witness.Arguments[1..]]);
        Assert.Equal(1, run.Run.Code);
        Assert.InRange(run.Requests, 60, 70);

        // Whether the last connections are refused or reset is for the kernel to choose.
        Assert.Contains(run.Rows, row => row.Verdict == "fail" && row.Text.Contains("no answer", StringComparison.Ordinal));
        Assert.InRange(run.Rows.Count(row => row.Verdict == "not observed" && row.Text.Contains("there was no answer any more since row ")), 40, 120);
        Assert.Equal(("pass", "not observed"), (run.VerdictOf("TW-33"), run.VerdictOf("TW-34")));
    }

    /// <summary>A fork was cosigned, and after it nothing that the tester has: it says so, and guesses nothing.</summary>
    [Fact]
    public async Task A_witness_that_is_lost_after_a_wrong_200_leaves_the_others_open()
    {
        using WitnessUnderTest witness = new(WitnessFault.ForkOfOneSizeThenLost, _scratch, _time);
        ConformRun run = await witness.RunAsync();
        run.Fails("TW-31", "");
        Assert.Contains("follows no tree that the tester knows", run.TextOf("TW-42"));
        Assert.Equal(("pass", "not observed", "not observed"), (run.VerdictOf("TW-30"), run.VerdictOf("TW-39"), run.VerdictOf("TW-34")));
    }

    [Fact]
    public async Task Known_deviations_are_named_and_fail_all_the_same()
    {
        foreach ((WitnessFault fault, string row, string name) in new[]
        {
            (WitnessFault.UnknownOriginIs403, "TW-20", "as litewitness does"), (WitnessFault.SmallBodies, "TW-10", "as omniwitness does, which takes 16 KiB"), (WitnessFault.FirstContactUnchecked, "TW-25", "as omniwitness does at first contact"),
            (WitnessFault.LeadingZeros, "TW-04", "as omniwitness does"), (WitnessFault.NothingForMonitors, "TW-70", "as omniwitness, litewitness and Azul's witness do"), (WitnessFault.ProofFromZero, "TW-29", "as litewitness does"),
        })
        {
            using WitnessUnderTest witness = new(fault, _scratch, _time);
            ConformRun run = await witness.RunAsync();
            Assert.Equal("fail", run.VerdictOf(row));
            Assert.Contains(name, run.TextOf(row));
        }
    }

    /// <summary>Every third request is refused with 429 at first: it is sent again, and no row sees it. Without patience it is what came.</summary>
    [Fact]
    public async Task A_429_is_waited_out_as_long_as_the_patience_lasts()
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time) { LimitedAfter = 30 };
        ConformRun run = await witness.RunAsync("--patience", "100");
        run.Fails("", "");
        Assert.InRange(run.Requests, 200, 260);
        using WitnessUnderTest another = new(WitnessFault.None, _scratch, _time) { LimitedAfter = 30 };
        run = await another.RunAsync("--patience", "1");
        Assert.Equal(1, run.Run.Code);
        Assert.Contains("429", string.Join('\n', run.Rows.Where(row => row.Verdict == "fail").Select(row => row.Text)));
    }

    [Fact]
    public async Task The_text_form_has_one_line_a_row_and_a_summary()
    {
        using WitnessUnderTest witness = new(WitnessFault.ConflictWithoutNewline, _scratch, _time);
        Tlog run = await Tlog.RunAsync([], ["conform", "witness", .. witness.Arguments], _time);
        Assert.Equal(1, run.Code);
        Assert.All(run.Lines[..^1], line => Assert.Matches("^(pass        |fail        |not observed)  [A-Z]{2}-[0-9]{2}  (M|MN|D|S|SN|MAY) +[a-zA-Z]", line));
        Assert.Contains("pass          TW-23  M    sent: the right old size and a checkpoint of a smaller one; expected: 400; came: 400", run.Lines);
        Assert.Contains("not observed  TW-38  M    no request shows what is on a disk when the answer leaves", run.Lines);
        Assert.Single(run.Lines, line => Regex.IsMatch(line, @"^fail          TW-26  M    sent: .*; expected: .*; came: 409 text/x\.tlog\.size ""[0-9]+"", and not ""[0-9]+\\n""$"));
        Assert.Matches("^gates [0-9]+ pass, 1 fail, [0-9]+ not observed; others [0-9]+ pass, 0 fail, [0-9]+ not observed; [0-9]+ requests$", run.Lines[^1]);
        Assert.Contains("does not conform: TW-26", run.Error);
    }

    [Fact]
    public async Task The_JSON_form_has_a_stable_shape()
    {
        using ReferenceLog log = new(LogFault.Rollback);
        ConformRun run = await ConformRun.OfAsync(_time, "log", log.Site.Url, "--vkey", log.Key.ToString(), "--watch", "3");
        JsonElement root = run.Json.RootElement;
        Assert.Equal(["format", "role", "url", "keys", "conforms", "requests", "gates", "others", "rows"], root.EnumerateObject().Select(property => property.Name));
        Assert.Equal(("tlog-conform/1", "log", log.Site.Url), (root.GetProperty("format").GetString(), root.GetProperty("role").GetString(), root.GetProperty("url").GetString()));
        Assert.Equal([log.Key.ToString()], root.GetProperty("keys").EnumerateArray().Select(key => key.GetString()));
        foreach (string counts in (string[])["gates", "others"])
        {
            Assert.Equal(["pass", "fail", "not observed"], root.GetProperty(counts).EnumerateObject().Select(property => property.Name));
            foreach (string verdict in (string[])["pass", "fail", "not observed"])
            {
                string ids = run.Ids(counts == "gates", verdict);
                Assert.Equal(ids.Length == 0 ? 0 : ids.Split(' ').Length, root.GetProperty(counts).GetProperty(verdict).GetInt32());
            }
        }

        JsonElement row = root.GetProperty("rows").EnumerateArray().Single(row => row.GetProperty("id").GetString() == "TT-01");
        Assert.Equal("""{"id":"TT-01","level":"M","verdict":"fail","sent":"GET checkpoint","expected":"200, a checkpoint; and no smaller one later","came":"size 600 after 650","note":""}""", JsonSerializer.Serialize(row));
        Assert.EndsWith("}\n", run.Run.Out);
    }

    [Fact]
    public async Task The_help_says_what_the_tester_needs()
    {
        Tlog help = await Tlog.RunAsync("conform", "witness", "--help");
        foreach (string word in (string[])["The submission prefix", "--key <FILE>", "the witness has been configured with", "--vkey <VKEY>", "--monitor <URL>", "--second-key <FILE>", "list of logs", "--patience <SECONDS>", "--json"]) Assert.Contains(word, help.Out);
        help = await Tlog.RunAsync("conform", "log", "--help");
        foreach (string word in (string[])["appends nothing", "--vkey <VKEY>", "--policy <FILE>", "--watch <SECONDS>", "--minimum-index <INDEX>"]) Assert.Contains(word, help.Out);
        Assert.Contains("not observed", (await Tlog.RunAsync("conform", "--help")).Out);
    }

    [Fact]
    public async Task What_cannot_be_tested_is_said_with_another_exit_code()
    {
        using WitnessUnderTest witness = new(WitnessFault.None, _scratch, _time);
        await ConformRun.OfAsync(_time, ["witness", .. witness.Arguments]);
        using Ed25519PrivateKey stranger = Ed25519PrivateKey.Generate();
        KeyFile.Create(_scratch["stranger"], Origin, VerifierKey.Ed25519, stranger);
        KeyFile.Create(_scratch["unknown"], "unknown.example", VerifierKey.Ed25519, stranger);
        KeyFile.Create(_scratch["cosigner"], Origin, VerifierKey.Ed25519Cosignature, stranger);
        await FailsAsync(2, "does not know the origin unknown.example (404)", "--key", _scratch["unknown"]);
        await FailsAsync(2, $"trusts no such key for {Origin}, or knows no such log (403)", "--key", _scratch["stranger"]);
        await FailsAsync(2, "that is not the tester's", "--key", witness.SecondKeyFile); // the same origin: its state is that of the first key
        await FailsAsync(2, "not the Ed25519 note key of a log", "--key", _scratch["cosigner"]);
        await FailsAsync(2, "is the key of", "--key", witness.KeyFile, "--origin", "other.example");
        await FailsAsync(2, "--patience is 0 to 3600", "--key", witness.KeyFile, "--patience", "-1");
        await FailsAsync(2, "not an http or https URL", "--key", witness.KeyFile, "--monitor", "ftp://127.0.0.1");
        (await Tlog.RunAsync("conform", "witness", "http://127.0.0.1:1", "--vkey", ReferenceWitness.Key.ToString(), "--key", witness.KeyFile)).Fails(4, "gives no answer");
        (await Tlog.RunAsync("conform", "witness", witness.Url, "--vkey", "no key", "--key", witness.KeyFile)).Fails(2, "--vkey is a witness's verifier key");
        (await Tlog.RunAsync("conform", "log", witness.Url)).Fails(2, "either --vkey or --policy");
        (await Tlog.RunAsync("conform", "log", witness.Url, "--vkey", ReferenceWitness.Key.ToString())).Fails(2, "no key of type 0x04 is a log's");
        (await Tlog.RunAsync("conform", "log", "http://127.0.0.1:1", "--vkey", VerifierKey.Create(Origin, VerifierKey.Ed25519, stranger.PublicKey.Span).ToString())).Fails(4, "gives no answer");

        async Task FailsAsync(int code, string because, params string[] args) =>
            (await Tlog.RunAsync(["conform", "witness", witness.Url, "--vkey", ReferenceWitness.Key.ToString(), .. args])).Fails(code, because);
    }

    [Fact]
    public async Task A_log_that_is_empty_or_small_or_pruned_leaves_rows_open_and_fails_none()
    {
        foreach (int size in (int[])[0, 1, 255, 256, 257])
        {
            using TransparencyLog.Tests.Client.MemoryLog memory = new(size);
            using TestSite site = new(request => Task.FromResult(memory.Files.TryGetValue(request.Path, out byte[]? file)
                ? new SiteAnswer(200, file, request.Path == "checkpoint" ? "text/plain; charset=utf-8" : "application/octet-stream")
                : SiteAnswer.Text(404, "")));
            ConformRun run = await ConformRun.OfAsync(_time, "log", site.Url, "--policy", _scratch.Write("policy", memory.PolicyText()));
            run.Fails("", size switch { 0 => "CP-11 TT-03 TT-05", < 256 => "CP-11 TT-03 TT-05 TT-26", _ => "CP-11 TT-03 TT-05 TT-12 TT-26" });
            Assert.Equal(size == 0 ? "pass" : "not observed", run.VerdictOf("CP-13"));
            Assert.Equal(size is 0 or 256 && size == 0 ? "not observed" : "pass", run.VerdictOf("TT-25"));
        }

        using ReferenceLog pruned = new(LogFault.FirstGone);
        ConformRun allowed = await ConformRun.OfAsync(_time, "log", pruned.Site.Url, "--vkey", pruned.Key.ToString(), "--minimum-index", "300");
        allowed.Fails("", "CP-11 TT-05");
        Assert.Equal("pass", allowed.VerdictOf("TT-34"));
    }

    private static string Matrix()
    {
        DirectoryInfo folder = new(AppContext.BaseDirectory);
        while (!File.Exists(Path.Combine(folder.FullName, "TransparencyLog.sln"))) folder = folder.Parent!;
        return Path.Combine(folder.FullName, "spec/conformance.md");
    }

    /// <summary>A reference witness on loopback that knows the tester's log by two keys.</summary>
    private sealed class WitnessUnderTest : IDisposable
    {
        private readonly TestSite _site;
        private readonly ReferenceWitness _witness;
        private readonly TimeProvider _time;
        private readonly string[] _vkeys;
        private int _requests;

        public WitnessUnderTest(WitnessFault fault, Scratch scratch, TimeProvider time, bool mlDsa = true)
        {
            _time = time;
            _vkeys = mlDsa ? ["--vkey", ReferenceWitness.Key.ToString(), "--vkey", ReferenceWitness.MlDsaKey.ToString()] : ["--vkey", ReferenceWitness.Key.ToString()];
            string name = Guid.NewGuid().ToString("N");
            KeyFile = scratch[name];
            SecondKeyFile = scratch[name + "-second"];
            List<INoteVerifier> trusted = [];
            foreach (string file in (string[])[KeyFile, SecondKeyFile])
            {
                using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
                TransparencyLog.Signing.KeyFile.Create(file, Origin, VerifierKey.Ed25519, key);
                trusted.Add(Verifiers.TryCreate(VerifierKey.Create(Origin, VerifierKey.Ed25519, key.PublicKey.Span))!);
            }

            _witness = new ReferenceWitness(Origin, trusted, fault, time, mlDsa);
            _site = new TestSite(request => Interlocked.Increment(ref _requests) is int number && number > LimitedAfter && number % 3 == 0
                ? Task.FromResult(new SiteAnswer(429, []) { Headers = { ["Retry-After"] = "1" } })
                : _witness.AnswerAsync(request));
        }

        public string KeyFile { get; }

        public string SecondKeyFile { get; }

        /// <summary>After so many requests every third is refused with 429.</summary>
        public int LimitedAfter { get; init; } = int.MaxValue;

        public string Url => _site.Url;

        public string[] Arguments => [Url, .. _vkeys, "--key", KeyFile, "--second-key", SecondKeyFile];

        public Task<SiteAnswer> AnswerAsync(SiteRequest request) => _witness.AnswerAsync(request);

        public Task<ConformRun> RunAsync(params string[] more) => ConformRun.OfAsync(_time, ["witness", .. Arguments, .. more]);

        public void Dispose() => _site.Dispose();
    }
}
