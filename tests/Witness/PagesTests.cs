using System.Globalization;
using System.Text.Json;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.Witness;

/// <summary>N-06: what grows with the number of logs comes in pages.</summary>
public sealed partial class PagesTests
{
    private static TestLog[] Logs(int count) => [.. Enumerable.Range(0, count).Select(i => new TestLog(string.Create(CultureInfo.InvariantCulture, $"example.com/page{i:D4}"), 1))];

    [Fact]
    public async Task N06_the_pages_of_the_status_are_the_whole_of_it_in_order()
    {
        TestLog[] logs = Logs(7);
        await using TestWitness witness = await TestWitness.StartAsync(logs);
        await witness.CosignAsync(logs[3], 0, 1);
        JsonElement whole = await StatusAsync(witness, "/status");
        Assert.Equal(JsonValueKind.Null, whole.GetProperty("next").ValueKind);
        string[] all = [.. whole.GetProperty("logs").EnumerateArray().Select(log => log.GetRawText())];
        Assert.Equal(logs.Select(log => log.Origin), whole.GetProperty("logs").EnumerateArray().Select(log => log.GetProperty("origin").GetString()));
        for (int limit = 1; limit <= 8; limit++)
        {
            List<string> paged = [];
            string? from = null;
            do
            {
                JsonElement page = await StatusAsync(witness, $"/status?limit={limit}{(from is null ? "" : $"&from={from}")}");
                Assert.InRange(page.GetProperty("logs").GetArrayLength(), 1, limit);
                Assert.Equal(whole.GetProperty("name").GetString(), page.GetProperty("name").GetString());
                paged.AddRange(page.GetProperty("logs").EnumerateArray().Select(log => log.GetRawText()));
                from = page.GetProperty("next").GetString();
            }
            while (from is not null);
            Assert.Equal(all, paged);
        }

        // In the other order, without a limit, and with nothing changed between an answer and its parts.
        JsonElement last = await StatusAsync(witness, $"/status?from={whole.GetProperty("logs")[6].GetProperty("originHash")}&limit=4096");
        Assert.Equal(all[6..], last.GetProperty("logs").EnumerateArray().Select(log => log.GetRawText()));
        last = await StatusAsync(witness, $"/status?from={whole.GetProperty("logs")[5].GetProperty("originHash")}");
        Assert.Equal(all[5..], last.GetProperty("logs").EnumerateArray().Select(log => log.GetRawText()));
    }

    [Fact]
    public async Task N06_a_witness_of_no_log_has_a_status_and_a_page()
    {
        await using TestWitness witness = TestWitness.Create();
        await File.WriteAllTextAsync(witness.LogsFile, "# none yet\n");
        if (await Record.ExceptionAsync(witness.StartAsync) is not null) return; // where a list has to name a log, there is always one
        JsonElement status = await StatusAsync(witness, "/status?limit=1");
        Assert.Equal(0, status.GetProperty("logs").GetArrayLength());
        Assert.Equal(JsonValueKind.Null, status.GetProperty("next").ValueKind);
        Assert.Contains("0 logs", (await witness.GetAsync("/")).Text);
    }

    [Fact]
    public async Task N06_the_page_shows_500_logs_and_leads_to_the_others_under_any_prefix()
    {
        TestLog[] logs = Logs(501);
        await using TestWitness witness = await TestWitness.StartAsync(logs);
        string first = (await witness.GetAsync("/")).Text;
        Assert.Contains("<h2>501 logs</h2>", first);
        Assert.Equal(500, Origins(first).Length);
        string next = Next().Match(first).Groups["query"].Value;
        Assert.StartsWith("?from=", next); // relative: it stays where the page is
        string second = (await witness.GetAsync("/" + next)).Text;
        Assert.EndsWith("</html>\n", second);
        Assert.Equal(logs.Select(log => log.Origin), [.. Origins(first), .. Origins(second)]);
        Assert.DoesNotMatch(Next(), second);
        Assert.Equal(3, Origins((await witness.GetAsync("/?limit=3")).Text).Length);
    }

    /// <summary>As many logs as there may be: the answers of both forms are large ones, made once and shared, and still right.</summary>
    [Fact]
    public async Task N06_4096_logs_are_all_in_the_status_the_metrics_and_the_page()
    {
        TestLog[] logs = Logs(4096);
        await using TestWitness witness = await TestWitness.StartAsync(logs);
        JsonElement usual = await StatusAsync(witness, "/status"), whole = await StatusAsync(witness, "/status?limit=4096");
        Assert.Equal(1000, usual.GetProperty("logs").GetArrayLength());
        Assert.Equal(logs[1000].Origin, (await StatusAsync(witness, $"/status?limit=1&from={usual.GetProperty("next").GetString()}")).GetProperty("logs")[0].GetProperty("origin").GetString());
        Assert.Equal(logs.Select(log => log.Origin), whole.GetProperty("logs").EnumerateArray().Select(log => log.GetProperty("origin").GetString()));
        string metrics = (await witness.GetAsync("/metrics")).Text;
        Assert.Equal(4096, metrics.Split('\n').Count(line => line.StartsWith("tlog_witness_cosigned_size{", StringComparison.Ordinal)));
        Assert.Equal(4096, Origins((await witness.GetAsync("/?limit=4096")).Text).Length);
    }

    private static async Task<JsonElement> StatusAsync(TestWitness witness, string target)
    {
        Answer answer = await witness.GetAsync(target);
        Assert.True(answer.Status == 200, $"{target}: {answer.Text}");
        Assert.Equal("application/json", answer.ContentType);
        return JsonDocument.Parse(answer.Text).RootElement;
    }

    private static string[] Origins(string page) => [.. Row().Matches(page).Select(match => match.Groups["origin"].Value)];

    [GeneratedRegex("<tr><td>(?<origin>[^<]*)</td>", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex Row();

    [GeneratedRegex("<a href=\"(?<query>\\?from=[0-9a-f]{64})\">", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex Next();
}
