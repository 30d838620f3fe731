using TransparencyLog.Server;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>A log with stub witnesses a, b, c ...</summary>
internal sealed class WitnessedLog : IAsyncDisposable
{
    private readonly List<StubWitness> _witnesses = [];
    private LogSetup _setup = new();

    private WitnessedLog(TestLog log) => Log = log;

    public TestLog Log { get; }

    public string Policy => _setup.Policy!;

    public StubWitness this[int index] => _witnesses[index];

    public static async Task<WitnessedLog> CreateAsync(int count, int keys = 1, bool postQuantum = false)
    {
        WitnessedLog witnessed = new(TestLog.Create());
        for (int i = 0; i < count; i++) witnessed._witnesses.Add(await StubWitness.StartAsync(witnessed.Log.Key, $"example.com/witness{i}", keys, postQuantum: postQuantum));
        return witnessed;
    }

    /// <summary>Created, served, and ready: the quorum has answered.</summary>
    public static async Task<WitnessedLog> StartAsync(int count, string quorum, Func<Settings, Settings>? settings = null)
    {
        WitnessedLog witnessed = await CreateAsync(count);
        await witnessed.ServeAsync(quorum, settings);
        await witnessed.ReadyAsync();
        return witnessed;
    }

    /// <summary>Serves the log with the witness lines of all, and these group and quorum lines.</summary>
    public Task ServeAsync(string quorum, Func<Settings, Settings>? settings = null, TimeProvider? time = null, bool guard = false)
    {
        string lines = string.Concat(_witnesses.Select((witness, i) => witness.PolicyLines(((char)('a' + i)).ToString())));
        _setup = new LogSetup { Policy = lines + quorum, Settings = settings ?? (all => all), Time = time ?? TimeProvider.System, Guard = guard };
        return Log.ServeAsync(_setup);
    }

    public Task RestartAsync(Func<LogSetup, LogSetup>? change = null) => Log.RestartAsync(change?.Invoke(_setup) ?? _setup);

    public Task ReadyAsync() => Eventually.TrueAsync(() => Log.Engine.State == EngineState.Ready, "the log takes entries");

    /// <summary>The names in the policy of the witnesses with a good line on a checkpoint, in the order of the lines; no other line but the log's is there.</summary>
    public List<string> WhoCosigned(byte[] checkpoint)
    {
        Assert.True(Note.TryParse(checkpoint, out Note? note));
        List<string> names = [];
        foreach (NoteSignature line in note.Signatures.ToArray().Skip(1))
        {
            (string name, ICosigner cosigner) = _witnesses
                .SelectMany((witness, i) => witness.Cosigners.Select((one, k) => (k == 0 ? $"{(char)('a' + i)}" : $"{(char)('a' + i)}-{k}", one)))
                .Single(pair => pair.one.Key.Name == line.Name && pair.one.Key.KeyId == line.KeyId);
            Assert.True(Verifiers.TryCreate(cosigner.Key)!.Verify(note.Text.Span, line.Signature.Span), name);
            names.Add(name);
        }

        return names;
    }

    public async ValueTask DisposeAsync()
    {
        await Log.DisposeAsync();
        foreach (StubWitness witness in _witnesses) await witness.DisposeAsync();
    }
}
