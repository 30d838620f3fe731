[assembly: Xunit.AssemblyFixture(typeof(TransparencyLog.Tests.Server.SharedLog))]

namespace TransparencyLog.Tests.Server;

/// <summary>One log of 300 entries for all tests that only ask it things.</summary>
public sealed class SharedLog : IAsyncLifetime
{
    private static TestLog? _log;

    internal static Task<TestLog> GetAsync() => Task.FromResult(_log!);

    public async ValueTask InitializeAsync()
    {
        _log = await TestLog.StartAsync();
        await _log.AddBatchAsync([.. Enumerable.Range(0, 300).Select(EntryAt)]);
        await _log.CheckLog(300);
    }

    public ValueTask DisposeAsync() => _log!.DisposeAsync();

    internal static byte[] EntryAt(int index) => System.Text.Encoding.UTF8.GetBytes($"entry {index}");
}
