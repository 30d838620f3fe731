using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>A witness that is served, with the load of the logs that it follows.</summary>
internal sealed class WitnessOf : IDisposable
{
    private readonly Served _served;
    private readonly VerifierKey _key;
    private readonly WitnessLoad _load;

    private WitnessOf(Served served, VerifierKey key, WitnessLoad load)
    {
        _served = served;
        _key = key;
        _load = load;
    }

    /// <param name="bed">Where it is served.</param>
    /// <param name="name">Of its directory.</param>
    /// <param name="logs">How many logs it follows.</param>
    /// <param name="create">More arguments for its creation.</param>
    public static async Task<WitnessOf> StartAsync(Bed bed, string name, int logs, params string[] create)
    {
        WitnessLoad load = new(logs);
        string list = bed.PathOf(name + ".logs"), directory = bed.PathOf(name);
        await File.WriteAllTextAsync(list, load.LogList);
        string vkey = (await Tool.RunAsync(bed.Witness, ["create", "--data", directory, "--name", "witness.example/bench", .. create])).Split('\n')[0];
        if (!VerifierKey.TryParse(Encoding.UTF8.GetBytes(vkey), out VerifierKey? key)) throw new InvalidOperationException($"not a vkey: {vkey}");
        return new WitnessOf(await bed.WitnessAsync(name, Bed.WitnessUnlimited, list), key, load);
    }

    /// <summary>Cosignatures a second over some connections at once, and what one cost.</summary>
    public async Task<(double Rate, Cost Cost)> CosignAsync(int connections, int seconds)
    {
        // As many as it could take at 8 times what we want; what is not sent in time is sent next time.
        _load.Prepare(Math.Max(4, 40_000 * seconds / _load.Logs));
        Sample before = await _served.SampleAsync();
        (double rate, long requests) = await Task.Factory.StartNew(
            () => _load.Run(_served.Url, _key, connections, TimeSpan.FromSeconds(seconds)), CancellationToken.None, TaskCreationOptions.LongRunning, TaskScheduler.Default);
        Sample used = (await _served.SampleAsync()).Since(before);
        return (rate, Cost.Of(used, requests));
    }

    public void Dispose() => _load.Dispose();
}
