namespace TransparencyLog.Bench;

internal sealed record LongOptions(int Millions, int Minutes, string Results)
{
    public static LongOptions FromEnvironment() => new(
        Machine.Number("TLOG_LONG_MILLIONS", 50, 1, 1000), Machine.Number("TLOG_LONG_MINUTES", 10, 1, 600),
        Environment.GetEnvironmentVariable("TLOG_BENCH_RESULTS") is { Length: > 0 } results ? results : "bench/results");
}

internal sealed class LongSuite(LongOptions options, string work)
{
    public Task RunAsync() => throw new NotSupportedException($"{options} {work}");
}
