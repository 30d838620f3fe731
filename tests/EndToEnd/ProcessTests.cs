// What machines and operators do to a whole process: pause it, give it few descriptors or threads, put it into a container, take its disk away, end it.

using System.Diagnostics;
using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

public sealed class ProcessTests
{
    private const int Usage = 2, Refused = 3;

    [Fact]
    public async Task C02_processes_in_namespaces_of_their_own_share_one_lock()
    {
        await Privileges.RequireAsync("a namespace");
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        Observed observed = new();
        await using (RunningProgram first = Contained(scratch["log"]))
        {
            using LogClient client = new(await first.ListeningAsync());
            Assert.True(await observed.AddAsync(client, "one"u8.ToArray()));
            await using RunningProgram inside = Contained(scratch["log"]), outside = Programs.Serve(scratch["log"]);
            foreach (RunningProgram second in (RunningProgram[])[inside, outside])
            {
                Ended ended = await second.EndAsync();
                Assert.True(ended.ExitCode == Refused && ended.Errors.Contains("in use by process", StringComparison.Ordinal), ended.ToString());
            }

            Assert.True(await observed.AddAsync(client, "two"u8.ToArray()));
            first.Kill();
            await first.EndAsync();
        }

        // The lock has gone with it, and is taken from another namespace.
        await using RunningProgram next = Contained(scratch["log"]);
        using LogClient after = new(await next.ListeningAsync());
        Assert.True(await observed.AddAsync(after, "three"u8.ToArray()));
        Assert.Equal(3, await new FullCheck(vkey).RunAsync(after, observed.Acknowledged));

        static RunningProgram Contained(string directory) => RunningProgram.Start(
            "/usr/bin/unshare",
            ["--mount", "--pid", "--fork", "--kill-child", "--mount-proc", Programs.Server, "serve", "--data", directory, "--listen", "http://127.0.0.1:0"]);
    }

    /// <summary>
    /// While it sleeps its lock holds, also without the lock's file. When a copy takes the place of its directory, it wakes up with a request in its socket, entries that
    /// another process has stored meanwhile, and a lock on what is somewhere else.
    /// </summary>
    [Fact]
    public async Task C03_C04_a_process_that_slept_while_another_took_over_acknowledges_nothing()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        Observed observed = new(), ofSleeper = new();
        await using RunningProgram sleeper = Programs.Serve(scratch["log"]);
        using LogClient toSleeper = new(await sleeper.ListeningAsync());
        Assert.True(await observed.AddAsync(toSleeper, "before"u8.ToArray()));
        Assert.True(await toSleeper.WaitPublishedAsync(1));
        await Network.SuspendAsync(sleeper);
        Task<AddAnswer> late = toSleeper.AddAsync("sent while it slept"u8.ToArray());
        File.Delete(Path.Combine(scratch["log"], "lock"));
        await using (RunningProgram tooEarly = Programs.Serve(scratch["log"]))
        {
            Ended refused = await tooEarly.EndAsync();
            Assert.True(refused.ExitCode == Refused && refused.Errors.Contains("was removed or replaced", StringComparison.Ordinal), refused.ToString());
        }

        Directory.Move(scratch["log"], scratch["moved"]);
        await RunAsync("cp", "-a", scratch["moved"], scratch["log"]);
        await using RunningProgram other = Programs.Serve(scratch["log"]);
        using LogClient toOther = new(await other.ListeningAsync());
        for (int i = 0; i < 5; i++) Assert.True(await observed.AddAsync(toOther, Encoding.ASCII.GetBytes($"other {i}")));
        Network.Signal(sleeper, Network.SigCont);

        AddAnswer answer = await late;
        Assert.False(answer.IsAcknowledged, $"{answer.Status} {answer.Body}");
        Assert.False(await ofSleeper.AddAsync(toSleeper, "sent when it was awake"u8.ToArray()));
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await toSleeper.TryGetAsync("healthz")).Status);
        Assert.Equal(1, await toSleeper.PublishedSizeAsync());

        for (int i = 5; i < 10; i++) Assert.True(await observed.AddAsync(toOther, Encoding.ASCII.GetBytes($"other {i}")));
        await sleeper.StopAsync();
        FullCheck check = new(vkey);
        Assert.Equal(11, await check.RunAsync(toOther, observed.Acknowledged));
        Assert.Equal(0, (await other.StopAsync()).ExitCode);
        await using RunningProgram again = Programs.Serve(scratch["log"]);
        using LogClient after = new(await again.ListeningAsync());
        Assert.Equal(11, await check.RunAsync(after, observed.Acknowledged));
    }

    [Fact]
    public async Task C09_D25_callers_that_go_away_at_any_moment_leave_nothing_behind_and_take_nothing_back()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram server = Programs.Serve(scratch["log"]);
        Uri url = await server.ListeningAsync();
        using LogClient client = new(url);
        Dictionary<long, byte[]> acknowledged = [];
        await StormAsync(url, 0, 300, acknowledged); // the runtime grows its pool once
        (int descriptors, int threads) = await SettledAsync(server);

        int cancelled = 0;
        for (int storm = 1; storm <= 3; storm++) cancelled += await StormAsync(url, storm, 300, acknowledged);
        Assert.InRange(cancelled, 50, 880);
        Assert.InRange(acknowledged.Count, 20, 1200);
        (int descriptorsAfter, int threadsAfter) = await SettledAsync(server);
        Assert.InRange(descriptorsAfter, 1, descriptors + 10);
        Assert.InRange(threadsAfter, 1, threads + 6);

        // What was acknowledged is there, what was not may be, nothing is there twice, and the next request works.
        AddAnswer next = await client.AddAsync("next"u8.ToArray());
        Assert.True(next.IsAcknowledged);
        acknowledged.Add(next.Indexes[0], "next"u8.ToArray());
        long size = await new FullCheck(vkey).RunAsync(client, acknowledged);
        Assert.InRange(size, acknowledged.Count, 1201);
        HashSet<string> entries = [];
        for (long i = 0; i < size; i++) Assert.True(entries.Add(Encoding.ASCII.GetString(await client.GetAsync($"entry/{i}"))), $"entry {i} is there twice");
    }

    [Fact]
    public async Task C12_two_threads_of_the_pool_are_enough_for_forty_callers_that_wait()
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram server = Programs.Serve(scratch["log"], new Dictionary<string, string> { ["DOTNET_ThreadPool_ForceMaxWorkerThreads"] = "2" });
        Uri url = await server.ListeningAsync();
        using LogClient client = new(url);
        Observed observed = new();
        Task[] callers = [.. Enumerable.Range(0, 40).Select(caller => Task.Run(async () =>
        {
            for (int i = 0; i < 10; i++)
            {
                Assert.True(await observed.AddAsync(client, Encoding.ASCII.GetBytes($"caller {caller} entry {i}")));
                AddAnswer published = await client.AddAsync(Encoding.ASCII.GetBytes($"caller {caller} published {i}"), "?wait=published");
                Assert.True(published.Status == HttpStatusCode.OK, $"{published.Status}: {published.Body}");
                await client.GetAsync("checkpoint");
            }
        }))];
        await Task.WhenAll(callers).WaitAsync(Until.Patience);
        Assert.True(await client.WaitPublishedAsync(800));
        Assert.Equal(800, await new FullCheck(vkey).RunAsync(client, observed.Acknowledged));
    }

    /// <summary>6 is what Environment.FailFast and a stack overflow end with, 11 is a fault in native code, 9 is the kernel's when memory runs out.</summary>
    [Theory]
    [InlineData(6)]
    [InlineData(11)]
    [InlineData(9)]
    public async Task D21_a_process_that_ends_by_itself_under_load_loses_nothing_that_it_acknowledged(int signal)
    {
        using Scratch scratch = new();
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        Observed observed = new();
        await using (RunningProgram server = Programs.Serve(scratch["log"], new Dictionary<string, string> { ["DOTNET_DbgEnableMiniDump"] = "0" }))
        {
            using LogClient client = new(await server.ListeningAsync());
            Task[] writers = [.. Enumerable.Range(0, 8).Select(writer => Task.Run(async () =>
            {
                for (int i = 0; await observed.AddAsync(client, Encoding.ASCII.GetBytes($"writer {writer} entry {i}")); i++)
                {
                }
            }))];
            Assert.True(await Until.TrueAsync(() => Task.FromResult(observed.Acknowledged.Count > 200), Until.Patience));

            // The runtime takes the first one of those that it raises itself for a fault, finds none, and gives its handler up.
            for (int i = 0; i < 2 && !server.HasEnded; i++)
            {
                Network.Signal(server, signal);
                await Until.TrueAsync(() => Task.FromResult(server.HasEnded), TimeSpan.FromSeconds(1));
            }

            Assert.Equal(128 + signal, (await server.EndAsync()).ExitCode);
            await Task.WhenAll(writers);
        }

        await using RunningProgram again = Programs.Serve(scratch["log"]);
        using LogClient after = new(await again.ListeningAsync());
        await new FullCheck(vkey).RunAsync(after, observed.Acknowledged);
    }

    /// <summary>A disk that its file system gives up: the same as an operator's read-only remount, which a file that is open for writing would forbid.</summary>
    [Fact]
    public async Task D23_a_disk_that_becomes_read_only_halts_the_log_while_readers_stay()
    {
        using Scratch scratch = new();
        if (await PowerDisk.WhyNotAsync(scratch) is string missing) Privileges.Skip(missing);
        string mount = Directory.CreateDirectory(scratch["disk"]).FullName;
        string image = scratch["image"];
        await RunAsync("truncate", "--size", "256M", image);
        await RunAsync("mkfs.ext4", "-q", image);
        await RunAsync("mount", "-o", "loop", image, mount);
        try
        {
            string data = Path.Combine(mount, "log"), vkey = await Programs.CreateLogAsync(data, "--journal-file-bytes", "4194304");
            Observed observed = new();
            await using (RunningProgram server = Programs.Serve(data))
            {
                using LogClient client = new(await server.ListeningAsync());
                for (int i = 0; i < 3; i++) Assert.True(await observed.AddAsync(client, Encoding.ASCII.GetBytes($"entry {i}")));
                Assert.True(await client.WaitPublishedAsync(3));
                await RunAsync("mount", "-o", "remount,abort", mount);

                Assert.False(await observed.AddAsync(client, "into a disk that is read-only"u8.ToArray()));
                Assert.False(await observed.AddAsync(client, "and once more"u8.ToArray()));
                Assert.Equal(HttpStatusCode.ServiceUnavailable, (await client.TryGetAsync("healthz")).Status);
                Assert.Equal(3, await new FullCheck(vkey).RunAsync(client, observed.Acknowledged));
                await server.StopAsync();
            }

            await RunAsync("umount", mount);
            await RunAsync("mount", "-o", "loop", image, mount);
            await using RunningProgram again = Programs.Serve(data);
            using LogClient after = new(await again.ListeningAsync());
            Assert.Equal(3, await new FullCheck(vkey).RunAsync(after, observed.Acknowledged));
            Assert.True(await new Observed(observed).AddAsync(after, "the disk is back"u8.ToArray()));
            Assert.Equal(0, (await again.StopAsync()).ExitCode);
        }
        finally
        {
            await RunAsync("umount", mount);
        }
    }

    [Fact]
    public async Task O05_twenty_starts_with_a_fault_that_stays_write_nothing_and_say_the_same()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using (RunningProgram server = Programs.Serve(scratch["log"]))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.True((await client.AddBatchAsync([.. Enumerable.Range(0, 300).Select(i => Encoding.ASCII.GetBytes($"entry {i}"))])).IsAcknowledged);
            Assert.True(await client.WaitPublishedAsync(300));
            Assert.Equal(0, (await server.StopAsync()).ExitCode);
        }

        string journal = Path.Combine(scratch["log"], "journal/000000000001");
        byte[] bytes = await File.ReadAllBytesAsync(journal);
        bytes[700] ^= 1;
        await File.WriteAllBytesAsync(journal, bytes);
        File.Delete(Path.Combine(scratch["log"], "lock"));
        SortedDictionary<string, byte[]> before = Scratch.Content(scratch["log"]);
        HashSet<string> said = [];
        for (int i = 0; i < 20; i += 10)
        {
            Ended[] ended = await Task.WhenAll(Enumerable.Range(0, 10).Select(_ => EndAsync()));
            foreach (Ended one in ended)
            {
                Assert.Equal(Refused, one.ExitCode);
                said.Add(one.Errors.Contains("in use by", StringComparison.Ordinal) ? "" : one.Errors);
            }

            SortedDictionary<string, byte[]> after = Scratch.Content(scratch["log"]);
            after.Remove("lock");
            Assert.Equal(before, after);
        }

        said.Remove("");
        Assert.Contains("000000000001, offset 0", Assert.Single(said), StringComparison.Ordinal);

        async Task<Ended> EndAsync()
        {
            await using RunningProgram server = Programs.Serve(scratch["log"]);
            return await server.EndAsync();
        }
    }

    [Theory]
    [InlineData(64)]
    [InlineData(128)]
    [InlineData(1023)]
    public async Task O09_too_few_descriptors_are_named_before_anything_else_happens(int descriptors)
    {
        using Scratch scratch = new();
        foreach (string command in await BothServersAsync(scratch))
        {
            await using RunningProgram program = RunningProgram.Start("/bin/sh", ["-c", string.Create(CultureInfo.InvariantCulture, $"ulimit -n {descriptors}; exec {command}")]);
            Ended ended = await program.EndAsync();
            Assert.True(ended.ExitCode == Usage, ended.ToString());
            Assert.Contains(string.Create(CultureInfo.InvariantCulture, $"open files: this process may have {descriptors}, and needs 1024"), Assert.Single(ended.Errors.TrimEnd('\n').Split('\n')), StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task O09_more_connections_than_half_of_the_descriptors_are_refused()
    {
        using Scratch scratch = new();
        Dictionary<string, string> connections = new() { ["TLOG_MAX_CONNECTIONS"] = "601", ["TLOG_WITNESS_MAX_CONNECTIONS"] = "601" };
        foreach (string command in await BothServersAsync(scratch))
        {
            await using RunningProgram program = RunningProgram.Start("/bin/sh", ["-c", $"ulimit -n 1201; exec {command}"], connections);
            Ended ended = await program.EndAsync();
            Assert.True(ended.ExitCode == Usage, ended.ToString());
            Assert.Contains("max-connections: 601 is more than half of the 1201 files", Assert.Single(ended.Errors.TrimEnd('\n').Split('\n')), StringComparison.Ordinal);
            await using RunningProgram fewer = RunningProgram.Start("/bin/sh", ["-c", $"ulimit -n 1202; exec {command}"], connections);
            await fewer.ListeningAsync();
        }
    }

    /// <summary>The control of the row above: with as many as are asked for, strangers who take every connection they can get do not take storage's descriptors.</summary>
    [Fact]
    public async Task O09_A04_with_just_enough_descriptors_strangers_cannot_stop_the_log()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram server = RunningProgram.Start(
            "/bin/sh", ["-c", $"ulimit -n 1024; exec '{Programs.Server}' serve --data '{scratch["log"]}' --listen http://127.0.0.1:0"]);
        Uri url = await server.ListeningAsync();
        using LogClient client = new(url);
        Assert.True((await client.AddAsync("the connection is kept"u8.ToArray())).IsAcknowledged);
        using CancellationTokenSource enough = new();
        int connections = 0;
        Task[] strangers = [.. Enumerable.Range(0, 4).Select(_ => Task.Run(async () =>
        {
            while (!enough.IsCancellationRequested)
            {
                Socket[] open = [.. Enumerable.Range(0, 500).Select(_ => new Socket(SocketType.Stream, ProtocolType.Tcp))];
                await Task.WhenAll(open.Select(ConnectAsync));
                foreach (Socket stranger in open) stranger.Dispose();
            }
        }))];
        async Task ConnectAsync(Socket stranger)
        {
            try
            {
                await stranger.ConnectAsync(url.Host, url.Port);
            }
            catch (SocketException)
            {
                // One too many.
            }

            Interlocked.Increment(ref connections);
        }

        int most = 0;
        ProcessWatch watch = new();
        Task watching = Task.Run(async () =>
        {
            for (; !enough.IsCancellationRequested; await Task.Delay(1)) most = Math.Max(most, watch.Look("log", server.ProcessId)?.Descriptors ?? 0);
        });
        int acknowledged = 0;
        Stopwatch patience = Stopwatch.StartNew();
        for (int segment = 0; acknowledged < 40 || Volatile.Read(ref connections) < 4000; segment++)
        {
            Assert.True(patience.Elapsed < TimeSpan.FromSeconds(60), $"{acknowledged} segments, {Volatile.Read(ref connections)} connections");
            byte[][] entries = [.. Enumerable.Range(0, 256).Select(i => Encoding.ASCII.GetBytes($"segment {segment} entry {i}"))];
            AddAnswer answer = await client.AddBatchAsync(entries);

            // A client without a connection of its own may be one too many like any other; a log that has failed would say so from then on.
            Assert.True(answer.IsAcknowledged || (answer.Status is null && !server.HasEnded), $"segment {segment}: {answer.Status}: {answer.Body} {server.Errors}");
            if (answer.IsAcknowledged) acknowledged++;
        }

        await enough.CancelAsync();
        await Task.WhenAll([watching, .. strangers]);
        Assert.InRange(most, 300, 850); // 512 connections, 64 about to be refused, and about 200 of the runtime
        bool taken = await Until.TrueAsync(async () => (await client.AddAsync("after"u8.ToArray(), "?wait=published")).Status == HttpStatusCode.OK, Until.Patience);
        Assert.True(taken, server.Errors);

        // And none of them has written a line of the log.
        Assert.InRange(server.Errors.Split('\n').Length, 1, 20);
    }

    /// <summary>Makes a log and a witness of it; the commands that serve them, for a shell.</summary>
    private static async Task<string[]> BothServersAsync(Scratch scratch)
    {
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await Programs.CreateWitnessAsync(scratch["witness"], "witness.example/w1");
        await File.WriteAllTextAsync(scratch["logs"], $"log {vkey}\n");
        return
        [
            $"'{Programs.Server}' serve --data '{scratch["log"]}' --listen http://127.0.0.1:0",
            $"'{Programs.Witness}' serve --data '{scratch["witness"]}' --logs '{scratch["logs"]}' --listen http://127.0.0.1:0",
        ];
    }

    /// <summary>Appends, each given up after up to 5 ms; remembers what was acknowledged, returns how many were given up.</summary>
    private static async Task<int> StormAsync(Uri url, int storm, int requests, Dictionary<long, byte[]> acknowledged)
    {
        using HttpClient http = new() { BaseAddress = url };
        Random random = new(storm);
        int cancelled = 0;
        await Task.WhenAll(Enumerable.Range(0, requests).Select(i => (i, wait: random.Next(5000), query: random.Next(3) == 0 ? "?wait=published" : "")).Select(async one =>
        {
            byte[] entry = Encoding.ASCII.GetBytes($"storm {storm} entry {one.i}");
            using CancellationTokenSource gone = new(TimeSpan.FromMicroseconds(one.i % 10 == 0 ? 20_000_000 : one.wait));
            try
            {
                using HttpResponseMessage answer = await http.PostAsync($"add{one.query}", new ByteArrayContent(entry), gone.Token);
                string text = await answer.Content.ReadAsStringAsync(gone.Token);
                if (one.query.Length > 0) return;
                Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{answer.StatusCode}: {text}");
                lock (acknowledged) acknowledged.Add(long.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture), entry);
            }
            catch (OperationCanceledException)
            {
                Interlocked.Increment(ref cancelled);
            }
        }));
        return cancelled;
    }

    /// <summary>Descriptors and threads of a process once they do not go down any more: connections end a moment after their clients.</summary>
    private static async Task<(int Descriptors, int Threads)> SettledAsync(RunningProgram program)
    {
        (int Descriptors, int Threads) least = (int.MaxValue, int.MaxValue);
        for (int unchanged = 0; unchanged < 20; unchanged++)
        {
            (int Descriptors, int Threads) now = (Directory.GetFiles($"/proc/{program.ProcessId}/fd").Length, Directory.GetDirectories($"/proc/{program.ProcessId}/task").Length);
            if (now.Descriptors < least.Descriptors || now.Threads < least.Threads) unchanged = 0;
            least = (Math.Min(least.Descriptors, now.Descriptors), Math.Min(least.Threads, now.Threads));
            await Task.Delay(10);
        }

        return least;
    }

    private static async Task RunAsync(string program, params string[] arguments)
    {
        using Process process = Process.Start(new ProcessStartInfo(program, arguments) { UseShellExecute = false, RedirectStandardError = true })!;
        string errors = await process.StandardError.ReadToEndAsync();
        await process.WaitForExitAsync();
        Assert.True(process.ExitCode == 0, $"{program} {string.Join(' ', arguments)}: {errors}");
    }
}
