// make bench-micro: the pure parts, one by one, with BenchmarkDotNet. The table goes to standard output and to bench/results/.
// In this process: a generated project would take the repository's rules (warnings are errors) and its output folder for its own.

using System.Globalization;
using BenchmarkDotNet.Columns;
using BenchmarkDotNet.Configs;
using BenchmarkDotNet.Diagnosers;
using BenchmarkDotNet.Exporters;
using BenchmarkDotNet.Jobs;
using BenchmarkDotNet.Loggers;
using BenchmarkDotNet.Reports;
using BenchmarkDotNet.Running;
using BenchmarkDotNet.Toolchains.InProcess.Emit;
using TransparencyLog.Bench.Micro;
using TransparencyLog.Signing;

if (args is not [string artifacts, string results])
{
    await Console.Error.WriteLineAsync("bench-micro ARTIFACTS RESULTS");
    return 2;
}

Console.Error.WriteLine(NativeSha256.TryUse() ? "SHA-256 is libcrypto's, as in the programs" : "SHA-256 is the base library's");
IConfig config = ManualConfig.CreateEmpty()
    .AddJob(Job.Default.WithToolchain(InProcessEmitToolchain.Instance).WithWarmupCount(4).WithIterationCount(10))
    .AddDiagnoser(MemoryDiagnoser.Default)
    .AddColumnProvider(DefaultColumnProviders.Instance)
    .AddExporter(MarkdownExporter.GitHub)
    .AddLogger(ConsoleLogger.Ascii)
    .WithArtifactsPath(artifacts)
    .WithOptions(ConfigOptions.JoinSummary);
Summary[] summaries = [.. BenchmarkRunner.Run([typeof(Hashing), typeof(Trees), typeof(Texts), typeof(Signatures), typeof(Bytes)], config)];
if (summaries.Any(summary => summary.HasCriticalValidationErrors || summary.Reports.Any(report => !report.Success))) return 1;
Directory.CreateDirectory(results);
string report = Directory.GetFiles(Path.Combine(artifacts, "results"), "*-report-github.md").OrderBy(File.GetLastWriteTimeUtc).Last();
string target = Path.Combine(results, TimeProvider.System.GetUtcNow().ToString("yyyy-MM-dd", CultureInfo.InvariantCulture) + "-micro.md");
File.Copy(report, target, overwrite: true);
await Console.Error.WriteLineAsync(target);
return 0;
