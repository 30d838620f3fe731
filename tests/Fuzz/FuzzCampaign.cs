// `make fuzz`: every target for a time of its own, from what is kept and what earlier runs on this machine have found. Explicit tests, which `make test` does not run.
//
//   DEVTLOG_FUZZ_SECONDS=60        for each target
//   DEVTLOG_FUZZ_TARGETS="note"    only these; all of them by default
//   DEVTLOG_FUZZ_SEED=1            of the chance; another one each time by default
//
// A finding goes to artifacts/fuzz/findings/<target>/, and so does an input that ends the process: <target>.running holds it. What was new goes to artifacts/fuzz/corpus, and with
// `make fuzz-corpus` from there, as few inputs as take every edge, to tests/Fuzz/corpus.

using System.Globalization;
using System.IO.MemoryMappedFiles;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>The long run.</summary>
[Collection("one map of edges")]
public sealed class FuzzCampaign(ITestOutputHelper output)
{
    private static readonly string Findings = Path.Combine(Repository.Root, "artifacts/fuzz/findings");

    private static IReadOnlyList<string> Chosen => Environment.GetEnvironmentVariable("DEVTLOG_FUZZ_TARGETS")?.Split(' ', StringSplitOptions.RemoveEmptyEntries) is { Length: > 0 } names ? names : Targets.Names;

    [Fact(Explicit = true)]
    public void Every_parser_for_a_time()
    {
        double seconds = double.Parse(Environment.GetEnvironmentVariable("DEVTLOG_FUZZ_SECONDS") is { Length: > 0 } text ? text : "60", CultureInfo.InvariantCulture);
        ulong seed = Environment.GetEnvironmentVariable("DEVTLOG_FUZZ_SEED") is { Length: > 0 } given ? ulong.Parse(given, CultureInfo.InvariantCulture) : (ulong)Random.Shared.NextInt64();
        string[] unknown = [.. Chosen.Except(Targets.Names, StringComparer.Ordinal)];
        Assert.True(unknown.Length == 0, $"no target is called {string.Join(", ", unknown)}; there are: {string.Join(' ', Targets.Names)}");
        Directory.CreateDirectory(Findings);
        output.WriteLine($"seed {seed}, {seconds} s for each target\n{FuzzResult.Header}");
        List<string> found = [];
        foreach (string target in Chosen)
        {
            string running = Path.Combine(Findings, $"{target}.running");
            FuzzResult result;
            using (MemoryMappedFile file = MemoryMappedFile.CreateFromFile(running, FileMode.Create, null, 4 + Running.Most))
            using (Running last = new(file))
            {
                result = Instrumented.Fuzz(new FuzzRun(target)
                {
                    Corpus = [.. Corpus.Read(Corpus.Kept, target), .. Corpus.Read(Corpus.Found, target)],
                    Seed = seed,
                    Time = TimeSpan.FromSeconds(seconds),
                    Before = last.Remember,
                    Minimise = true,
                });
            }

            File.Delete(running);
            Corpus.Write(Corpus.Found, target, result.Minimal);
            output.WriteLine(result.ToString());
            foreach (Finding finding in result.Findings)
            {
                string folder = Directory.CreateDirectory(Path.Combine(Findings, target)).FullName, path = Path.Combine(folder, Corpus.NameOf(finding.Input));
                File.WriteAllBytes(path, finding.Input);
                File.WriteAllText($"{path}.txt", $"{finding.What}\n");
                found.Add($"{path}: {finding.What}");
                output.WriteLine($"FOUND {found[^1]}");
            }
        }

        Assert.True(found.Count == 0, string.Join('\n', found));
    }

    /// <summary>The inputs that are kept with the tests, anew: of those kept before and those found here, as few as take every edge.</summary>
    [Fact(Explicit = true)]
    public void Minimise_the_corpus()
    {
        foreach (string target in Chosen)
        {
            FuzzResult result = Instrumented.Fuzz(new FuzzRun(target) { Corpus = [.. Corpus.Read(Corpus.Kept, target), .. Corpus.Read(Corpus.Found, target)], Executions = 0, Minimise = true });
            Assert.True(result.Findings.Count == 0, FuzzTests.Describe(target, 1, result.Findings));
            Corpus.Write(Corpus.Kept, target, result.Minimal);
            output.WriteLine($"{target}: {result.Minimal.Count} inputs, {result.Minimal.Sum(input => input.Length)} bytes");
        }
    }

    /// <summary>The input under way, in a file that outlives the process: of a stack that overflowed nothing else is left.</summary>
    private sealed class Running(MemoryMappedFile file) : IDisposable
    {
        public const int Most = 256 * 1024;

        private readonly MemoryMappedViewAccessor _view = file.CreateViewAccessor();

        public void Remember(byte[] input)
        {
            _view.Write(0, input.Length);
            _view.WriteArray(4, input, 0, Math.Min(input.Length, Most));
        }

        public void Dispose() => _view.Dispose();
    }
}
