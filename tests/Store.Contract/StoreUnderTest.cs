using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>
/// One store that the contract suites run over: how it is made, opened again, killed, overtaken and filled. A new implementation joins with a
/// subclass, and one line for each suite (MemoryUnderTest.cs shows both).
/// </summary>
public abstract class StoreUnderTest : IAsyncDisposable
{
    /// <summary>The origin of every store.</summary>
    public const string Origin = "log.example/contract";

    /// <summary>The clock of the store. Stands still until a test moves it.</summary>
    public TestClock Clock { get; } = new();

    /// <summary>Whether an opening knows the ids of batches that an earlier one appended.</summary>
    public abstract bool KnowsIdsOfEarlierOpenings { get; }

    /// <summary>Whether an opening shows what was published before.</summary>
    public abstract bool KeepsWhatWasPublished { get; }

    /// <summary>Whether a store may have several openings. If not, the second throws <see cref="StoreInUseException"/>.</summary>
    public virtual bool AdmitsManyOpenings => false;

    /// <summary>Steps of a random sequence of calls that take about a second.</summary>
    public abstract int StepsOfModel { get; }

    /// <summary>Makes a new store and opens it. Called once.</summary>
    public abstract Task<ILogStore> CreateAsync();

    /// <summary>Opens the store again, after it was closed or killed.</summary>
    public abstract Task<ILogStore> ReopenAsync();

    /// <summary>Ends the current opening as kill -9 would: nothing is flushed or released in order.</summary>
    public abstract Task KillAsync();

    /// <summary>Tries to open the store as another process would, while it is open.</summary>
    public abstract Task<ILogStore> OpenSecondAsync();

    /// <summary>Another process gets past the lock of the current opening, which is fenced from then on.</summary>
    public abstract Task OvertakeAsync();

    /// <summary>Takes all room from the journal of the current opening, until it is disposed.</summary>
    public abstract IDisposable TakeRoom();

    public abstract ValueTask DisposeAsync();
}

/// <summary>A clock that stands still until it is moved. Timers run in real time.</summary>
public sealed class TestClock : TimeProvider
{
    private long _ticks = new DateTimeOffset(2026, 11, 30, 12, 0, 0, TimeSpan.Zero).AddTicks(4321).UtcTicks;

    public override DateTimeOffset GetUtcNow() => new(Volatile.Read(ref _ticks), TimeSpan.Zero);

    public void Advance(TimeSpan by) => Interlocked.Add(ref _ticks, by.Ticks);
}
