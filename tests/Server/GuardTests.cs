using System.Text.Json;
using TransparencyLog.Server;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>N-02: what a log does whose guard does not answer, and one that another copy has overtaken.</summary>
public sealed class GuardTests
{
    private static readonly LogSetup Guarded = new() { Guard = true };

    [Fact]
    public async Task N02_without_its_guard_the_log_signs_nothing_takes_entries_and_goes_on_when_it_is_back()
    {
        await using TestLog log = TestLog.Create();
        await log.ServeAsync(Guarded);
        await log.AddAsync("one", "published");
        Directory.Move(log.GuardDirectory, log.GuardDirectory + ".away");
        Assert.Equal(1, await log.AddAsync("two"));
        await Eventually.TrueAsync(() => log.Engine.GuardTrouble is not null, "the guard is known to be unavailable");
        Assert.Equal(2, await log.AddAsync("three"));
        Assert.Equal(503, (int)(await log.Http.GetAsync("/readyz", TestContext.Current.CancellationToken)).StatusCode);

        // What both show is made at most once a second.
        await TextAsync(log, "/healthz", "guard-unavailable");
        await TextAsync(log, "/status", "guard-unavailable");
        using (JsonDocument status = JsonDocument.Parse(await log.Http.GetStringAsync("/status", TestContext.Current.CancellationToken)))
        {
            Assert.Equal("guard-unavailable", Assert.Single(status.RootElement.GetProperty("conditions").EnumerateArray()).GetProperty("condition").GetString());
            Assert.Equal("ready", status.RootElement.GetProperty("state").GetString());
        }

        Assert.Equal(1, log.Engine.Publisher.SignedSize);
        Assert.Equal(1, log.Engine.Publisher.Current!.Size);
        Directory.Move(log.GuardDirectory + ".away", log.GuardDirectory);
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size == 3, "everything is public");
        await Eventually.TrueAsync(() => log.Engine.GuardTrouble is null, "the guard answers");
        Assert.Equal(200, (int)(await log.Http.GetAsync("/readyz", TestContext.Current.CancellationToken)).StatusCode);
        await log.CheckLog(3);
    }

    private static async Task TextAsync(TestLog log, string path, string word)
    {
        long begun = Environment.TickCount64;
        while (!(await log.Http.GetStringAsync(path, TestContext.Current.CancellationToken)).Contains(word, StringComparison.Ordinal))
        {
            Assert.InRange(Environment.TickCount64 - begun, 0, 60_000);
            await Task.Delay(50, TestContext.Current.CancellationToken);
        }
    }

    [Fact]
    public async Task N02_beyond_the_bound_entries_wait_and_the_intake_pushes_back_and_the_log_still_ends_in_order()
    {
        await using TestLog log = TestLog.Create();
        await log.ServeAsync(Guarded with { Settings = settings => settings with { IntakeBytes = 2 * 1024 * 1024, WaitLimit = TimeSpan.FromMilliseconds(500) } });
        await log.AddAsync("one", "published");
        Directory.Move(log.GuardDirectory, log.GuardDirectory + ".away");
        await log.AddAsync("two");
        await Eventually.TrueAsync(() => log.Engine.GuardTrouble is not null, "the guard is known to be unavailable");
        await Task.Delay(GuardFence.FreshFor, TestContext.Current.CancellationToken); // until the last good look is too old
        int taken = 0, refused = 0;
        for (int i = 0; i < 200 && refused < 3; i++)
        {
            using HttpRequestMessage request = new(HttpMethod.Post, "/add") { Content = new ByteArrayContent([.. Enumerable.Repeat((byte)i, 60_000)]) };
            using HttpResponseMessage response = await log.Http.SendAsync(request, TestContext.Current.CancellationToken);
            if ((int)response.StatusCode == 200) taken++;
            else if ((int)response.StatusCode == 503) refused++;
        }

        Assert.InRange(taken, 10, 40); // some 2 MiB are acknowledged, and no more
        Assert.Equal(3, refused);
        Directory.Move(log.GuardDirectory + ".away", log.GuardDirectory);
        await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size >= taken + 2, "what was acknowledged is public");
        Directory.Move(log.GuardDirectory, log.GuardDirectory + ".away");
        await log.StopAsync();
        Directory.Move(log.GuardDirectory + ".away", log.GuardDirectory);
    }

    [Fact]
    public async Task N02_a_log_that_another_copy_has_overtaken_acknowledges_nothing_and_halts_with_what_it_found()
    {
        await using TestLog log = TestLog.Create();
        await log.ServeAsync(Guarded);
        await log.AddAsync("one", "published");
        await Task.Delay(GuardFence.FreshFor, TestContext.Current.CancellationToken); // the last look is older than that
        string data = log.Data + ".standby";
        Directory.CreateDirectory(data);
        foreach (string file in Directory.GetFiles(log.Data).Where(file => Path.GetFileName(file) != "lock")) File.Copy(file, Path.Combine(data, Path.GetFileName(file)));
        File.Delete(Directory.GetFiles(log.GuardDirectory, "*.lock").Single());
        using (TreeRegister.Open(data, log.GuardDirectory, TestLog.Origin, TimeProvider.System))
        {
            using HttpRequestMessage request = new(HttpMethod.Post, "/add") { Content = new ByteArrayContent("two"u8.ToArray()) };
            using HttpResponseMessage response = await log.Http.SendAsync(request, TestContext.Current.CancellationToken);
            Assert.Equal(503, (int)response.StatusCode);
            string halted = await log.HaltedAsync();
            Assert.Contains("fenced", halted);
            Assert.Contains(data, halted);
        }

        Assert.Equal(1, log.Engine.Publisher.SignedSize);
    }
}
