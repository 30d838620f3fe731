using System.Globalization;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>
/// N-02: two live copies of a data directory with one guard whose lock is lost. One copy stops at a storage call, as with SIGSTOP, and the other goes on; of the heads that both
/// release, no size may have two roots. The controls show that the same races find a guard that is renamed, one that is written blind, and one that follows the commit.
/// </summary>
public sealed class GuardRaceTests(ITestOutputHelper output) : IDisposable
{
    private const string Origin = "example.com/log";
    private const int Races = 200;

    private readonly Scratch _scratch = new(inMemory: true);

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task N02_of_two_hundred_races_of_two_live_copies_none_releases_two_roots_for_one_size()
    {
        RaceResult result = await RunAsync(GuardFlaw.None);
        Assert.True(result.Forks.Count == 0, $"{result}\n{string.Join('\n', result.Forks)}");
        Assert.True(result.BothWent == 0, result.ToString());
        Assert.InRange(result.Fenced, Races, 2 * Races);
        Assert.InRange(result.Paused, Races * 3 / 4, Races);
    }

    [Theory]
    [InlineData(nameof(GuardFlaw.Renames))]
    [InlineData(nameof(GuardFlaw.Blind))]
    [InlineData(nameof(GuardFlaw.AfterCommit))]
    public async Task Control_the_same_races_fork_with_a_guard_that(string flaw)
    {
        RaceResult result = await RunAsync(Enum.Parse<GuardFlaw>(flaw));
        Assert.True(result.Forks.Count > 0, $"{flaw}: {result}");
    }

    private async Task<RaceResult> RunAsync(GuardFlaw flaw)
    {
        int seed = Random.Shared.Next();
        Random random = new(seed);
        RaceResult result = new(seed);
        Scratch.Copy(await TemplateAsync(), _scratch["template"]);
        (int start, int swap) = await CountAsync();
        for (int race = 0; race < Races; race++)
        {
            // Every call of a swap in turn, and every call of a start; how far the other gets and how the lock was lost, by chance.
            bool stopsInStart = race % 4 == 3;
            RacePlan plan = new(
                StopAt: 1 + ((stopsInStart ? race / 4 : race - (race / 4)) % (stopsInStart ? start : swap)), stopsInStart,
                OtherSwaps: random.Next(2) == 0 ? 1 : random.Next(2, 5), LockRemoved: random.Next(3) == 0, BothOpen: random.Next(2) == 0);
            string folder = _scratch[string.Create(CultureInfo.InvariantCulture, $"race-{race}")];
            Scratch.Copy(_scratch["template"], folder);
            await RaceAsync(folder, plan, flaw, result);
            Directory.Delete(folder, recursive: true);
        }

        output.WriteLine($"{flaw}: {result}");
        return result;
    }

    /// <summary>A log with two heads and a guard, and a copy of it.</summary>
    private async Task<string> TemplateAsync()
    {
        string root = _scratch["made"];
        Directory.CreateDirectory(Path.Combine(root, "a"));
        TreeRegister.Create(Path.Combine(root, "a"), TimeProvider.System);
        using (TreeRegister register = TreeRegister.Open(Path.Combine(root, "a"), Path.Combine(root, "guard"), Origin, TimeProvider.System))
        {
            foreach (long size in (long[])[1, 2]) Assert.True(await register.SwapAsync(register.Current, Copy.Head(size, "common"), "test", CancellationToken.None));
        }

        File.Delete(Path.Combine(root, "a/guarded")); // names this folder; each race has its own
        Scratch.Copy(Path.Combine(root, "a"), Path.Combine(root, "b"));
        return root;
    }

    /// <summary>How many storage calls a start makes, and a swap.</summary>
    private async Task<(int Start, int Swap)> CountAsync()
    {
        string folder = _scratch["counted"];
        Scratch.Copy(_scratch["template"], folder);
        int calls = 0;
        using Copy counted = new(folder, "a", new GuardSeams());
        using FaultScope counting = FaultScope.On(folder, (_, _) =>
        {
            Interlocked.Increment(ref calls);
            return FaultScope.None;
        });
        counted.Start();
        int start = calls;
        await counted.SwapAsync(1);
        Assert.InRange(calls - start, 30, 80);
        return (start, calls - start);
    }

    private static async Task RaceAsync(string folder, RacePlan plan, GuardFlaw flaw, RaceResult result)
    {
        GuardSeams seams = new(flaw, LockIsLost: !plan.LockRemoved) { Limit = TimeSpan.FromMinutes(2) };
        using Copy stops = new(folder, "a", seams), other = new(folder, "b", seams);
        if (!plan.StopsInStart) stops.Start();
        if (plan.BothOpen && !plan.LockRemoved) other.Start();

        // The paused thread runs the other copy: it cannot go on before that has ended, which is what SIGSTOP does.
        int calls = 0;
        bool paused = false;
        using (FaultScope.On(folder, (_, _) =>
        {
            if (paused || ++calls != plan.StopAt) return FaultScope.None;
            paused = true;
            if (plan.LockRemoved) File.Delete(Directory.GetFiles(Path.Combine(folder, "guard"), "*.lock").Single());
            other.Start();
            other.SwapAsync(plan.OtherSwaps).GetAwaiter().GetResult();
            return FaultScope.None;
        }))
        {
            if (plan.StopsInStart) stops.Start();
            await stops.SwapAsync(1);
        }

        if (paused) result.Paused++;
        for (int round = 0; round < 3; round++)
        {
            await stops.SwapAsync(1);
            await other.SwapAsync(1);
        }

        foreach ((long size, Hash root) in stops.Released)
        {
            if (other.Released.TryGetValue(size, out Hash second) && second != root) result.Forks.Add($"{plan}: size {size} has two roots");
        }

        if (stops.Released.Count > 0 && other.Released.Count > 0) result.BothWent++;
        if (stops.Released.Count == 0 && other.Released.Count == 0 && !plan.LockRemoved) result.Forks.Add($"{plan}: neither copy went on");
        result.Fenced += (stops.IsFenced ? 1 : 0) + (other.IsFenced ? 1 : 0);
    }

    private sealed record RacePlan(int StopAt, bool StopsInStart, int OtherSwaps, bool LockRemoved, bool BothOpen);

    private sealed class RaceResult(int seed)
    {
        public List<string> Forks { get; } = [];

        public int BothWent { get; set; }

        public int Fenced { get; set; }

        public int Paused { get; set; }

        public override string ToString() => string.Create(CultureInfo.InvariantCulture, $"seed {seed}: {Races} races, {Paused} with the stop in their way, {Fenced} copies fenced or refused, {BothWent} in which both went on, {Forks.Count} sizes with two roots");
    }

    /// <summary>A live copy of the log. What it has released after the copy was made is remembered.</summary>
    private sealed class Copy(string folder, string name, GuardSeams seams) : IDisposable
    {
        private TreeRegister? _register;

        public Dictionary<long, Hash> Released { get; } = [];

        public bool IsFenced { get; private set; }

        public static TreeHead Head(long size, string branch) =>
            new(size, MerkleHash.Leaf(Encoding.ASCII.GetBytes($"{branch} {size}")), Encoding.UTF8.GetBytes($"{Origin}\n{size}\n{branch}\n"));

        public void Start()
        {
            if (_register is not null || IsFenced) return;
            try
            {
                _register = TreeRegister.Open(Path.Combine(folder, name), Path.Combine(folder, "guard"), Origin, TimeProvider.System, null, TreeRegister.HistoryLimit, seams);
            }
            catch (StorageException)
            {
                IsFenced = true;
            }
        }

        public async Task SwapAsync(int heads)
        {
            for (int i = 0; i < heads && _register is not null && !IsFenced; i++)
            {
                TreeHead next = Head(_register.Current!.Size + 1, name);
                try
                {
                    if (await _register.SwapAsync(_register.Current, next, "test", CancellationToken.None)) Released.Add(next.Size, next.Root);
                    else IsFenced = true;
                }
                catch (StorageException)
                {
                    IsFenced = true;
                }
            }
        }

        public void Dispose() => _register?.Dispose();
    }
}
