using System.Diagnostics;
using System.Globalization;

namespace TransparencyLog.Bench;

/// <summary>One check of a directory from the disk, and what hashing alone and reading alone would take.</summary>
/// <param name="EntriesPerSecond">From the start of the process to its end.</param>
/// <param name="HashLimit">Entries a second that all cores could hash at the best stream's speed: the blocks of SHA-256 of a leaf and of a node.</param>
/// <param name="DiskLimit">Entries a second at the speed at which the directory can be read, from the disk, once.</param>
/// <param name="BusyCores">Its CPU time over its time.</param>
/// <param name="PeakBytes">Its most memory, as seen every 50 ms.</param>
/// <param name="Bytes">Of the directory.</param>
internal sealed record Fsck(double EntriesPerSecond, double HashLimit, double DiskLimit, double BusyCores, double PeakBytes, double Bytes)
{
    /// <summary>Which of the two limits it, and what else it took. Far from both, it is the rest that limits: reading records, comparing, and what is done in order on one core.</summary>
    public static string Verdict(double ours, double hash, double disk, double busyCores, double peakBytes)
    {
        string limits = ours < 0.5 * Math.Min(hash, disk) ? "neither limits" : hash < disk ? "hashing limits" : "the disk limits";
        return Report.Text($"hash {Report.Count(hash)}/s on all cores, disk {Report.Count(disk)}/s: {limits}; {busyCores:F1} cores busy, {peakBytes / 1e6:F0} MB");
    }

    public static async Task<Fsck> RunAsync(string directory, int entryBytes, string programs = "bin")
    {
        double bytes = Limits.Evict(directory);
        double readRate = Limits.ReadAll(directory);
        double hashRate = Limits.Hash(TimeSpan.FromSeconds(1));
        Limits.Evict(directory);

        long start = Stopwatch.GetTimestamp();
        using Process process = Process.Start(new ProcessStartInfo(Path.Combine(programs, "tlog"), ["fsck", directory]) { UseShellExecute = false, RedirectStandardOutput = true })!;
        try
        {
            Task<string> output = process.StandardOutput.ReadToEndAsync();
            double cpu = 0, peak = 0;
            while (!process.HasExited)
            {
                await Task.WhenAny(process.WaitForExitAsync(), Task.Delay(50));
                try
                {
                    string[] stat = (await File.ReadAllTextAsync($"/proc/{process.Id}/stat")).Split(')')[^1].Split(' ');
                    cpu = (double.Parse(stat[12], CultureInfo.InvariantCulture) + double.Parse(stat[13], CultureInfo.InvariantCulture)) / 100;
                    string? line = (await File.ReadAllLinesAsync($"/proc/{process.Id}/status")).FirstOrDefault(line => line.StartsWith("VmHWM:", StringComparison.Ordinal));
                    if (line is not null) peak = double.Parse(line.Split([' ', '\t'], StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) * 1024;
                }
                catch (IOException)
                {
                    // It has ended between the two.
                }
            }

            double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
            string said = await output;
            if (process.ExitCode != 0) throw new InvalidOperationException($"fsck ended with {process.ExitCode}: {said}");
            string line1 = said.Split('\n').First(line => line.StartsWith("entries ", StringComparison.Ordinal));
            double entries = double.Parse(line1["entries ".Length..], CultureInfo.InvariantCulture);
            double hashed = Blocks(1 + entryBytes) + Blocks(1 + (2 * Hash.Size));
            Fsck fsck = new(entries / seconds, Environment.ProcessorCount * hashRate / hashed, readRate * entries / bytes, cpu / seconds, peak, bytes);
            Progress.Say($"  fsck: {fsck.EntriesPerSecond:N0} entries/s; hash alone {fsck.HashLimit:N0}, disk alone {fsck.DiskLimit:N0}");
            return fsck;
        }
        finally
        {
            if (!process.HasExited) process.Kill();
        }
    }

    /// <summary>Bytes that SHA-256 goes through for a message: padded by at least 9 to a multiple of 64.</summary>
    private static int Blocks(int length) => (length + 9 + 63) / 64 * 64;
}
