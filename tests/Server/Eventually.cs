using System.Diagnostics;

namespace TransparencyLog.Tests.Server;

/// <summary>Waits for a condition, with a limit that only a failing test reaches.</summary>
internal static class Eventually
{
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    public static async Task TrueAsync(Func<Task<bool>> condition, string what)
    {
        Stopwatch watch = Stopwatch.StartNew();
        while (!await condition())
        {
            Assert.True(watch.Elapsed < Limit, $"not within {Limit}: {what}");
            await Task.Delay(5);
        }
    }

    public static Task TrueAsync(Func<bool> condition, string what) => TrueAsync(() => Task.FromResult(condition()), what);
}
