using System.Net;

namespace TransparencyLog.Tests.Server;

public sealed class LifeTests
{
    [Fact]
    public async Task A_new_log_publishes_the_empty_tree_and_grows_over_restarts()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.CheckLog(0);
        Assert.Equal(0, await log.AddAsync("one"));
        await log.CheckLog(1);
        Assert.Equal(1, await log.AddAsync("two", "published"));
        await log.CheckLog(2);
        await log.RestartAsync();
        await log.CheckLog(2);
        Assert.Equal(2, await log.AddAsync("three"));
        await log.CheckLog(3);
    }

    [Fact]
    public async Task L12_the_empty_tree_has_no_tiles()
    {
        await using TestLog log = await TestLog.StartAsync();
        await log.CheckLog(0);
        foreach (string path in (string[])["/tile/0/000", "/tile/0/000.p/1", "/tile/entries/000.p/1", "/tile/1/000", "/entry/0"])
        {
            Assert.Equal(HttpStatusCode.NotFound, await log.Check.StatusAsync(path));
        }
    }
}
