using System.Globalization;
using System.Net;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;
using TransparencyLog.Tests.Cli;

namespace TransparencyLog.Tests.Server;

/// <summary>A log of 258 segments that is served and appended to while damage is done to its files.</summary>
public sealed class ScrubTests(WholeDirectory whole) : IClassFixture<WholeDirectory>
{
    private static readonly Func<Settings, Settings> Often = settings => settings with { ScrubMegabytes = 10_000, ScrubInterval = TimeSpan.FromMilliseconds(50), PublishGap = TimeSpan.FromMilliseconds(5) };

    /// <summary>What a server would write over at once, or meet by itself with its next head or frame: there it stops, whoever is first to find it.</summary>
    private static readonly string[] OfTheServer = ["commit", "heads", "published", "journal"];

    /// <summary>All but those that want a journal of one large file.</summary>
    public static TheoryData<string> Damages => [.. DamagedDirectories.All
        .Where(damage => !damage.WantsLargeJournal || damage.Name is "a byte of the journal flipped" or "the journal's file gone" or "a stray file in the journal")
        .Select(damage => damage.Name)];

    [Theory]
    [MemberData(nameof(Damages))]
    public async Task I11_I12_damage_under_load_is_named_is_not_served_and_stops_the_log(string name)
    {
        PlantedDamage planted = DamagedDirectories.All.Single(damage => damage.Name == name);
        Damage? other = null;
        for (int i = 0; i < 5; i++)
        {
            other = await MeetAsync(planted);
            if (other is null) return;
        }

        Assert.Fail($"{planted.Kind} {planted.Place} {planted.Segment} {planted.Index}, but five times something else, the last time {other}");
    }

    /// <summary>
    /// Null where the damage was named as it has to be. A check that comes by while the damage is being done reads a part of it, and names
    /// that: one of two records that are exchanged, or a record whose CRC is not forged yet. Then it is the damage that was named.
    /// </summary>
    private async Task<Damage?> MeetAsync(PlantedDamage planted)
    {
        await using TestLog log = TestLog.Adopt(whole.Quick, LogBuilder.Origin, LogBuilder.Seed);
        await log.ServeAsync(new LogSetup { Settings = Often, UsualJournal = true });
        await Eventually.TrueAsync(() => log.Engine.Scrub.Status.Passes > 0, "a pass that found nothing");
        using CancellationTokenSource enough = new();
        Task load = LoadAsync(log, enough.Token);
        long passes = log.Engine.Scrub.Status.Passes;
        await Eventually.TrueAsync(() => log.Engine.Scrub.Status.Passes > passes + 1, "a pass under load that found nothing");
        Assert.Equal(EngineState.Ready, log.Engine.State);

        planted.Plant(new Forger(log.Data));
        passes = log.Engine.Scrub.Status.Passes;
        bool ofTheServer = OfTheServer.Any(file => planted.Place.Contains(file, StringComparison.Ordinal));
        await Eventually.TrueAsync(
            () => log.Engine.HasStopped || log.Engine.Scrub.Status.Damage is not null || (ofTheServer && log.Engine.Scrub.Status.Passes > passes + 2), "the damage is found, or written over");
        if (log.Engine.Scrub.Status.Damage is Damage damage)
        {
            // A pass may have been behind the place when it was damaged: then the journal, which is compared with it at the end, tells.
            bool here = damage.Kind == planted.Kind && (planted.Segment is null || damage.Segment == planted.Segment) && (planted.Index is null || damage.Index == planted.Index);
            bool inJournal = damage.Kind == "journal" && (planted.Segment is null || damage.Segment == planted.Segment);
            if (!here && !inJournal && !ofTheServer)
            {
                await enough.CancelAsync();
                await load;
                return damage;
            }
        }
        else if (!log.Engine.HasStopped)
        {
            await enough.CancelAsync();
            await load;
            await Eventually.TrueAsync(() => log.Engine.Publisher.Current!.Size == log.Engine.Size, "all is public");
            await log.CheckLog(log.Engine.Size);
            return null;
        }

        if (planted.Kind == "stray-file")
        {
            Assert.Equal(EngineState.Ready, log.Engine.State);
            await log.Logged.WaitAsync(13, planted.Place);
            await enough.CancelAsync();
            await load;
            return null;
        }

        await Eventually.TrueAsync(() => log.Engine.HasStopped, "the log stops");
        await enough.CancelAsync();
        await load;
        string file = planted.Place.Split(',')[0].Split(' ')[^1].Split('/')[0];
        string[] named = ofTheServer ? [file, .. OfTheServer] : [file, planted.Kind, "journal"];
        await Eventually.TrueAsync(() => named.Any(name => log.Logged.Has(6, name) || log.Logged.Has(7, name)), $"one of {string.Join(", ", named)} is named");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.GetAsync("/healthz")).Status);
        if (log.Engine.Scrub.Status.Damage?.Segment is long segment)
        {
            TilePath path = log.Engine.Scrub.Status.Damage.Tile ?? new TilePath(TilePath.EntriesLevel, segment);
            (HttpStatusCode status, string text) = await log.GetAsync($"/{path}");
            Assert.True(status == HttpStatusCode.InternalServerError, $"{path}: {status}, {text.Length} characters");
        }

        return null;
    }

    [Fact]
    public async Task A_halt_by_the_check_outlives_a_restart_and_is_found_again()
    {
        PlantedDamage planted = DamagedDirectories.All.Single(damage => damage.Name == "an entry byte flipped, CRC forged");
        await using TestLog log = TestLog.Adopt(whole.Quick, LogBuilder.Origin, LogBuilder.Seed);
        planted.Plant(new Forger(log.Data));
        await log.ServeAsync(new LogSetup { Settings = Often, UsualJournal = true });
        await Eventually.TrueAsync(() => log.Engine.State == EngineState.Halted, "the log halts");
        (HttpStatusCode status, string text) = await log.GetAsync("/healthz");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, status);
        Assert.Contains("leaf-hash, segment 5, index 1300", text);
        Assert.DoesNotContain(log.Data, text);
        Assert.Contains("tlog_scrub_damaged 1", (await log.GetAsync("/metrics")).Text);

        await log.StopAsync();
        Assert.Contains("scrub: leaf-hash", await File.ReadAllTextAsync(Path.Combine(log.Data, "halted")));
        await log.ServeAsync(new LogSetup { Settings = Often, UsualJournal = true });
        Assert.Equal(EngineState.Halted, log.Engine.State);
        await Eventually.TrueAsync(() => log.Engine.Scrub.Status.Damage is not null, "the damage is found again");
        await Eventually.TrueAsync(() => log.GetAsync("/tile/entries/005").GetAwaiter().GetResult().Status == HttpStatusCode.InternalServerError, "the bundle is not served");
        Assert.Equal(HttpStatusCode.OK, (await log.GetAsync("/tile/entries/006")).Status);
    }

    [Fact]
    public async Task The_check_keeps_to_its_rate_and_says_how_far_it_is()
    {
        await using TestLog log = TestLog.Adopt(whole.Quick, LogBuilder.Origin, LogBuilder.Seed);
        await log.ServeAsync(new LogSetup { Settings = settings => settings with { ScrubMegabytes = 1 }, UsualJournal = true });

        // Some 6 MB at 1 MB/s: after the first segments of 1.3 MB it waits.
        await Eventually.TrueAsync(() => log.Engine.Scrub.Status.Entries >= 256 * 3, "the first segments are checked");
        Assert.InRange(log.Engine.Scrub.Status.Entries, 256 * 3, 256 * 200);
        Assert.Equal(0, log.Engine.Scrub.Status.Passes);
        Assert.Matches("\nscrub [0-9]+, last clean never\n", (await log.GetAsync("/healthz")).Text);
        await log.StopAsync(); // does not wait for the pass
        await log.ServeAsync(new LogSetup { Settings = settings => Often(settings) with { ScrubInterval = TimeSpan.FromDays(1) }, UsualJournal = true });
        await Eventually.TrueAsync(() => log.Engine.Scrub.Status.Passes > 0, "a pass");
        Assert.Equal(WholeDirectory.Size, log.Engine.Scrub.Status.Entries);
        Assert.Matches("\nscrub [0-9]+, last clean [0-9T:-]+Z\n", (await log.GetAsync("/healthz")).Text);
        string metrics = (await log.GetAsync("/metrics")).Text;
        Assert.Contains($"tlog_scrub_entries {WholeDirectory.Size.ToString(CultureInfo.InvariantCulture)}", metrics);
        Assert.Contains("tlog_scrub_damaged 0", metrics);
        await log.StopAsync();
        await log.ServeAsync(new LogSetup { UsualJournal = true });
        Assert.Contains("\nscrub off\n", (await log.GetAsync("/healthz")).Text);
    }

    private static async Task LoadAsync(TestLog log, CancellationToken enough)
    {
        for (int i = 0; !enough.IsCancellationRequested; i++)
        {
            byte[] bundle = TestLog.Bundle(Enumerable.Range(0, 40).Select(k => BitConverter.GetBytes((i * 40L) + k)));
            try
            {
                using HttpResponseMessage answer = await log.Http.PostAsync("/add-batch", new ByteArrayContent(bundle), enough);
                using HttpResponseMessage tile = await log.Http.GetAsync($"/tile/0/{i % 250:d3}", enough);
                if (answer.StatusCode != HttpStatusCode.OK) return;
            }
            catch (OperationCanceledException)
            {
                return;
            }
        }
    }
}
