// The parts of `make bench` that are ours: limits to compare with, and load that wrk cannot make. bench/run calls them.
//
//     bench null                          a server of our own pipeline whose append only returns a counter; prints "listening URL"
//     bench disk DIR BYTES SECONDS        append + fdatasync of BYTES into a zero-filled file; prints "syncs/s p50-us p99-us"
//     bench hash SECONDS                  the best single stream of SHA-256 over 8 KiB; prints "MB/s"
//     bench batch URL ENTRIES BYTES SECONDS   add-batch from two connections, unique entries; prints "entries/s"
//     bench open URL RATE SECONDS [QUERY] open loop of POST /add at a fixed rate; prints "sent p50 p90 p99 p99.9 max" in ms

using System.Globalization;
using TransparencyLog.Bench;

static int Number(string text) => int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);

switch (args)
{
    case ["null"]:
        await NullServer.RunAsync();
        return 0;
    case ["disk", string directory, string bytes, string seconds]:
        Console.WriteLine(DiskLimit.Measure(directory, Number(bytes), TimeSpan.FromSeconds(Number(seconds))));
        return 0;
    case ["hash", string seconds]:
        Console.WriteLine(HashLimit.Measure(TimeSpan.FromSeconds(Number(seconds))));
        return 0;
    case ["batch", string url, string entries, string bytes, string seconds]:
        Console.WriteLine(await BatchLoad.MeasureAsync(new Uri(url), Number(entries), Number(bytes), TimeSpan.FromSeconds(Number(seconds))));
        return 0;
    case ["open", string url, string rate, string seconds, .. string[] query]:
        Console.WriteLine(await OpenLoop.MeasureAsync(new Uri(new Uri(url), "add" + query.FirstOrDefault()), Number(rate), TimeSpan.FromSeconds(Number(seconds))));
        return 0;
    default:
        await Console.Error.WriteLineAsync("bench null | disk DIR BYTES SECONDS | hash SECONDS | batch URL ENTRIES BYTES SECONDS | open URL RATE SECONDS [QUERY]");
        return 2;
}
