using TransparencyLog.Store;

namespace TransparencyLog.Tests.Store.Contract;

/// <summary>A new store of one kind for each test.</summary>
public abstract class ContractTests<T> : IAsyncLifetime where T : StoreUnderTest, new()
{
    protected T Under { get; } = new();

    /// <summary>The current opening.</summary>
    protected ILogStore Store { get; set; } = null!;

    protected IJournal Journal => Store.Journal;

    protected IHeadRegister Register => Store.Register;

    protected ITileStore Tiles => Store.Tiles;

    public async ValueTask InitializeAsync() => Store = await Under.CreateAsync();

    public async ValueTask DisposeAsync()
    {
        await Under.DisposeAsync();
        GC.SuppressFinalize(this);
    }

    /// <summary>Closes the store and opens it again.</summary>
    protected async Task ReopenAsync()
    {
        await Store.DisposeAsync();
        Store = await Under.ReopenAsync();
    }

    /// <summary>Kills the opening and opens the store again.</summary>
    protected async Task KillAndReopenAsync()
    {
        await Under.KillAsync();
        Store = await Under.ReopenAsync();
    }
}
