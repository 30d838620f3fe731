// The parts of `make bench` that are ours: limits to compare with, load that wrk cannot make, and the table. bench/run and bench/long call it from the top of the
// repository, after a build.
//
//     bench suite DIR                     make bench: everything below in turn, the table and the chart; data below DIR
//     bench compare DIR BIN               make bench BEFORE=BIN: the programs in bin/ beside those of another build
//     bench long DIR                      make bench-long: large logs and long runs
//
//     bench feeds DIR ROUNDS SECONDS      what bad witnesses cost appends: three logs in turn, without witnesses, with good ones, with bad ones; prints a table
//     bench null [BYTES]                  a server of our own pipeline whose append only returns a counter; prints "listening URL". BYTES: of its checkpoint
//     bench disk DIR BYTES SECONDS        append + fdatasync of BYTES into a zero-filled file; prints "syncs/s p50-us p99-us MB/s"
//     bench hash SECONDS                  the best single stream of SHA-256 over 8 KiB; prints "MB/s"
//     bench batch URL ENTRIES BYTES SECONDS   add-batch from two connections, unique entries; prints "entries/s"
//     bench fill URL COUNT BYTES          appends so many entries in the largest batches; prints "entries/s"
//     bench open URL RATE SECONDS [QUERY] open loop of POST /add at a fixed rate; prints "achieved p50 p90 p99 p99.9 max", in ms
//     bench witness URL VKEY LOGS SECONDS asks a witness for cosignatures of LOGS growing logs, 64 at once; first writes the list of logs to standard output and
//                                         waits for a line on standard input: the witness is to be started with it. Then prints "cosignatures/s"

using System.Diagnostics;
using System.Globalization;
using System.Text;
using TransparencyLog;
using TransparencyLog.Bench;
using TransparencyLog.Signing;

static int Number(string text) => int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture);
static TimeSpan Seconds(string text) => TimeSpan.FromSeconds(Number(text));
static void Print(FormattableString line) => Console.WriteLine(line.ToString(CultureInfo.InvariantCulture));

NativeSha256.TryUse();
switch (args)
{
    case ["suite", string directory]:
        await new Suite(Options.FromEnvironment(), directory).RunAsync();
        return 0;
    case ["compare", string directory, string before]:
        using (Compare compare = new(Options.FromEnvironment(), directory, before)) await compare.RunAsync();
        return 0;
    case ["long", string directory]:
        await new LongSuite(LongOptions.FromEnvironment(), directory).RunAsync();
        return 0;
    case ["feeds", string directory, string rounds, string seconds]:
        using (Feeds feeds = new(directory, Number(rounds), Number(seconds))) await feeds.RunAsync();
        return 0;
    case ["null", .. string[] bytes]:
        await NullServer.RunAsync(bytes.Length > 0 ? Number(bytes[0]) : 200);
        return 0;
    case ["disk", string directory, string bytes, string seconds]:
        DiskFigures disk = Limits.Disk(directory, Number(bytes), Seconds(seconds));
        Print($"{disk.SyncsPerSecond:F0} {disk.MedianMicroseconds:F0} {disk.P99Microseconds:F0} {disk.BytesPerSecond / 1e6:F0}");
        return 0;
    case ["hash", string seconds]:
        Print($"{Limits.Hash(Seconds(seconds)) / 1e6:F0}");
        return 0;
    case ["batch", string url, string entries, string bytes, string seconds]:
        Print($"{await BatchLoad.MeasureAsync(new Uri(url), Number(entries), Number(bytes), Seconds(seconds)):F0}");
        return 0;
    case ["fill", string url, string count, string bytes]:
        Print($"{await BatchLoad.FillAsync(new Uri(url), Number(count), Number(bytes)):F0}");
        return 0;
    case ["open", string url, string rate, string seconds, .. string[] query]:
        OpenFigures open = OpenLoop.Measure(new Uri(url), Number(rate), Seconds(seconds), query.FirstOrDefault() ?? "");
        Print($"{open.Achieved:F0} {open.At(50):F2} {open.At(90):F2} {open.At(99):F2} {open.At(99.9):F2} {open.Most:F2}");
        return 0;
    case ["witness", string url, string vkey, string logs, string seconds]:
        if (!VerifierKey.TryParse(Encoding.UTF8.GetBytes(vkey), out VerifierKey? key)) break;
        using (WitnessLoad load = new(Number(logs)))
        {
            Console.Write(load.LogList + "\n");
            _ = Console.ReadLine();
            load.Prepare(Math.Max(2, 10_000 * Number(seconds) / Number(logs)));
            Print($"{load.Run(new Uri(url), key, 64, Seconds(seconds)).Rate:F0}");
        }

        return 0;
}

await Console.Error.WriteLineAsync("bench suite DIR | compare DIR BIN | long DIR | feeds DIR ROUNDS SECONDS | null [BYTES] | disk DIR BYTES SECONDS | hash SECONDS | batch URL ENTRIES BYTES SECONDS | fill URL COUNT BYTES | open URL RATE SECONDS [QUERY] | witness URL VKEY LOGS SECONDS");
return 2;
