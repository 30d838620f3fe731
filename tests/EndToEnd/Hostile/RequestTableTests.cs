using System.Text;
using System.Text.Json;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Both programs, one for all cases of the table: after each of them it must answer the next.</summary>
public sealed class HostileServers : IAsyncLifetime
{
    internal BothServers Servers { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Servers = await BothServers.StartAsync();

    public ValueTask DisposeAsync() => Servers.DisposeAsync();
}

/// <summary>spec/reliability.md, rows H and L, in exact bytes (requests.txt) against the real programs. A row is a test; its cases are the lines of the table.</summary>
public sealed class RequestTableTests(HostileServers fixture) : IClassFixture<HostileServers>
{
    /// <summary>A word that the cases put where it might come back.</summary>
    private const string Marker = "XECHOX";

    private static readonly string[] Telling = ["Kestrel", "System.", "Microsoft", "   at ", "/dev/shm", "/tmp/", ".cs:", "Exception", "tlog-server", Marker];

    private static readonly IReadOnlyList<RequestCase> Cases = RequestTable.Read(Path.Combine(Programs.Root, "tests/EndToEnd/Hostile/requests.txt"));

    private readonly BothServers _servers = fixture.Servers;

    [Fact]
    public Task H04_bodies_over_the_limit_are_413_before_they_are_read() => RowAsync("H-04", 10);

    [Fact]
    public Task H05_an_encoded_body_is_415_and_not_decoded() => RowAsync("H-05", 10);

    [Fact]
    public Task H06_both_lengths_are_400_and_the_connection_ends() => RowAsync("H-06", 30);

    [Fact]
    public Task H07_broken_framing_is_refused_and_the_connection_ends() => RowAsync("H-07", 100);

    [Fact]
    public Task H08_a_method_that_is_not_of_the_resource_is_405() => RowAsync("H-08", 30);

    [Fact]
    public Task H09_other_forms_of_a_target_are_400_or_404() => RowAsync("H-09", 20);

    [Fact]
    public Task H10_HTTP_2_is_not_spoken() => RowAsync("H-10", 8);

    [Fact]
    public Task H11_what_begins_like_TLS_is_refused_and_the_connection_ends() => RowAsync("H-11", 4);

    [Fact]
    public Task H12_nothing_of_a_request_comes_back() => RowAsync("H-12", 20);

    [Fact]
    public Task H16_ranges_and_conditions_change_nothing() => RowAsync("H-16", 20);

    [Fact]
    public Task H17_forwarded_headers_change_nothing() => RowAsync("H-17", 10);

    [Fact]
    public Task L01_no_path_leads_out_of_the_log() => RowAsync("L-01", 40);

    [Fact]
    public Task L02_a_resource_has_one_spelling() => RowAsync("L-02", 40);

    [Fact]
    public Task L03_an_index_has_one_spelling() => RowAsync("L-03", 15);

    [Fact]
    public Task L04_a_width_is_1_to_255() => RowAsync("L-04", 15);

    [Fact]
    public Task L05_levels_and_indexes_beyond_the_tree_are_404() => RowAsync("L-05", 15);

    [Fact]
    public Task L10_a_query_where_none_belongs_is_404() => RowAsync("L-10", 12);

    [Fact]
    public Task N09_a_length_is_digits_and_an_absolute_target_or_one_with_a_query_is_its_path() => RowAsync("N-09", 60);

    [Fact]
    public void Every_row_of_the_table_is_a_test()
    {
        string[] tested = [.. typeof(RequestTableTests).GetMethods().Select(method => method.Name).Where(name => name[0] is 'H' or 'L' or 'N' && name[3] == '_').Select(name => $"{name[0]}-{name[1..3]}").Distinct()];
        Assert.Equal(Cases.Select(one => one.Row).Distinct().Order(StringComparer.Ordinal), tested.Order(StringComparer.Ordinal));
    }

    /// <summary>
    /// Whatever is asked for, no file is opened by its name: both programs have theirs open since the start. So there is no name for a symbolic link in the data directory to stand
    /// behind either. Opened later: what the runtime loads, and what it reads of itself.
    /// </summary>
    [Fact]
    public async Task L01_no_path_of_a_request_reaches_the_file_system()
    {
        if (await Trace.WhyNotAsync() is string missing) Assert.Skip(missing);
        string[] traces = [];
        double asked;
        using Scratch kept = new();
        Directory.CreateDirectory(kept["t"]);
        await using (BothServers servers = await BothServers.StartAsync(start: (_, program, arguments, environment) =>
        {
            traces = [.. traces, Path.Combine(kept["t"], Path.GetFileName(program))];
            return Trace.Start(traces[^1], program, arguments, environment);
        }))
        {
            asked = TimeProvider.System.GetUtcNow().ToUnixTimeMilliseconds() / 1000.0;
            List<string> wrong = [];
            foreach (RequestCase one in Cases.Where(one => one.Row is "L-01" or "L-02" or "L-05"))
            {
                foreach (HostileTarget target in servers.Both)
                {
                    if ((target == servers.Log ? one.ForLog : one.ForWitness) && await AskAsync(target, one) is string why) wrong.Add($"{target.Name}: {one.What}: {why}");
                }
            }

            Assert.True(wrong.Count == 0, string.Join('\n', wrong));
            foreach (HostileTarget target in servers.Both) Assert.Equal(0, (await target.Program.StopAsync()).ExitCode);
        }

        Assert.Equal(2, traces.Length);
        foreach (string trace in traces)
        {
            List<SystemCall> calls = await Trace.ReadAsync(trace);
            string[] opened = [.. calls.Where(call => call.Name is "openat" or "creat").Select(call => (call.Seconds, Path: call.Arguments.Split('"') is [_, string path, ..] ? path : "")).Where(call => call.Seconds >= asked).Select(call => call.Path)];
            Assert.Contains(calls, call => call.Name == "openat" && call.Arguments.Contains("/journal", StringComparison.Ordinal)); // the tracer sees names
            Assert.DoesNotContain(opened, path => path.Contains("passwd", StringComparison.Ordinal) || path.Contains("key", StringComparison.Ordinal) || path.Contains("win.ini", StringComparison.Ordinal));
            Assert.DoesNotContain(opened, path => !(path.EndsWith(".dll", StringComparison.Ordinal) || path.Contains(".so", StringComparison.Ordinal) || path.StartsWith("/proc/", StringComparison.Ordinal) || path.StartsWith("/sys/", StringComparison.Ordinal)
                || path.StartsWith("/dev/shm/tlog-end-to-end-", StringComparison.Ordinal)));
        }
    }

    /// <summary>What the checks below are for: each of these answers has to be refused by them.</summary>
    [Theory]
    [InlineData("a stack trace", "HTTP/1.1 404 Not Found\r\nX-Content-Type-Options: nosniff\r\nContent-Type: text/plain\r\n\r\n", "   at Foo.Bar()")]
    [InlineData("an echo", "HTTP/1.1 404 Not Found\r\nX-Was: XECHOX\r\n\r\n", "")]
    [InlineData("a program's name", "HTTP/1.1 200 OK\r\nServer: Kestrel\r\n\r\n", "")]
    [InlineData("a body to be guessed", "HTTP/1.1 404 Not Found\r\nContent-Type: text/plain\r\n\r\n", "x")]
    [InlineData("a body without a type", "HTTP/1.1 404 Not Found\r\nX-Content-Type-Options: nosniff\r\n\r\n", "x")]
    [InlineData("a problem that is none", "HTTP/1.1 404 Not Found\r\nX-Content-Type-Options: nosniff\r\nContent-Type: application/problem+json\r\n\r\n", "{\"status\":400}")]
    [InlineData("another status", "HTTP/1.1 302 Found\r\n\r\n", "")]
    public void Control_an_answer_that_tells_too_much_is_noticed(string what, string head, string body)
    {
        RequestCase one = new("H-13", what, true, true, [404, 200], false, "");
        Assert.NotNull(WhyNot(one, new RawAnswer(int.Parse(head.AsSpan(9, 3)), head, Encoding.UTF8.GetBytes(body))));
    }

    private async Task RowAsync(string row, int least)
    {
        string before = await _servers.StateAsync();
        List<string> wrong = [];
        int asked = 0;
        foreach (RequestCase one in Cases.Where(one => one.Row == row))
        {
            foreach (HostileTarget target in _servers.Both)
            {
                if (!(target == _servers.Log ? one.ForLog : one.ForWitness)) continue;
                asked++;
                if (await AskAsync(target, one) is string why) wrong.Add($"{target.Name}: {one.What}: {why}");
            }
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.InRange(asked, least, 10_000);
        Assert.Equal(before, await _servers.StateAsync());
    }

    /// <summary>Why a case did not go as it must; null when it did.</summary>
    private static async Task<string?> AskAsync(HostileTarget target, RequestCase one)
    {
        byte[] bytes = RequestTable.Expand(one.Bytes, target.Words);
        using RawConnection connection = await RawConnection.OpenAsync(target.Url);
        Task<bool> sending = connection.SendAsync(bytes);
        try
        {
            RawAnswer? answer = await connection.ReceiveAsync(isHead: bytes.AsSpan().StartsWith("HEAD "u8));
            await sending;
            if (answer is null) return one.Statuses.Count == 0 ? null : "no answer";
            if (one.Statuses.Count == 0) return $"answered {answer}";
            if (WhyNot(one, answer) is string why) return $"{why}: {answer}";
            if (one.Closes) return await connection.EndsAsync() ? null : $"the connection stays open behind {answer}";

            // The server must stand where we do: the next request is the next one for it too.
            await connection.SendAsync($"GET {target.Words.Get} HTTP/1.1\r\nHost: {target.Words.Host}\r\nConnection: close\r\n\r\n");
            RawAnswer? next = await connection.ReceiveAsync();
            return next is { Status: 200 } && await connection.EndsAsync() ? null : $"the next request is answered {next?.ToString() ?? "by the end of the connection"}, behind {answer}";
        }
        catch (Exception failure) when (failure is CheckFailedException or TimeoutException)
        {
            return failure.Message;
        }
    }

    /// <summary>H-12, H-13: what an answer may not hold, whatever was asked.</summary>
    private static string? WhyNot(RequestCase one, RawAnswer answer)
    {
        if (!one.Statuses.Contains(answer.Status)) return $"{answer.Status} instead of {string.Join(" or ", one.Statuses)}";
        if (answer["Server"] is not null) return "it names its program";
        if (answer.Status == 200 && answer["Content-Type"] == "text/plain; version=0.0.4; charset=utf-8") return null; // figures for the operator: names of namespaces may be among them
        if (Telling.FirstOrDefault(word => answer.ToString().Contains(word, StringComparison.Ordinal)) is string word) return $"it says {word}";
        if (answer.Body.Length > 0 && (answer["X-Content-Type-Options"] != "nosniff" || answer["Content-Type"] is null)) return "the type of its body is left to be guessed";
        if (answer.Status < 400 || answer.Body.Length == 0) return null;
        if (answer["Content-Type"] is "text/plain; charset=utf-8" or "text/x.tlog.size") return null; // where tlog-witness fixes the status
        if (answer["Content-Type"] != "application/problem+json") return "an error that is no problem+json";
        using JsonDocument problem = JsonDocument.Parse(answer.Body);
        bool whole = problem.RootElement.TryGetProperty("type", out JsonElement type) && type.GetString()!.StartsWith("urn:transparency-log:problem:", StringComparison.Ordinal)
            && problem.RootElement.TryGetProperty("status", out JsonElement status) && status.GetInt32() == answer.Status && answer["Cache-Control"] == "no-store";
        return whole ? null : "a problem without its type or its status, or one that may be cached";
    }
}
