namespace TransparencyLog.Store;

/// <summary>
/// An open store of one log. Creating a store never overwrites one, and opening one never creates it.
/// <para>
/// A store for one process admits one opening at a time, and a second throws <see cref="StoreInUseException"/>. If another process gets
/// past that all the same, the earlier opening is fenced: its swaps return false, and whatever else it would write throws
/// <see cref="StoreInUseException"/>. A store for many nodes admits any number of openings, of which one at a time holds the lease of
/// <see cref="Register"/>.
/// </para>
/// Disposing the store closes its parts and lets the next process in at once. Calls in progress and later calls throw
/// <see cref="ObjectDisposedException"/>.
/// </summary>
public interface ILogStore : IAsyncDisposable
{
    /// <summary>The origin of the log whose bytes these are (C2SP tlog-checkpoint).</summary>
    string Origin { get; }

    /// <summary>The order of entries.</summary>
    IJournal Journal { get; }

    /// <summary>The heads that were signed.</summary>
    IHeadRegister Register { get; }

    /// <summary>The bytes of the tree.</summary>
    ITileStore Tiles { get; }
}
