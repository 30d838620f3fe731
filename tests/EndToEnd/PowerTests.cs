using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// Method "power": real file systems that lose their power under load. tests/long power runs 200 rounds (DEVTLOG_POWER_ROUNDS) and 10 controls
/// (DEVTLOG_POWER_CONTROLS); without these three rounds and one control. DEVTLOG_POWER_SEED repeats the choices of a run.
/// </summary>
[Collection(Alone.Name)]
public sealed class PowerTests(ITestOutputHelper output)
{
    /// <summary>Rounds on one disk, before the next begins with an empty one.</summary>
    private const int Life = 10;

    private const int LineRounds = 20;

    [Fact]
    public async Task D04_D09_nothing_acknowledged_or_published_is_lost_with_the_power_and_without_syncs_it_would_be()
    {
        using Scratch scratch = new();
        if (await PowerDisk.WhyNotAsync(scratch) is string missing) Privileges.Skip(missing);
        if (Programs.Shim is null) Assert.Skip("power loss needs bin/fault.so for its control: it needs a C compiler (make deps)");
        int rounds = Number("DEVTLOG_POWER_ROUNDS", 3), controls = Number("DEVTLOG_POWER_CONTROLS", 1), seed = Number("DEVTLOG_POWER_SEED", Random.Shared.Next());
        Say($"seed {seed}; {string.Join(", ", FileSystem.Available.Select(system => system.Name))}{(FileSystem.Find("mkfs.xfs") is null ? "; no xfs: mkfs.xfs is not there (package xfsprogs)" : "")}");

        Tally tally = await RunAsync(scratch, rounds, seed, lies: false);
        Tally control = await RunAsync(scratch, controls, seed, lies: true);
        foreach (string failure in tally.Failures) Say(failure);
        Say($"{rounds} rounds, {tally.Lost} lost, {tally.Refused} refused; control: {control.Lost + control.Refused} of {controls} rounds lost");
        Assert.True(tally.Failures.Count == 0, string.Join('\n', tally.Failures));

        // A disk that lies and loses its power takes what was acknowledged with it: who does not see that sees nothing.
        Assert.True((control.Lost + control.Refused) * 2 > controls, $"the control lost {control.Lost} and was refused {control.Refused} times of {controls}");
        Assert.True(tally.Acknowledged >= Math.Min(rounds, Life), $"only {tally.Acknowledged} entries in {rounds} rounds: nothing was at stake");
    }

    private async Task<Tally> RunAsync(Scratch scratch, int rounds, int seed, bool lies)
    {
        Tally tally = new();
        int length = lies ? 1 : Life;
        long start = TimeProvider.System.GetTimestamp();
        for (int done = 0, life = 0; done < rounds; life++)
        {
            LifeStyle style = new(unchecked(seed + (life * 7919)), Witnessed: !lies && life % 2 == 0, lies);
            FileSystem system = FileSystem.Available[life % FileSystem.Available.Length];
            for (int until = Math.Min(rounds, done + length); done < until;)
            {
                done = await LiveAsync(scratch, $"{(lies ? "control" : "life")}{life}-{done}", system, style, done, until, tally);
                if (rounds >= LineRounds && !lies && (done % LineRounds == 0 || done == rounds))
                {
                    double seconds = TimeProvider.System.GetElapsedTime(start).TotalSeconds;
                    Say(string.Create(CultureInfo.InvariantCulture, $"{done,5} rounds  {tally.Lost,3} lost  {tally.Refused,3} refused  {tally.Acknowledged,9} entries acknowledged  {seconds,6:F0} s  {seconds / done,5:F2} s a round"));
                }
            }
        }

        return tally;
    }

    /// <summary>Rounds on one disk, until so many are done or one fails: what it left is not gone on with. Returns how many are done then.</summary>
    private static async Task<int> LiveAsync(Scratch scratch, string name, FileSystem system, LifeStyle style, int done, int until, Tally tally)
    {
        await using PowerDisk disk = await PowerDisk.CreateAsync(scratch, name, system);
        PowerLife? life = null;
        done++; // a round that fails is one too
        try
        {
            life = await PowerLife.BeginAsync(disk, scratch, name, style);
            await life.RunRoundAsync();
            for (; done < until; done++) await life.RunRoundAsync();

            await life.EndAsync();
        }
        catch (Exception failure) when (failure is CheckFailedException or TimeoutException)
        {
            string word = failure is TimeoutException ? "REFUSED" : failure.Message.Split(' ', ':')[0];
            if (life is not null) await life.DisposeAsync();
            string kept = style.Lies ? "" : $"; the disk: {await disk.KeepAsync($"{name}.img")}";
            tally.Fail(word, $"round {done}, {system.Name}, {style}: {failure.Message}{kept}");
        }
        finally
        {
            if (life is not null)
            {
                tally.Acknowledged += life.Acknowledged;
                await life.DisposeAsync();
            }
        }

        return done;
    }

    private void Say(string line)
    {
        output.WriteLine(line);
        Console.WriteLine($"power: {line}"); // for tests/long
    }

    private static int Number(string name, int otherwise) =>
        Environment.GetEnvironmentVariable(name) is string text ? int.Parse(text, NumberStyles.None, CultureInfo.InvariantCulture) : otherwise;

    private sealed class Tally
    {
        public int Lost { get; private set; }

        public int Refused { get; private set; }

        public long Acknowledged { get; set; }

        public List<string> Failures { get; } = [];

        public void Fail(string word, string text)
        {
            if (word == "REFUSED") Refused++;
            else Lost++;
            Failures.Add(text);
        }
    }
}
