using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

public sealed class MemoryJournalTests : JournalContract<MemoryUnderTest>;

public sealed class MemoryConditionTests : ConditionContract<MemoryUnderTest>;

public sealed class MemoryRegisterTests : RegisterContract<MemoryUnderTest>;

public sealed class MemoryTileTests : TileContract<MemoryUnderTest>;

public sealed class MemoryOpeningTests : OpeningContract<MemoryUnderTest>;

public sealed class MemoryModelTests : ModelContract<MemoryUnderTest>;

/// <summary>The store in memory.</summary>
public sealed class MemoryUnderTest : StoreUnderTest
{
    private readonly MemoryStore.Shared _shared;
    private MemoryStore? _store;

    public MemoryUnderTest() => _shared = new MemoryStore.Shared(Origin, time: Clock);

    public override bool KnowsIdsOfEarlierOpenings => true;

    public override bool KeepsWhatWasPublished => true;

    public override int StepsOfModel => 20_000;

    public override Task<ILogStore> CreateAsync() => ReopenAsync();

    public override Task<ILogStore> ReopenAsync() => Task.FromResult<ILogStore>(_store = _shared.Open());

    public override Task KillAsync()
    {
        _store!.Kill();
        return Task.CompletedTask;
    }

    public override Task<ILogStore> OpenSecondAsync() => Task.FromResult<ILogStore>(_shared.Open());

    public override async Task OvertakeAsync() => await _shared.Overtake().DisposeAsync();

    public override IDisposable TakeRoom()
    {
        _shared.ResizeJournal(0);
        return new Undo(() => _shared.ResizeJournal(long.MaxValue));
    }

    public override ValueTask DisposeAsync() => _store?.DisposeAsync() ?? ValueTask.CompletedTask;
}

/// <summary>Undoes something when it is disposed.</summary>
internal sealed class Undo(Action action) : IDisposable
{
    public void Dispose() => action();
}
