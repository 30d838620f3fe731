namespace TransparencyLog.Server;

/// <summary>
/// The leaf hashes of the newest entries with their indexes, so that a duplicate is answered with its first index. A hard limit: beyond it the
/// oldest is forgotten, and its duplicate gets a new index. Not thread-safe: the intake's, under its lock.
/// </summary>
internal sealed class RecentEntries(int capacity)
{
    private readonly Dictionary<Hash, long> _indexes = new(capacity);
    private readonly Queue<Hash> _order = new(capacity);

    public int Capacity => capacity;

    public bool TryGet(in Hash leaf, out long index) => _indexes.TryGetValue(leaf, out index);

    public void Add(in Hash leaf, long index)
    {
        if (capacity == 0 || !_indexes.TryAdd(leaf, index)) return;
        _order.Enqueue(leaf);
        if (_order.Count > capacity) _indexes.Remove(_order.Dequeue());
    }
}
