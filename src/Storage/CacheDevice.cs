// The disk under FASTER KV, for data that may be lost (HashIndex.cs): files that are never synced, written on a dedicated thread. FASTER stalls on a failed
// write, and follows addresses in whatever bytes it reads, so no failure is reported to it: a write always "succeeds", and bytes that do not read back as
// written are replaced by zeros, which end every chain. The failure is recorded for the owner of the cache, which discards the cache and builds a new one.
//
//   <directory>/data.0  data.1 ...   one file per device segment of 1 GiB
//
// The CRC-32C of each sector is kept in memory, 8 MiB per GiB.

using System.Collections.Concurrent;
using FASTER.core;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal sealed class CacheDevice : StorageDeviceBase
{
    public const int SegmentBits = 30;
    private const int Sector = 512;

    private readonly string _directory;
    private readonly FirstFailure _failure;
    private readonly ConcurrentDictionary<int, Segment> _segments = new();
    private readonly BlockingCollection<Action> _queue = []; // FASTER's pages in memory bound its length
    private readonly Thread _thread;
    private readonly object _idle = new(); // guards _outstanding
    private int _outstanding;

    public CacheDevice(string directory, FirstFailure failure) : base(Path.Combine(directory, "data"), Sector, capacity: -1)
    {
        _directory = directory;
        _failure = failure;
        _thread = new Thread(() =>
        {
            foreach (Action work in _queue.GetConsumingEnumerable()) work();
        })
        { IsBackground = true, Name = "index" };
        _thread.Start();
    }

    public override unsafe void WriteAsync(IntPtr sourceAddress, int segmentId, ulong destinationAddress, uint numBytesToWrite, DeviceIOCompletionCallback callback, object context)
    {
        lock (_idle) _outstanding++;
        _queue.Add(() =>
        {
            try
            {
                // After a failure the cache is going to be discarded. Skip the writes until then: they would only wait for a failing disk.
                if (_failure.Cause is null) Write(new ReadOnlySpan<byte>((void*)sourceAddress, (int)numBytesToWrite), segmentId, (long)destinationAddress);
            }
            catch (Exception failure)
            {
                _failure.Set(failure);
            }

            callback(0, numBytesToWrite, context); // may request the next write
            lock (_idle)
            {
                if (--_outstanding == 0) Monitor.PulseAll(_idle);
            }
        });
    }

    /// <summary>Waits for the writes that were requested. FASTER does not wait when it frees the pages that they are written from.</summary>
    public void Drain()
    {
        lock (_idle)
        {
            while (_outstanding > 0) Monitor.Wait(_idle);
        }
    }

    public override unsafe void ReadAsync(int segmentId, ulong sourceAddress, IntPtr destinationAddress, uint readLength, DeviceIOCompletionCallback callback, object context)
    {
        Span<byte> bytes = new((void*)destinationAddress, (int)readLength);
        try
        {
            if (!_segments.TryGetValue(segmentId, out Segment? segment)) throw new StorageException($"{_directory}: a read from data.{segmentId}, which was never written");
            int read = Posix.Read(segment.File, bytes, (long)sourceAddress, segment.Path);
            bytes[read..].Clear();
            for (int i = 0; i < bytes.Length; i += Sector)
            {
                if (Crc32C.Of(bytes.Slice(i, Sector)) == segment.Sums[((int)sourceAddress + i) / Sector]) continue;
                throw new StorageException($"{segment.Path}: the bytes at {(long)sourceAddress + i} are not what was written");
            }
        }
        catch (Exception failure)
        {
            _failure.Set(failure);
            bytes.Clear();
        }

        callback(0, readLength, context);
    }

    public override void RemoveSegmentAsync(int segment, AsyncCallback callback, IAsyncResult result) => callback(result);

    public override void Dispose()
    {
        _queue.CompleteAdding();
        _thread.Join();
        foreach (Segment segment in _segments.Values) segment.File.Dispose();
        _queue.Dispose();
    }

    private void Write(ReadOnlySpan<byte> bytes, int segmentId, long address)
    {
        Segment segment = SegmentOf(segmentId);
        for (int i = 0; i < bytes.Length; i += Sector) segment.Sums[((int)address + i) / Sector] = Crc32C.Of(bytes.Slice(i, Sector));
        Posix.Write(segment.File, bytes, address, segment.Path);
    }

    private Segment SegmentOf(int number) => _segments.GetOrAdd(number, _ =>
    {
        string path = Path.Combine(_directory, $"data.{number}");
        return new Segment(Posix.Open(path, Posix.ReadWrite | Posix.Create | Posix.Truncate | Posix.NoFollow), path, new uint[(1 << SegmentBits) / Sector]);
    });

    private sealed record Segment(SafeFileHandle File, string Path, uint[] Sums);
}
