// The disk under FASTER. FASTER's own devices never sync data or directories, and hide errors (spec/decisions/faster.md). This device writes and syncs on one
// dedicated thread, first in first out. Its first failure is permanent.
//
//   <directory>/data.0  data.1 ...   one file per device segment of 1 GiB, as long as what was written to it

using System.Collections.Concurrent;
using FASTER.core;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal sealed class FasterDevice : StorageDeviceBase
{
    private const uint ErrorCode = 1;
    private const int SectorBytes = 512;

    private readonly string _directory;
    private readonly ConcurrentDictionary<int, SafeFileHandle> _files = new();
    private readonly FirstFailure _failure;

    // Unbounded: the length is limited by FASTER's memory, which is a few pages. With a bound, a callback that requests the next write would block the thread
    // that empties the queue.
    private readonly BlockingCollection<Action> _queue = [];
    private readonly Thread _thread;

    public FasterDevice(string directory, FirstFailure failure) : base(Path.Combine(directory, "data"), sectorSize: SectorBytes, capacity: -1)
    {
        _directory = directory;
        _failure = failure;
        _thread = new Thread(Run) { IsBackground = true, Name = "segments" };
        _thread.Start();
    }

    public override void Initialize(long segmentSize, LightEpoch? epoch = null, bool omitSegmentIdFromFilename = false)
    {
        base.Initialize(segmentSize, epoch, omitSegmentIdFromFilename);

        // Without the true range, the first truncation after a restart makes FASTER request the removal of every file from 0 on.
        int[] numbers = [.. ListFiles(_directory)];
        if (numbers.Length == 0) return;
        startSegment = numbers[0];
        endSegment = numbers[^1];
    }

    public static IEnumerable<int> ListFiles(string directory) =>
        Posix.List(directory)
            .Where(name => name.StartsWith("data.", StringComparison.Ordinal))
            .Select(name => name[5..])
            .Where(digits => digits.Length is > 0 and < 9 && digits.AsSpan().IndexOfAnyExceptInRange('0', '9') < 0)
            .Select(digits => digits.Aggregate(0, (number, digit) => (number * 10) + (digit - '0')))
            .Order();

    public override unsafe void WriteAsync(IntPtr sourceAddress, int segmentId, ulong destinationAddress, uint numBytesToWrite, DeviceIOCompletionCallback callback, object context) =>
        _queue.Add(() =>
        {
            try
            {
                if (_failure.Cause is Exception cause) throw new StorageException($"{_directory} has failed: {cause.Message}");
                SafeFileHandle file = FileOf(segmentId, create: true)!;
                string path = PathOf(segmentId);
                ReadOnlySpan<byte> bytes = new((void*)sourceAddress, (int)numBytesToWrite);
                Posix.Write(file, bytes, (long)destinationAddress, path);
                Posix.SyncData(file, path);

                // The last sector is left out: FASTER may meanwhile have put the next records into its memory, after the committed bytes.
                Posix.Verify(file, bytes[..Math.Max(0, bytes.Length - SectorBytes)], (long)destinationAddress, path);
            }
            catch (Exception failure)
            {
                _failure.Set(failure);
                callback(ErrorCode, 0, context);
                return;
            }

            callback(0, numBytesToWrite, context);
        });

    public override unsafe void ReadAsync(int segmentId, ulong sourceAddress, IntPtr destinationAddress, uint readLength, DeviceIOCompletionCallback callback, object context)
    {
        // FASTER reads only while it recovers its last page. Bytes beyond the end of the file read as zeros.
        try
        {
            Span<byte> destination = new((void*)destinationAddress, (int)readLength);
            SafeFileHandle? file = FileOf(segmentId, create: false);
            int read = file is null ? 0 : Posix.Read(file, destination, (long)sourceAddress, PathOf(segmentId));
            destination[read..].Clear();
        }
        catch (StorageException failure)
        {
            _failure.Set(failure);
            callback(ErrorCode, 0, context);
            return;
        }

        callback(0, readLength, context);
    }

    public override void RemoveSegmentAsync(int segment, AsyncCallback callback, IAsyncResult result) =>
        _queue.Add(() =>
        {
            try
            {
                if (_files.TryRemove(segment, out SafeFileHandle? file)) file.Dispose();
                if (Posix.Stat(PathOf(segment), follow: false) is not null)
                {
                    Posix.Unlink(PathOf(segment));
                    Posix.SyncDirectory(_directory);
                }
            }
            catch (StorageException failure)
            {
                _failure.Set(failure);
            }

            callback(result);
        });

    public override void Dispose()
    {
        _queue.CompleteAdding();
        _thread.Join();
        foreach (SafeFileHandle file in _files.Values) file.Dispose();
        _queue.Dispose();
    }

    /// <summary>The descriptor of a file; null when the file is not open.</summary>
    public SafeFileHandle? HandleOf(int segment) => _files.GetValueOrDefault(segment);

    private void Run()
    {
        foreach (Action work in _queue.GetConsumingEnumerable()) work();
    }

    private SafeFileHandle? FileOf(int segment, bool create)
    {
        if (_files.TryGetValue(segment, out SafeFileHandle? file)) return file;
        string path = PathOf(segment);
        bool exists = Paths.FileExists(path);
        if (!exists && !create) return null;
        SafeFileHandle opened = Posix.Open(path, Posix.ReadWrite | Posix.NoFollow | (create ? Posix.Create : 0));
        file = _files.GetOrAdd(segment, opened);
        if (file != opened) opened.Dispose();
        if (!exists) Posix.SyncDirectory(_directory);
        return file;
    }

    private string PathOf(int segment) => GetSegmentFilename(FileName, segment);
}
