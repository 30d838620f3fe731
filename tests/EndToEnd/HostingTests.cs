// What both servers do with their surroundings: settings, working directory, standard streams, the address they listen on.

using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>tlog-server and tlog-witness as real programs, asked the same questions: rows N-13, N-17, N-18, N-20, N-21.</summary>
public sealed class HostingTests
{
    private const int Usage = 2, Trouble = 4;

    /// <summary>Both programs.</summary>
    public static TheoryData<string> Both => ["tlog-server", "tlog-witness"];

    // ---- N-13: settings

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N13_what_is_nearly_a_setting_ends_the_start_with_2_and_is_named(string program)
    {
        using Scratch scratch = new();
        string[] serve = await MadeAsync(program, scratch);
        string prefix = program == "tlog-server" ? "TLOG_" : "TLOG_WITNESS_";
        await File.WriteAllTextAsync(scratch["config"], """{ "body-limit": 60 }""");
        (string[] More, string Variable, string Value, string Named)[] wrong =
        [
            (["--config", scratch["config"]], "X", "", $"config: {scratch["config"]}: 'body-limit' is not a setting of {program}; the nearest is body-limit-s"),
            (["--body-limit", "60"], "X", "", "unknown option --body-limit; the nearest is --body-limit-s"),
            ([], $"{prefix}BODY_LIMIT", "60", $"environment: {prefix}BODY_LIMIT is not a setting of {program}; the nearest is {prefix}BODY_LIMIT_S"),
            ([], $"{prefix}BODY_LIMIT_S", "301", $"body-limit-s: '301' is not a whole number from 1 to 300 ({prefix}BODY_LIMIT_S)"),
            ([], $"{prefix}CONFIG", scratch["absent"], "config: no such file: "),
        ];
        foreach ((string[] more, string variable, string value, string named) in wrong)
        {
            await using RunningProgram server = Start(program, [.. serve, .. more], new() { [variable] = value });
            AssertRefusal(await server.EndAsync(), program, Usage, named);
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N13_variables_of_a_container_platform_are_not_read_and_unknown_ones_are_listed_once(string program)
    {
        using Scratch scratch = new();
        await using RunningProgram server = Start(program, await MadeAsync(program, scratch), new()
        {
            ["TLOG_PORT"] = "tcp://10.0.0.1:2025",
            ["TLOG_PORT_2025_TCP"] = "tcp://10.0.0.1:2025",
            ["TLOG_SERVICE_HOST"] = "10.0.0.1",
            ["TLOG_WITNESS_SERVICE_PORT"] = "2026",
            ["TLOG_SOMETHING_ELSE"] = "x",
            ["TLOG_ANOTHER_COLOUR"] = "x",
        });
        await server.ListeningAsync();
        Ended ended = await server.StopAsync();
        Assert.Equal(0, ended.ExitCode);
        Assert.Single(ended.Errors.Split('\n'), line => line.EndsWith($"environment: TLOG_ANOTHER_COLOUR, TLOG_SOMETHING_ELSE: not settings of {program}, not read", StringComparison.Ordinal));
        Assert.DoesNotContain("TLOG_PORT", ended.Errors, StringComparison.Ordinal);
        Assert.DoesNotContain("SERVICE", ended.Errors, StringComparison.Ordinal);
    }

    // ---- N-17: nothing but the settings

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N17_nothing_is_watched_and_no_file_or_variable_of_a_web_host_counts(string program)
    {
        using Scratch scratch = new();
        string[] serve = await MadeAsync(program, scratch);
        Directory.CreateDirectory(scratch["folder/wwwroot"]);
        foreach (string name in (string[])["appsettings.json", "appsettings.Production.json", "appsettings.Development.json", $"{program}.settings.json"])
        {
            await File.WriteAllTextAsync(scratch[$"folder/{name}"], "{ this is not JSON");
        }

        Dictionary<string, string> environment = new()
        {
            ["ASPNETCORE_URLS"] = "http://192.0.2.7:1",
            ["ASPNETCORE_HTTP_PORTS"] = "1",
            ["ASPNETCORE_CONTENTROOT"] = "/nonexistent",
            ["ASPNETCORE_WEBROOT"] = "/nonexistent",
            ["ASPNETCORE_ENVIRONMENT"] = "Development",
            ["ASPNETCORE_HOSTINGSTARTUPASSEMBLIES"] = "Nothing.Of.This.Name",
            ["ASPNETCORE_Kestrel__Endpoints__Other__Url"] = "http://192.0.2.7:1",
            ["DOTNET_CONTENTROOT"] = "/nonexistent",
            ["DOTNET_ENVIRONMENT"] = "Development",
            ["DOTNET_hostBuilder__reloadConfigOnChange"] = "true",
            ["Kestrel__Endpoints__Other__Url"] = "http://192.0.2.7:1",
            ["Logging__LogLevel__Default"] = "None",
            ["URLS"] = "http://192.0.2.7:1",
            ["contentRoot"] = "/nonexistent",
        };
        foreach (string folder in (string[])["/", scratch["folder"]])
        {
            await using RunningProgram server = Start("sh", ["-c", "cd \"$1\" && shift && exec \"$@\"", "sh", folder, Path.Combine(Programs.Root, "bin", program), .. serve], environment);
            Uri url = await server.ListeningAsync();
            Assert.Equal("127.0.0.1", url.Host);
            Assert.Equal(0, Watches(server.ProcessId));
            using HttpClient http = new();
            Assert.NotEmpty(await http.GetStringAsync(new Uri(url, "/metrics")));
            Assert.Equal(0, Watches(server.ProcessId));
            Ended ended = await server.StopAsync();
            Assert.Equal(0, ended.ExitCode);
            Assert.Contains("info: ", ended.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task N17_the_count_of_watches_notices_one()
    {
        using Scratch scratch = new();
        using FileSystemWatcher watcher = new(Directory.CreateDirectory(scratch["folder"]).FullName) { EnableRaisingEvents = true };
        Assert.True(await Until.TrueAsync(() => Task.FromResult(Watches(Environment.ProcessId) > 0), Until.Patience));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N17_a_server_starts_where_no_inotify_instance_is_left(string program)
    {
        using Scratch scratch = new();
        if ((await Programs.RunAsync("unshare", "-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_instances")).ExitCode != 0) Privileges.Skip("a limit of inotify needs a user namespace");
        string[] serve = await MadeAsync(program, scratch);
        await using RunningProgram server = Start("unshare", ["-Ur", "sh", "-c", "echo 0 > /proc/sys/user/max_inotify_instances; exec \"$@\"", "sh", Path.Combine(Programs.Root, "bin", program), .. serve]);
        await server.ListeningAsync();
        Assert.Equal(0, (await server.StopAsync()).ExitCode);
    }

    // ---- N-18: nobody reads

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N18_with_a_full_pipe_as_standard_error_a_server_starts_serves_and_ends(string program)
    {
        using Scratch scratch = new();
        await using RunningProgram server = await StartIntoFullPipeAsync(program, scratch, "2>&3");
        Uri url = await server.ListeningAsync();
        using HttpClient http = new();
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri(url, "/healthz"))).StatusCode);
        Assert.Contains("tlog_log_lines_dropped_total 0", await http.GetStringAsync(new Uri(url, "/metrics")), StringComparison.Ordinal);
        Ended ended = await server.StopAsync();
        Assert.True(ended.ExitCode == 0, ended.ToString());
        Assert.Empty(ended.Errors);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N18_with_a_full_pipe_as_standard_error_a_refusal_ends_with_its_code(string program)
    {
        using Scratch scratch = new();
        await using RunningProgram server = await StartIntoFullPipeAsync(program, scratch, "2>&3", "--body-limit-s", "301");
        Assert.Equal(Usage, (await server.EndAsync()).ExitCode);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N18_with_a_full_pipe_as_standard_output_a_server_serves_and_ends(string program)
    {
        using Scratch scratch = new();
        await using RunningProgram server = await StartIntoFullPipeAsync(program, scratch, ">&3");
        await ServesAndEndsAsync(server);
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N18_a_standard_output_that_cannot_be_written_stops_nothing(string program)
    {
        using Scratch scratch = new();
        await using RunningProgram server = Start("sh", ["-c", "exec \"$@\" > /dev/full", "sh", Path.Combine(Programs.Root, "bin", program), .. await MadeAsync(program, scratch)]);
        await ServesAndEndsAsync(server);
    }

    // ---- N-20: the address

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N20_an_address_that_cannot_be_listened_on_is_one_line_and_the_same_from_both(string program)
    {
        using Scratch scratch = new();
        string[] serve = await MadeAsync(program, scratch);
        using TcpListener taken = new(IPAddress.Loopback, 0);
        taken.Start();
        (string Address, int Code, string Reason)[] wrong =
        [
            ("http://[::ffff:127.0.0.1]:0", Usage, "is an IPv4 address written as IPv6; write http://127.0.0.1:0"),
            ("http://[fe80::1%25lo]:0", Usage, "is a link-local address"),
            ("http://[fe80::1]:0", Usage, "is a link-local address"),
            ("http://[ff02::1]:0", Usage, "is a multicast address"),
            ("http://224.0.0.1:0", Usage, "is a multicast or broadcast address"),
            ("http://255.255.255.255:0", Usage, "is a multicast or broadcast address"),
            ("http://localhost:0", Usage, "cannot have port 0"),
            ("http://log.example:2025", Usage, "is not http://ADDRESS:PORT"),
            ("https://127.0.0.1:0", Usage, "is not http://ADDRESS:PORT"),
            ("http://192.0.2.7:3999", Trouble, "no interface of this machine has the address now"),
            ($"http://{taken.LocalEndpoint}", Trouble, $"port {((IPEndPoint)taken.LocalEndpoint).Port.ToString(CultureInfo.InvariantCulture)} is in use by another socket"),
        ];
        foreach ((string address, int code, string reason) in wrong)
        {
            await using RunningProgram server = Start(program, [.. serve, "--listen", address]);
            Ended ended = await server.EndAsync();
            if (code == Usage) AssertRefusal(ended, program, code, $"listen: '{address}' {reason}");
            else AssertLastLine(ended, program, code, $"{program}: listen: cannot listen on {address}: {reason}");
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N20_a_port_that_only_root_may_open_is_2(string program)
    {
        if (int.Parse(await File.ReadAllTextAsync("/proc/sys/net/ipv4/ip_unprivileged_port_start"), CultureInfo.InvariantCulture) < 2) Privileges.Skip("every port may be opened by everybody here");
        using Scratch scratch = new();
        string[] serve = [.. await MadeAsync(program, scratch), "--listen", "http://127.0.0.1:1"], command = [Path.Combine(Programs.Root, "bin", program), .. serve];
        await using RunningProgram server = Environment.IsPrivilegedProcess
            ? Start("setpriv", ["--inh-caps=-net_bind_service", "--bounding-set=-net_bind_service", .. command])
            : Start(program, serve);
        AssertLastLine(await server.EndAsync(), program, Usage, $"{program}: listen: cannot listen on http://127.0.0.1:1: this user may not listen on port 1");
    }

    // ---- N-21: streams and folder

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N21_a_closed_standard_output_is_2_and_named(string program)
    {
        using Scratch scratch = new();
        string[] serve = await MadeAsync(program, scratch);
        foreach (string[] arguments in (string[][])[serve, ["create", "--data", scratch["new"], program == "tlog-server" ? "--origin" : "--name", "example.com/new"]])
        {
            await using RunningProgram server = Start("sh", ["-c", "exec \"$@\" >&-", "sh", Path.Combine(Programs.Root, "bin", program), .. arguments]);
            AssertRefusal(await server.EndAsync(), program, Usage, "standard output is closed");
            Assert.False(Directory.Exists(scratch["new"]));
        }
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N21_a_closed_standard_error_is_2_and_nothing_is_written_anywhere(string program)
    {
        using Scratch scratch = new();
        string[] serve = await MadeAsync(program, scratch);
        SortedDictionary<string, byte[]> before = Scratch.Content(scratch["data"]);
        await using RunningProgram server = Start("sh", ["-c", "exec \"$@\" 2>&-", "sh", Path.Combine(Programs.Root, "bin", program), .. serve]);
        Ended ended = await server.EndAsync();
        Assert.Equal((Usage, "", ""), (ended.ExitCode, ended.Output, ended.Errors));
        Assert.Equal(before, Scratch.Content(scratch["data"]));
    }

    [Theory]
    [MemberData(nameof(Both))]
    public async Task N21_a_server_starts_in_a_folder_that_is_gone_unless_it_has_to_read_there(string program)
    {
        using Scratch scratch = new();
        string[] serve = await MadeAsync(program, scratch);
        string gone = "mkdir \"$1\" && cd \"$1\" && rmdir \"$1\" && shift && exec \"$@\"";
        await using (RunningProgram server = Start("sh", ["-c", gone, "sh", scratch["gone"], Path.Combine(Programs.Root, "bin", program), .. serve]))
        {
            await server.ListeningAsync();
            Ended ended = await server.StopAsync();
            Assert.True(ended.ExitCode == 0, ended.ToString());
        }

        foreach (string[] relative in (string[][])[["--guard", "guard"], ["--config", "config"], .. program == "tlog-server" ? (string[][])[["--policy", "policy"]] : [["--logs", "logs"]]])
        {
            await using RunningProgram server = Start("sh", ["-c", gone, "sh", scratch["gone"], Path.Combine(Programs.Root, "bin", program), .. serve, .. relative]);
            AssertRefusal(await server.EndAsync(), program, Usage, $"{relative[0][2..]}: '");
            AssertRefusal(await server.EndAsync(), program, Usage, "the working directory of the process has been removed");
        }
    }

    // ---- what they share

    /// <summary>Makes the state of a program; returns the arguments that serve it on a free port.</summary>
    private static async Task<string[]> MadeAsync(string program, Scratch scratch)
    {
        if (program == "tlog-server")
        {
            await Programs.CreateLogAsync(scratch["data"], "--journal-file-bytes", "4194304");
            return ["serve", "--data", scratch["data"], "--listen", "http://127.0.0.1:0"];
        }

        await Programs.CreateWitnessAsync(scratch["data"], "witness.example/w1");
        await File.WriteAllTextAsync(scratch["logs"], new TransparencyLog.Tests.Witness.TestLog("example.com/hosting").PolicyLine);
        return ["serve", "--data", scratch["data"], "--logs", scratch["logs"], "--listen", "http://127.0.0.1:0"];
    }

    /// <summary>A program of ours by its name, or one of the system. A later --listen replaces the first, which the programs themselves refuse to have twice.</summary>
    private static RunningProgram Start(string program, string[] arguments, Dictionary<string, string>? environment = null)
    {
        string[] once = arguments.Count(one => one == "--listen") < 2 ? arguments : WithoutFirst(arguments, "--listen");
        if (once.Count(one => one == "--logs") == 2) once = WithoutFirst(once, "--logs");
        return RunningProgram.Start(program.StartsWith("tlog-", StringComparison.Ordinal) ? Path.Combine(Programs.Root, "bin", program) : program, once, environment);

        static string[] WithoutFirst(string[] arguments, string option)
        {
            int at = Array.IndexOf(arguments, option);
            return [.. arguments[..at], .. arguments[(at + 2)..]];
        }
    }

    /// <summary>Starts it with a stream on a full pipe.</summary>
    private static async Task<RunningProgram> StartIntoFullPipeAsync(string program, Scratch scratch, string redirection, params string[] more)
    {
        string[] serve = await MadeAsync(program, scratch);
        return FullPipe.Start(scratch["pipe"], redirection, Path.Combine(Programs.Root, "bin", program), [.. serve, .. more]);
    }

    /// <summary>Its log says where it listens, where standard output cannot.</summary>
    private static async Task ServesAndEndsAsync(RunningProgram server)
    {
        const string Word = "listening on ";
        Assert.True(await Until.TrueAsync(() => Task.FromResult(server.HasEnded || server.Errors.Contains(Word, StringComparison.Ordinal)), Until.Patience));
        Assert.False(server.HasEnded, server.Errors);
        string line = server.Errors.Split('\n').First(one => one.Contains(Word, StringComparison.Ordinal));
        using HttpClient http = new();
        Assert.Equal(HttpStatusCode.OK, (await http.GetAsync(new Uri(new Uri(line[(line.IndexOf(Word, StringComparison.Ordinal) + Word.Length)..]), "/healthz"))).StatusCode);
        Assert.Equal(0, (await server.StopAsync()).ExitCode);
    }

    /// <summary>inotify instances of a process, and their watches.</summary>
    private static int Watches(int process)
    {
        string folder = $"/proc/{process.ToString(CultureInfo.InvariantCulture)}";
        int watches = 0;
        foreach (string descriptor in Directory.EnumerateFiles($"{folder}/fd"))
        {
            try
            {
                if (new FileInfo(descriptor).LinkTarget != "anon_inode:inotify") continue;
                watches += 1 + File.ReadLines($"{folder}/fdinfo/{Path.GetFileName(descriptor)}").Count(line => line.StartsWith("inotify ", StringComparison.Ordinal));
            }
            catch (IOException)
            {
                // Closed since it was listed.
            }
        }

        return watches;
    }

    /// <summary>One line, and nothing has begun.</summary>
    private static void AssertRefusal(Ended ended, string program, int code, string named)
    {
        Assert.Single(ended.Errors.TrimEnd('\n').Split('\n'));
        AssertLastLine(ended, program, code, "");
        Assert.Contains(named, ended.Errors, StringComparison.Ordinal);
    }

    /// <summary>One line after those of the log.</summary>
    private static void AssertLastLine(Ended ended, string program, int code, string line)
    {
        Assert.True(ended.ExitCode == code, ended.ToString());
        Assert.Empty(ended.Output);
        Assert.StartsWith(line.Length > 0 ? line : $"{program}: ", ended.Errors.TrimEnd('\n').Split('\n')[^1], StringComparison.Ordinal);
        Assert.DoesNotContain("   at ", ended.Errors, StringComparison.Ordinal);
    }
}
