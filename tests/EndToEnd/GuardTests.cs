using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>N-02 with the real programs: two copies of a log, and of a witness, that share a guard.</summary>
public sealed partial class GuardTests(ITestOutputHelper output)
{
    private const int Starts = 20;

    [Fact]
    public async Task N02_a_second_copy_of_a_log_is_refused_at_twenty_starts_and_names_the_holder()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram first = Programs.Serve(scratch["log"], null, "--guard", scratch["guard"]);
        using LogClient client = new(await first.ListeningAsync());
        Assert.True((await client.AddAsync([1])).IsAcknowledged);
        Copy(scratch["log"], scratch["copy"]);
        for (int start = 0; start < Starts; start++)
        {
            Ended refused = await Programs.RunAsync(Programs.Server, "serve", "--data", scratch["copy"], "--guard", scratch["guard"], "--listen", "http://127.0.0.1:0");
            Assert.Equal(3, refused.ExitCode);
            Assert.Contains($"is in use by process {first.ProcessId} on {Environment.MachineName}, for {scratch["log"]}", refused.Errors, StringComparison.Ordinal);
        }

        Assert.True((await client.AddAsync([2])).IsAcknowledged);
        Assert.True(await client.WaitPublishedAsync(2));
    }

    [Fact]
    public async Task N02_a_second_copy_of_a_witness_is_refused_at_twenty_starts_and_names_the_holder()
    {
        using Scratch scratch = new();
        await Programs.CreateWitnessAsync(scratch["witness"], "witness.example/w1");
        string vkey = await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await File.WriteAllTextAsync(scratch["logs"], $"log {vkey}\n", TestContext.Current.CancellationToken);
        await using RunningProgram first = RunningProgram.Start(Programs.Witness, ["serve", "--data", scratch["witness"], "--guard", scratch["guard"], "--logs", scratch["logs"], "--listen", "http://127.0.0.1:0"]);
        await first.ListeningAsync();
        Copy(scratch["witness"], scratch["copy"]);
        for (int start = 0; start < Starts; start++)
        {
            Ended refused = await Programs.RunAsync(Programs.Witness, "serve", "--data", scratch["copy"], "--guard", scratch["guard"], "--logs", scratch["logs"], "--listen", "http://127.0.0.1:0");
            Assert.Equal(3, refused.ExitCode);
            Assert.Contains($"is in use by process {first.ProcessId} on {Environment.MachineName}, for {scratch["witness"]}", refused.Errors, StringComparison.Ordinal);
        }
    }

    [Fact]
    public async Task N02_a_standby_takes_over_from_a_primary_that_was_killed_and_not_from_one_that_is_stopped()
    {
        using Scratch scratch = new();
        await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
        await using RunningProgram primary = Programs.Serve(scratch["log"], null, "--guard", scratch["guard"]);
        using LogClient client = new(await primary.ListeningAsync());
        Assert.True((await client.AddAsync([1])).IsAcknowledged);
        Assert.True(await client.WaitPublishedAsync(1));
        Signal(primary, Stop);
        long stopped = Stopwatch.GetTimestamp();
        Copy(scratch["log"], scratch["standby"]);
        Ended refused = await Programs.RunAsync(Programs.Server, "serve", "--data", scratch["standby"], "--guard", scratch["guard"], "--listen", "http://127.0.0.1:0");
        Assert.Equal(3, refused.ExitCode);
        Assert.Contains($"is in use by process {primary.ProcessId}", refused.Errors, StringComparison.Ordinal);

        // The operator knows that the primary is not at work, and is wrong: it wakes, and halts.
        File.Delete(Directory.GetFiles(scratch["guard"], "*.lock").Single());
        await using (RunningProgram standby = Programs.Serve(scratch["standby"], null, "--guard", scratch["guard"]))
        {
            using LogClient after = new(await standby.ListeningAsync());
            Assert.True((await after.AddAsync([2])).IsAcknowledged);
            Assert.True(await after.WaitPublishedAsync(2));

            // For a second after a look it may acknowledge what it cannot keep (spec/trust.md): on a fast machine a standby takes over in less.
            TimeSpan rest = TimeSpan.FromSeconds(1.5) - Stopwatch.GetElapsedTime(stopped);
            if (rest > TimeSpan.Zero) await Task.Delay(rest, TestContext.Current.CancellationToken);
            Signal(primary, Continue);
            AddAnswer answer = await client.AddAsync([3]);
            Assert.False(answer.IsAcknowledged, answer.ToString());
            await Until.TrueAsync(() => Task.FromResult(File.Exists(Path.Combine(scratch["log"], "halted"))), Until.Patience);
            string halted = await File.ReadAllTextAsync(Path.Combine(scratch["log"], "halted"), TestContext.Current.CancellationToken);
            Assert.Contains("fenced", halted, StringComparison.Ordinal);
            Assert.Contains(scratch["standby"], halted, StringComparison.Ordinal);
            Copy(scratch["standby"], scratch["third"]);
            standby.Kill();
            await standby.EndAsync();
        }

        // The kernel has released the lock of the one that was killed.
        await using RunningProgram third = Programs.Serve(scratch["third"], null, "--guard", scratch["guard"]);
        using LogClient last = new(await third.ListeningAsync());
        Assert.True((await last.AddAsync([4])).IsAcknowledged);
        Assert.True(await last.WaitPublishedAsync(3));
    }

    /// <summary>
    /// The primary stops (SIGSTOP) before its n-th storage call in its guard or of its signed heads, flock says yes to everybody, and a standby with a copy of its directory goes on. Then the primary wakes.
    /// </summary>
    [Theory]
    [InlineData("")]
    [InlineData("guard-unlocked")]
    public async Task N02_a_primary_that_stops_at_a_storage_call_of_a_swap_and_wakes_never_shows_a_second_root(string planted)
    {
        if (Programs.Shim is not string shim) Assert.Skip("bin/fault.so is not there: no C compiler");
        else Assert.Equal(0, await ForksAsync(shim, planted));
    }

    [Fact]
    public async Task Control_a_guard_that_renames_shows_a_second_root_when_the_primary_wakes()
    {
        if (Programs.Shim is not string shim) Assert.Skip("bin/fault.so is not there: no C compiler");
        else Assert.InRange(await ForksAsync(shim, "guard-renamed"), 1, 10);
    }

    /// <summary>How many stops end with two roots of one size.</summary>
    private async Task<int> ForksAsync(string shim, string planted)
    {
        int forks = 0, stopped = 0;
        for (int at = 1; at <= 8; at++)
        {
            using Scratch scratch = new();
            string guard = scratch["guard"];
            await Programs.CreateLogAsync(scratch["log"], "--journal-file-bytes", "4194304");
            await using (RunningProgram before = Programs.Serve(scratch["log"], null, "--guard", guard))
            {
                using LogClient client = new(await before.ListeningAsync());
                Assert.True((await client.AddAsync([1])).IsAcknowledged);
                Assert.True(await client.WaitPublishedAsync(1));
                Assert.Equal(0, (await before.StopAsync()).ExitCode);
            }

            Copy(scratch["log"], scratch["standby"]);
            Dictionary<string, string> stops = new()
            {
                ["LD_PRELOAD"] = shim,
                ["DEVTLOG_FAULT_PREFIX"] = guard,
                ["DEVTLOG_FAULT_FLOCK"] = "1",
                ["DEVTLOG_FAULT_LOG"] = scratch["calls"],
                ["DEVTLOG_FAULT_ACTION"] = "stop",
                ["DEVTLOG_FAULT_ONLY"] = "write,sync,link,rename,unlink",
                // The start makes three such calls: the lock's text, the sync of the adopted file, the sync of the folder.
                ["DEVTLOG_FAULT_AT"] = string.Create(CultureInfo.InvariantCulture, $"{3 + at}"),
            };
            Dictionary<string, string> lost = new() { ["LD_PRELOAD"] = shim, ["DEVTLOG_FAULT_PREFIX"] = guard, ["DEVTLOG_FAULT_FLOCK"] = "1" };
            string[] arguments = ["serve", "--data", scratch["log"], "--guard", guard, "--listen", "http://127.0.0.1:0"], standbys = ["serve", "--data", scratch["standby"], "--guard", guard, "--listen", "http://127.0.0.1:0"];
            await using RunningProgram primary = planted.Length > 0 ? RunningProgram.Start(Programs.Planted, [planted, .. arguments], stops) : RunningProgram.Start(Programs.Server, arguments, stops);
            using LogClient one = new(await primary.ListeningAsync());
            // Where the lock says nothing both are at work before. Otherwise the standby's start would fence the primary: it starts when that one has stopped.
            RunningProgram? early = planted.Length > 0 ? RunningProgram.Start(Programs.Planted, [planted, .. standbys], lost) : null;
            if (early is not null) await early.ListensAsync();
            Task<AddAnswer> adding = one.AddAsync([2, 1]);
            if (!await StopsAsync(primary, one))
            {
                await adding;
                if (early is not null) await early.DisposeAsync();
                continue;
            }

            stopped++;
            await using RunningProgram standby = early ?? RunningProgram.Start(Programs.Server, standbys, lost);
            byte[]? second = null;
            if (await standby.ListensAsync() is Uri url)
            {
                using LogClient two = new(url);
                if ((await two.AddAsync([2, 2])).IsAcknowledged)
                {
                    // Public, or fenced: the primary had given its head a name before it stopped.
                    await Until.TrueAsync(async () => await two.PublishedSizeAsync() >= 2 || File.Exists(Path.Combine(scratch["standby"], "halted")), Until.Patience);
                    if (await two.PublishedSizeAsync() >= 2) second = await two.GetAsync("checkpoint");
                }
            }

            Signal(primary, Continue);
            await adding;
            byte[] first = [];
            await Until.TrueAsync(
                async () =>
                {
                    first = await one.GetAsync("checkpoint");
                    return SizeOf(first) >= 2 || File.Exists(Path.Combine(scratch["log"], "halted")) || primary.HasEnded;
                },
                Until.Patience);
            if (second is not null && SizeOf(first) == SizeOf(second) && !first.AsSpan().SequenceEqual(second)) forks++;
        }

        output.WriteLine($"{planted}: {stopped} stops, {forks} sizes with two roots");
        Assert.InRange(stopped, 4, 8);
        return forks;
    }

    private static long SizeOf(byte[] checkpoint) => long.Parse(System.Text.Encoding.UTF8.GetString(checkpoint).Split('\n')[1], CultureInfo.InvariantCulture);

    /// <summary>Until the process is stopped (state T), or what it was given to do is public.</summary>
    private static async Task<bool> StopsAsync(RunningProgram program, LogClient client)
    {
        bool stops = false;
        await Until.TrueAsync(
            async () =>
            {
                stops = File.ReadAllText($"/proc/{program.ProcessId}/stat").Split(") ")[1][0] == 'T';
                if (stops) return true;
                try
                {
                    using CancellationTokenSource soon = new(TimeSpan.FromSeconds(1));
                    return SizeOf(await client.GetAsync("checkpoint").WaitAsync(soon.Token)) >= 2;
                }
                catch (Exception failure) when (failure is OperationCanceledException or HttpRequestException)
                {
                    return false; // it has stopped meanwhile
                }
            },
            Until.Patience);
        return stops;
    }

    /// <summary>All but the lock, as a copy for a standby would be.</summary>
    private static void Copy(string from, string to)
    {
        foreach (string file in Directory.GetFiles(from, "*", SearchOption.AllDirectories).Where(file => Path.GetFileName(file) != "lock"))
        {
            string target = Path.Combine(to, Path.GetRelativePath(from, file));
            Directory.CreateDirectory(Path.GetDirectoryName(target)!);
            File.Copy(file, target);
        }
    }

    private const int Stop = 19, Continue = 18; // SIGSTOP, SIGCONT

    private static void Signal(RunningProgram program, int signal) => Assert.Equal(0, kill(program.ProcessId, signal));

    [LibraryImport("libc", SetLastError = true)]
    private static partial int kill(int process, int signal);
}
