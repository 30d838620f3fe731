// Memory and descriptors of processes over time. Flat is: the middle of the last third of a life is not far above the middle of its first third.

using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>One look at one process.</summary>
/// <param name="Megabytes">Resident memory.</param>
/// <param name="Descriptors">Open ones.</param>
internal sealed record Sample(double Megabytes, int Descriptors);

internal sealed class ProcessWatch
{
    /// <summary>Shorter lives prove nothing: a start fills caches and the collector has not run often.</summary>
    public static readonly TimeSpan LeastLife = TimeSpan.FromMinutes(2);

    /// <summary>
    /// Caches with a bound (hot tiles, table of duplicates: under 100 MB together, filled in proportion to what is asked and appended) and the
    /// collector's mood: a quarter more, and 48 MB. What leaks for each entry or request passes that within minutes.
    /// </summary>
    private const double MemoryFactor = 1.25, MemoryMegabytes = 48;

    /// <summary>Connections of clients and witnesses come and go.</summary>
    private const int MoreDescriptors = 12;

    private readonly Dictionary<(string Name, int Process), List<Sample>> _lives = [];

    /// <summary>Takes a sample; null when the process has just gone.</summary>
    public Sample? Look(string name, int process)
    {
        Sample? sample = TryRead(process);
        if (sample is null) return null;
        if (!_lives.TryGetValue((name, process), out List<Sample>? life)) _lives.Add((name, process), life = []);
        life.Add(sample);
        return sample;
    }

    /// <summary>The lives of at least so many samples that were not flat, each with its figures; and how many lives were judged.</summary>
    public (string[] NotFlat, int Judged) Judge(int leastSamples)
    {
        var judged = _lives.Where(life => life.Value.Count >= leastSamples).ToArray();
        return ([.. judged.Select(life => WhyNotFlat(life.Value) is string why ? $"{life.Key.Name} (process {life.Key.Process}): {why}" : null).OfType<string>()], judged.Length);
    }

    /// <summary>Why a life was not flat; null when it was.</summary>
    public static string? WhyNotFlat(IReadOnlyList<Sample> life)
    {
        int third = life.Count / 3;
        Sample[] first = [.. life.Take(third)], last = [.. life.Skip(life.Count - third)];
        (double before, double after) = (Middle(first, sample => sample.Megabytes), Middle(last, sample => sample.Megabytes));
        (double opened, double open) = (Middle(first, sample => sample.Descriptors), Middle(last, sample => sample.Descriptors));
        if (after > (before * MemoryFactor) + MemoryMegabytes) return string.Create(CultureInfo.InvariantCulture, $"{before:F0} MB in its first third, {after:F0} MB in its last");
        if (open > opened + MoreDescriptors) return string.Create(CultureInfo.InvariantCulture, $"{opened:F0} descriptors in its first third, {open:F0} in its last");
        return null;
    }

    private static double Middle(Sample[] samples, Func<Sample, double> value) => samples.Select(value).Order().ElementAt(samples.Length / 2);

    private static Sample? TryRead(int process)
    {
        try
        {
            string resident = File.ReadLines($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal));
            int descriptors = Directory.EnumerateFileSystemEntries($"/proc/{process.ToString(CultureInfo.InvariantCulture)}/fd").Count();
            return new Sample(double.Parse(resident.Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024, descriptors);
        }
        catch (Exception gone) when (gone is IOException or InvalidOperationException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}
