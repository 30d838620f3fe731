using System.Text;

namespace TransparencyLog.Tests.Witness;

/// <summary>spec/conformance.md 5.4: what monitors see; and the pages for operators.</summary>
public sealed class MonitoringTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/monitored");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync() => _witness = await TestWitness.StartAsync(_log);

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public async Task TW70_TW73_TW76_the_newest_checkpoint_with_the_logs_line_and_ours()
    {
        Answer cosigned = await _witness.PostAsync(_log.Request(0, 5));
        Answer shown = await _witness.GetAsync(_log.MonitorPath);
        Assert.Equal(200, shown.Status);
        Assert.Equal("text/plain; charset=utf-8", shown.ContentType);
        Assert.Equal(_log.Checkpoint(5) + cosigned.Text, shown.Text);
        Assert.Equal("*", shown.Headers.GetValues("Access-Control-Allow-Origin").Single());
        Assert.Equal("no-cache", shown.Headers.GetValues("Cache-Control").Single());
    }

    [Fact]
    public async Task TW71_other_spellings_of_the_path_are_404()
    {
        await _witness.CosignAsync(_log, 0, 5);
        string hash = _log.MonitorPath[1..65];
        string[] spellings =
        [
            $"/{hash.ToUpperInvariant()}/checkpoint", $"/{hash}/Checkpoint", $"/{hash}/checkpoint/", $"//{hash}/checkpoint", $"/{hash}//checkpoint", $"/{hash}/./checkpoint",
            $"/{hash}/%63heckpoint", $"/%{(int)hash[0]:x2}{hash[1..]}/checkpoint", $"/{hash}/checkpointx?x", $"/{hash}?/checkpoint", $"/{hash[..63]}/checkpoint", $"/{hash}0/checkpoint",
            $"/{hash}/checkpoint.txt", $"/{hash}", $"/{hash}/", "/checkpoint", $"/x/../{hash}/checkpoint", $"/{hash}%2fcheckpoint",
        ];
        foreach (string spelling in spellings)
        {
            string answer = _witness.Raw($"GET {spelling} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
            Assert.True(answer.StartsWith("HTTP/1.1 404 ", StringComparison.Ordinal), $"{spelling}: {answer}");
        }

        await _witness.CheckStateAsync(_log, 5);
    }

    [Fact]
    public async Task N09_a_query_and_an_absolute_target_answer_the_checkpoint()
    {
        await _witness.CosignAsync(_log, 0, 5);
        string plain = _witness.Raw($"GET {_log.MonitorPath} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
        string body = plain[plain.IndexOf("\r\n\r\n", StringComparison.Ordinal)..];
        foreach (string target in new[] { $"{_log.MonitorPath}?", $"{_log.MonitorPath}?cachebust=1", $"http://other.example{_log.MonitorPath}", $"http://w:80{_log.MonitorPath}?x" })
        {
            string answer = _witness.Raw($"GET {target} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
            Assert.StartsWith("HTTP/1.1 200 ", answer);
            Assert.EndsWith(body, answer);
        }
    }

    [Theory]
    [InlineData("POST")]
    [InlineData("PUT")]
    [InlineData("DELETE")]
    [InlineData("OPTIONS")]
    public async Task TW72_H08_other_methods_are_405(string method)
    {
        foreach (string path in new[] { _log.MonitorPath, "/", "/healthz", "/readyz", "/status", "/metrics" })
        {
            Answer answer = await _witness.SendAsync(new HttpMethod(method), path, null);
            TestWitness.CheckProblem(answer, 405, "method-not-allowed");
            Assert.Equal(["GET", "HEAD"], answer.Allow);
        }
    }

    [Fact]
    public async Task TW72_H08_HEAD_is_GET_without_the_body()
    {
        await _witness.CosignAsync(_log, 0, 5);
        foreach (string path in new[] { _log.MonitorPath, "/healthz", "/nowhere" })
        {
            string get = _witness.Raw($"GET {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
            string head = _witness.Raw($"HEAD {path} HTTP/1.1\r\nHost: w\r\nConnection: close\r\n\r\n");
            Assert.Equal(WithoutDate(get[..(get.IndexOf("\r\n\r\n", StringComparison.Ordinal) + 4)]), WithoutDate(head));
        }

        static string WithoutDate(string head) => string.Join("\r\n", head.Split("\r\n").Where(line => !line.StartsWith("Date:", StringComparison.Ordinal)));
    }

    [Fact]
    public async Task TW74_never_cosigned_is_404()
    {
        Answer answer = await _witness.GetAsync(_log.MonitorPath);
        TestWitness.CheckRefusal(answer, 404, "never cosigned");
        TestWitness.CheckRefusal(await _witness.GetAsync(new TestLog("example.com/unknown").MonitorPath), 404, "never cosigned");
        // A refused checkpoint is not a cosigned one.
        await _witness.PostAsync(TestLog.Body(0, [_log.Root(1)], _log.Checkpoint(5)));
        await _witness.CheckStateAsync(_log, -1);
    }

    [Fact]
    public async Task TW75_TW78_each_checkpoint_is_seen_with_its_200()
    {
        for (int size = 1; size <= 60; size++)
        {
            Answer answer = await _witness.PostAsync(_log.Request(size - 1, size));
            Assert.EndsWith(answer.Text, (await _witness.GetAsync(_log.MonitorPath)).Text);
            await _witness.CheckStateAsync(_log, size);
        }
    }

    [Fact]
    public async Task TW77_lines_that_were_not_verified_are_not_shown()
    {
        string forged = new NoteSignature(_witness.Vkey.Name, _witness.Vkey.KeyId, new byte[Cosignature.Ed25519Size]).ToLine();
        string stranger = TestLog.Signer("stranger.example", 1).Sign(Encoding.UTF8.GetBytes(_log.Text(5))).ToLine();
        await _witness.PostAsync(TestLog.Body(0, [], _log.Text(5) + "\n" + forged + stranger + _log.NoteSigner.Sign(Encoding.UTF8.GetBytes(_log.Text(5))).ToLine()));
        string text = (await _witness.GetAsync(_log.MonitorPath)).Text;
        Assert.DoesNotContain("stranger", text);
        Assert.DoesNotContain(forged, text);
        await _witness.CheckStateAsync(_log, 5);
    }

    [Fact]
    public async Task A_log_that_is_taken_off_the_list_is_refused_and_shown_and_goes_on_when_it_comes_back_W19()
    {
        TestLog other = new("example.com/second");
        await _witness.CosignAsync(_log, 0, 5);
        _witness.SetLogs(other);
        await _witness.RestartAsync();
        TestWitness.CheckRefusal(await _witness.PostAsync(_log.Request(5, 7)), 404, "unknown log");
        await _witness.CheckStateAsync(_log, 5);
        Assert.Contains("not on the list", (await _witness.GetAsync("/")).Text);
        _witness.SetLogs(_log, other);
        await _witness.RestartAsync();
        TestWitness.CheckConflict(await _witness.PostAsync(_log.Request(0, 7)), 5);
        await _witness.CosignAsync(_log, 5, 7);
    }

    [Fact]
    public async Task The_page_names_the_witness_and_its_logs()
    {
        await _witness.CosignAsync(_log, 0, 5);
        Answer page = await _witness.GetAsync("/");
        Assert.Equal("text/html; charset=utf-8", page.ContentType);
        Assert.Contains(System.Net.WebUtility.HtmlEncode(_witness.Vkey.Name), page.Text);
        Assert.Contains($"<td>{_log.Origin}</td><td class=\"n\"><a href=\"{_log.MonitorPath[1..]}\">5</a></td><td>20", page.Text);
        Assert.Equal("ok\n", (await _witness.GetAsync("/healthz")).Text);
        Assert.Equal("ok\n", (await _witness.GetAsync("/readyz")).Text);
        string metrics = (await _witness.GetAsync("/metrics")).Text;
        Assert.Contains("tlog_witness_halted 0\n", metrics);
        Assert.Contains("tlog_witness_add_checkpoint_total{status=\"200\"} 1\n", metrics);
        Assert.Contains($"tlog_witness_cosigned_size{{origin=\"{_log.Origin}\"}} 5\n", metrics);
        Assert.Matches("\ntlog_syncs_total{call=\"fdatasync\"} [1-9][0-9]*\ntlog_syncs_total{call=\"fsync\"} [1-9][0-9]*\n", metrics);
        Assert.Matches("\ntlog_written_bytes_total [1-9][0-9]*\n", metrics);
    }

    /// <summary>The vkeys can be copied from the page: the browser sees what create has printed.</summary>
    [Fact]
    public async Task The_page_has_the_keys_refusals_by_kind_and_no_script()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.PostAsync(_log.Request(0, 7));
        await _witness.PostAsync(_log.Request(1, 7));
        await _witness.PostAsync(TestLog.Body(5, [_log.Root(1)], _log.Checkpoint(7)));
        await _witness.PostAsync(TestLog.Body(5, [], _log.Text(7) + "\n" + TestLog.Signer("stranger.example", 1).Sign(Encoding.UTF8.GetBytes(_log.Text(7))).ToLine()));
        await _witness.PostAsync(TestLog.Body(9, [], _log.Checkpoint(7)));
        Answer page = await _witness.GetAsync("/");
        Assert.Contains(_witness.Vkey.ToString(), System.Net.WebUtility.HtmlDecode(page.Text));
        Assert.Contains("<td>1 malformed, 1 not signed, 2 another old size, 1 not consistent</td>", page.Text);
        Assert.DoesNotContain("<script", page.Text, StringComparison.OrdinalIgnoreCase);
        Assert.StartsWith("default-src 'none'", Assert.Single(page.Headers.GetValues("Content-Security-Policy")));
        string metrics = (await _witness.GetAsync("/metrics")).Text;
        Assert.Contains($"tlog_witness_refusals_total{{origin=\"{_log.Origin}\",status=\"409\"}} 2\n", metrics);
        Assert.Contains($"tlog_witness_refusals_total{{origin=\"{_log.Origin}\",status=\"403\"}} 1\n", metrics);
        Assert.DoesNotContain("status=\"429\"", metrics);
    }

    [Fact]
    public async Task Status_says_the_same_to_machines()
    {
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.PostAsync(_log.Request(0, 7));
        Answer answer = await _witness.GetAsync("/status");
        Assert.Equal("application/json", answer.ContentType);
        using System.Text.Json.JsonDocument json = System.Text.Json.JsonDocument.Parse(answer.Text);
        System.Text.Json.JsonElement status = json.RootElement, log = Assert.Single(status.GetProperty("logs").EnumerateArray());
        Assert.Equal(_witness.Vkey.Name, status.GetProperty("name").GetString());
        Assert.Equal(_witness.Vkey.ToString(), status.GetProperty("vkeys")[0].GetString());
        Assert.Equal(System.Text.Json.JsonValueKind.Null, status.GetProperty("trouble").ValueKind);
        Assert.Equal((_log.Origin, true, 5), (log.GetProperty("origin").GetString(), log.GetProperty("listed").GetBoolean(), log.GetProperty("size").GetInt64()));
        Assert.Equal(_log.MonitorPath, $"/{log.GetProperty("originHash").GetString()}/checkpoint");
        Assert.Equal(_log.Root(5).ToString(), log.GetProperty("root").GetString());
        Assert.Equal((1, 0), (log.GetProperty("refusals").GetProperty("another old size").GetInt64(), log.GetProperty("refusals").GetProperty("malformed").GetInt64()));
        Assert.Equal(System.Text.Json.JsonValueKind.Null, log.GetProperty("evidence").ValueKind);
    }

    [Fact]
    public async Task What_lists_say_is_escaped_on_the_page()
    {
        const string Origin = "<script>alert('1')</script> & \"more\"";
        await using TestWitness witness = TestWitness.Create();
        await File.WriteAllTextAsync(witness.LogsFile, $"logs/v0\nvkey {_log.NoteSigner.Key}\norigin {Origin}\nqpd 1\ncontact c\n");
        await witness.StartAsync();
        string page = (await witness.GetAsync("/")).Text;
        Assert.DoesNotContain("<script", page, StringComparison.OrdinalIgnoreCase);
        Assert.Contains($"<td>{Origin}</td>", System.Net.WebUtility.HtmlDecode(page));
        Assert.Contains("tlog_witness_cosigned_size{origin=\"<script>alert('1')</script> & \\\"more\\\"\"} 0\n", (await witness.GetAsync("/metrics")).Text);
    }
}
