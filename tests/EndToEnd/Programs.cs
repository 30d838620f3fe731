// The real programs, as `make build` leaves them in bin/, started as processes of their own.

using System.Diagnostics;
using System.Globalization;
using System.Runtime.InteropServices;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Where the programs are, and how they are started.</summary>
internal static class Programs
{
    public const string Origin = "example.com/log";

    /// <summary>The folder above the tests that holds the solution.</summary>
    public static string Root => Repository.Root;

    public static string Server { get; } = Built("tlog-server");

    public static string Witness { get; } = Built("tlog-witness");

    public static string Tool { get; } = Built("tlog");

    /// <summary>The programs with a planted bug (Planted/Program.cs), as the build of these tests leaves them.</summary>
    public static string Planted { get; } = Path.Combine(Root, "artifacts/bin/TransparencyLog.PlantedServer/release/planted");

    /// <summary>The fault shim (tests/shim), or null where there is no C compiler to make it.</summary>
    public static string? Shim { get; } = File.Exists(Path.Combine(Root, "bin/fault.so")) ? Path.Combine(Root, "bin/fault.so") : null;

    /// <summary>Runs a program to its end.</summary>
    public static async Task<Ended> RunAsync(string program, params string[] arguments)
    {
        await using RunningProgram running = RunningProgram.Start(program, arguments);
        return await running.EndAsync();
    }

    /// <summary>Makes a log; returns its vkey.</summary>
    public static async Task<string> CreateLogAsync(string directory, params string[] more)
    {
        Ended created = await RunAsync(Server, ["create", "--data", directory, "--origin", Origin, .. more]);
        Assert.True(created.ExitCode == 0, $"create: {created}");
        return created.Output.TrimEnd('\n');
    }

    /// <summary>Makes a witness; returns its vkeys, Ed25519 and ML-DSA-44.</summary>
    public static async Task<string[]> CreateWitnessAsync(string directory, string name)
    {
        Ended created = await RunAsync(Witness, "create", "--data", directory, "--name", name);
        string[] vkeys = created.Output.TrimEnd('\n').Split('\n');
        return created.ExitCode == 0 && vkeys.Length == 2 ? vkeys : throw new InvalidOperationException($"create: {created}");
    }

    /// <summary>Starts a log server on a free port; it has not said yet that it listens.</summary>
    public static RunningProgram Serve(string directory, IReadOnlyDictionary<string, string>? environment = null, params string[] more) =>
        RunningProgram.Start(Server, ["serve", "--data", directory, "--listen", "http://127.0.0.1:0", .. more], environment);

    private static string Built(string name)
    {
        string path = Path.Combine(Root, "bin", name);
        return File.Exists(path) ? path : throw new InvalidOperationException($"{path} is not there: make build");
    }
}

/// <summary>What became of a program. A process ended by signal n has exit code 128 + n.</summary>
internal sealed record Ended(int ExitCode, string Output, string Errors)
{
    public const int Killed = 128 + 9;

    public override string ToString() => $"exit code {ExitCode}\n{Output}{Errors}";
}

/// <summary>A process of ours. Disposing it ends it, by its process id, however the test went.</summary>
internal sealed partial class RunningProgram : IAsyncDisposable
{
    private const int Sigterm = 15;

    private readonly Process _process;
    private readonly StringBuilder _output = new(), _errors = new(); // each guarded by itself
    private readonly TaskCompletionSource<Uri> _listening = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private readonly Task _reading;

    private RunningProgram(Process process)
    {
        _process = process;
        _reading = Task.WhenAll(ReadAsync(process.StandardOutput, _output), ReadAsync(process.StandardError, _errors));
    }

    public int ProcessId => _process.Id;

    public bool HasEnded => _process.HasExited;

    /// <summary>What it has written to standard output so far.</summary>
    public string Output
    {
        get
        {
            lock (_output) return _output.ToString();
        }
    }

    /// <summary>What it has written to standard error so far.</summary>
    public string Errors
    {
        get
        {
            lock (_errors) return _errors.ToString();
        }
    }

    /// <summary>Starts it with our environment, without any TLOG_ variable but those given, and with witnesses that take all that a log can ask.</summary>
    public static RunningProgram Start(string program, IEnumerable<string> arguments, IReadOnlyDictionary<string, string>? environment = null)
    {
        ProcessStartInfo start = new(program, arguments) { UseShellExecute = false, RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true };
        foreach (string name in start.Environment.Keys.Where(name => name.StartsWith("TLOG_", StringComparison.Ordinal)).ToArray()) start.Environment.Remove(name);
        // What is killed cannot delete the sockets of its debugger's port, and a campaign kills thousands.
        start.Environment["DOTNET_EnableDiagnostics"] = "0";
        if (program != Programs.Server)
        {
            start.Environment["TLOG_WITNESS_RATE_PER_DAY"] = "2147483647";
            start.Environment["TLOG_WITNESS_RATE_BURST"] = "1000000";
        }

        foreach ((string name, string value) in environment ?? new Dictionary<string, string>()) start.Environment[name] = value;
        Process process = Process.Start(start)!;
        process.StandardInput.Close();
        return new RunningProgram(process);
    }

    /// <summary>The address it says it listens on. Fails when it ends before, or takes too long.</summary>
    public async Task<Uri> ListeningAsync() => await ListensAsync() ?? throw new InvalidOperationException($"ended before it listened: {await EndAsync()}");

    /// <summary>The address it says it listens on; null when it ends before.</summary>
    public async Task<Uri?> ListensAsync()
    {
        await Task.WhenAny(_listening.Task, Task.WhenAll(_process.WaitForExitAsync(), _reading)).WaitAsync(Until.Patience);
        return _listening.Task.IsCompleted ? await _listening.Task : null;
    }

    /// <summary>Waits until standard error has a text: the servers write their log on another thread, after the event.</summary>
    public async Task SaysAsync(string text) =>
        Assert.True(await Until.TrueAsync(() => Task.FromResult(Errors.Contains(text, StringComparison.Ordinal)), Until.Patience), $"'{text}' is not in:\n{Errors}");

    /// <summary>kill -9.</summary>
    public void Kill() => _process.Kill();

    /// <summary>SIGTERM: the request to end.</summary>
    public void Terminate()
    {
        if (!_process.HasExited) Assert.Equal(0, kill(_process.Id, Sigterm));
    }

    /// <summary>Waits for its end.</summary>
    public async Task<Ended> EndAsync(TimeSpan? limit = null)
    {
        await _process.WaitForExitAsync().WaitAsync(limit ?? Until.Patience);
        await _reading.WaitAsync(Until.Patience);
        return new Ended(_process.ExitCode, _output.ToString(), _errors.ToString());
    }

    /// <summary>Asks it to end, and waits.</summary>
    public Task<Ended> StopAsync()
    {
        Terminate();
        return EndAsync();
    }

    public async ValueTask DisposeAsync()
    {
        if (!_process.HasExited) _process.Kill();
        await _process.WaitForExitAsync().WaitAsync(Until.Patience);
        _process.Dispose();
    }

    private async Task ReadAsync(StreamReader reader, StringBuilder text)
    {
        const string Listening = "listening ";
        while (await reader.ReadLineAsync() is string line)
        {
            lock (text) text.Append(CultureInfo.InvariantCulture, $"{line}\n");
            if (text == _output && line.StartsWith(Listening, StringComparison.Ordinal)) _listening.TrySetResult(new Uri(line[Listening.Length..]));
        }
    }

    [LibraryImport("libc")]
    private static partial int kill(int process, int signal);
}
