// A log of numbered records in FASTER; segments and tree are one each. FASTER assigns addresses, manages pages and flushes them. Our own commit file and CRCs
// decide what is believed after a restart (spec/storage.md, spec/decisions/faster.md).
//
//   data.N      FASTER's pages, written through FasterDevice
//   commit      the last commit: FASTER's metadata, end address, number of records, address of the last record, CRC-32C
//   addresses   8 bytes, big-endian, at offset number * 8: the address of each record; synced before each commit. Each record also
//               holds the address of the one before it, from which the file could be rebuilt
//
//   record  = magic "TLR1" | number i64 | address of the record before it i64 | payload | CRC-32C of all before
//   part    = magic "TLP1" | number of the record it belongs to i64 | place among its parts i64 | payload | CRC-32C
//
// Parts lie before the record that names their addresses. One writer. Readers read committed bytes through their own file handles, so a read never needs a
// lock or a page of FASTER.

using System.Buffers;
using System.Buffers.Binary;
using System.Collections.Concurrent;
using FASTER.core;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

internal sealed class RecordLog : IAsyncDisposable, IDisposable
{
    /// <summary>
    /// The most payload bytes of a record or part. With its envelope it fits FASTER's page of 4 MiB several times, so little space is lost at page ends.
    /// </summary>
    public const int MaxPayload = (1024 * 1024) - 64;

    private const int EnvelopeSize = 20, CrcSize = 4, FasterHeader = 4;
    private const int CommitLimit = 4096;
    private const long FirstAddress = 64; // of every FASTER log
    private const int DeviceSegmentBits = 30;
    private const long OffsetMask = (1L << DeviceSegmentBits) - 1;
    private static ReadOnlySpan<byte> RecordMagic => "TLR1"u8;
    private static ReadOnlySpan<byte> PartMagic => "TLP1"u8;
    private static ReadOnlySpan<byte> CommitMagic => "TLCMT001"u8;

    private readonly string _directory;
    private readonly bool _uncached;
    private readonly SafeFileHandle _addresses;
    private readonly string _addressesPath;
    private readonly ConcurrentDictionary<int, DataFile> _readers = new();
    private readonly FirstFailure _failure = new();
    private readonly FasterDevice? _device;
    private readonly CommitManager? _commits;
    private readonly FasterLog? _log;
    private readonly Lock _position = new(); // guards Count and _lastAddress together, between the writer and a commit
    private long _lastAddress;
    private long _committedUntil;
    private long _count;
    private long _durableCount;

    private RecordLog(string directory, bool readOnly, bool uncached = false)
    {
        _directory = directory;
        _uncached = uncached;
        Commit commit = Commit.Read(Path.Combine(directory, "commit"));
        Count = DurableCount = commit.Count;
        _lastAddress = commit.LastAddress;
        _committedUntil = commit.Until;
        _addressesPath = Path.Combine(directory, "addresses");
        _addresses = Posix.Open(_addressesPath, (readOnly ? Posix.ReadOnly : Posix.ReadWrite) | Posix.NoFollow);
        try
        {
            // Believe the files only if the last record is where the commit file and the address file say.
            if (Count > 0)
            {
                Read(Count - 1);
                if (AddressOf(Count - 1) != _lastAddress) throw Damaged("address", new Place(this, "address", Count - 1), $"{_lastAddress}", $"{AddressOf(Count - 1)}");
            }

            if (readOnly) return;
            _commits = new CommitManager(directory, commit, _failure);
            _device = new FasterDevice(directory, _failure);
            _log = OpenFaster(commit);
        }
        catch
        {
            Close();
            throw;
        }
    }

    /// <summary>The number of records appended.</summary>
    public long Count
    {
        get => Volatile.Read(ref _count);
        private set => Volatile.Write(ref _count, value);
    }

    /// <summary>The number of records that are durable and can be read.</summary>
    public long DurableCount
    {
        get => Volatile.Read(ref _durableCount);
        private set => Volatile.Write(ref _durableCount, value);
    }

    public static void Create(string directory)
    {
        DurableFile.CreateDirectory(directory);
        if (Paths.FirstIn(directory) is not null) throw new StorageException($"{directory} is not empty");
        DurableFile.Replace(Path.Combine(directory, "addresses"), []);
        DurableFile.Replace(Path.Combine(directory, "commit"), new Commit([], 0, 0, 0, 0).ToBytes());
    }

    public static RecordLog Open(string directory) => new(directory, readOnly: false);

    /// <summary>Opens the committed records for reading. Another process may be appending meanwhile.</summary>
    /// <param name="directory">The directory of this record log.</param>
    /// <param name="uncached">Whether to read from the disk instead of the page cache, as far as the kernel drops cached pages on request.</param>
    public static RecordLog OpenReadOnly(string directory, bool uncached = false) => new(directory, readOnly: true, uncached);

    /// <summary>The files that this process relies on. A data file that has no descriptor here is compared with its state when it was first seen.</summary>
    internal IEnumerable<WatchedFile> FilesInUse()
    {
        yield return new WatchedFile(Path.Combine(_directory, "commit"), IsReplaced: true);
        yield return new WatchedFile(_addressesPath, _addresses);
        long until = Volatile.Read(ref _committedUntil);
        for (int number = 0; until > FirstAddress && number <= (until - 1) >> DeviceSegmentBits; number++)
        {
            yield return new WatchedFile(DataPath(_directory, number), _readers.TryGetValue(number, out DataFile reader) ? reader.Handle : _device?.HandleOf(number));
        }
    }

    /// <summary>For a log opened for reading: picks up the records that were committed since.</summary>
    public void Refresh()
    {
        string path = Path.Combine(_directory, "commit");
        Commit commit = Commit.Read(path);
        if (commit.Count < Count) throw Damaged("storage", path, $"at least the {Count} records of a commit before", $"{commit.Count}");
        Volatile.Write(ref _committedUntil, commit.Until);
        lock (_position) _lastAddress = commit.LastAddress;
        Count = DurableCount = commit.Count;
    }

    /// <summary>Appends a part of the record that will have number <see cref="Count"/>. Returns its address.</summary>
    public long AppendPart(int place, ReadOnlySpan<byte> payload) => Enqueue(PartMagic, Count, place, payload);

    /// <summary>Appends a record and returns its number. It can be read once it is committed.</summary>
    public long Append(ReadOnlySpan<byte> payload)
    {
        long number = Count;
        long address = Enqueue(RecordMagic, number, _lastAddress, payload);
        Span<byte> slot = stackalloc byte[8];
        BinaryPrimitives.WriteInt64BigEndian(slot, address);
        try
        {
            Posix.Write(_addresses, slot, number * 8, _addressesPath);
            Posix.Verify(_addresses, slot, number * 8, _addressesPath);
        }
        catch (StorageException failure)
        {
            _failure.Set(failure);
            throw;
        }

        lock (_position)
        {
            _lastAddress = address;
            Count = number + 1;
        }

        return number;
    }

    /// <summary>The current end: the number of records appended, and the address of the last one.</summary>
    public (long Count, long LastAddress) End
    {
        get
        {
            lock (_position) return (Count, _lastAddress);
        }
    }

    /// <summary>
    /// Makes everything up to <paramref name="end"/> durable; if null, everything appended before the call. Later records do not count as durable. One call
    /// at a time; appending may continue meanwhile. Throws <see cref="StorageException"/> when a write or sync failed, and on every later call: nothing is
    /// committed after a failure.
    /// </summary>
    public async Task CommitAsync((long Count, long LastAddress)? end = null)
    {
        ThrowIfFailed();
        (long count, long lastAddress) = end ?? End;
        if (count == DurableCount) return;
        try
        {
            Posix.SyncData(_addresses, _addressesPath);
            _commits!.Next(count, lastAddress);

            // With a cookie FASTER writes its metadata even when all bytes are committed already. This is needed for a record that was appended after the
            // last commit had taken its count, but before it took its end address: the bytes of such a record are committed, but not its number.
            Task commit = _log!.CommitStronglyAsync(BitConverter.GetBytes(count)).AsTask();

            // FASTER swallows exceptions of a commit manager and may leave its waiters hanging, so wait for the failure as well.
            await (await Task.WhenAny(commit, _failure.Happened).ConfigureAwait(false)).ConfigureAwait(false);
        }
        catch (Exception failure)
        {
            _failure.Set(failure);
        }

        if (_failure.Cause is null && _commits!.DurableCount < count) _failure.Set(new StorageException("FASTER reported a commit that was not written"));
        if (_failure.Cause is DamageException damage) throw new DamageException(damage.Damage);
        if (_failure.Cause is StorageException cause) throw new StorageException($"{_directory}: {cause.Message}", cause.Errno);
        ThrowIfFailed();
        Volatile.Write(ref _committedUntil, _log!.CommittedUntilAddress);
        DurableCount = count;
    }

    /// <summary>
    /// Reads a durable record and returns its payload; number and CRC were checked. The caller owns the memory. Costs one read of the file when the payload
    /// has at most <paramref name="expected"/> bytes, two when it has more.
    /// </summary>
    public ReadOnlyMemory<byte> Read(long number, int expected = 0) => Read(number, out _, expected);

    /// <summary>As above; also returns the address of the record before it.</summary>
    public ReadOnlyMemory<byte> Read(long number, out long before, int expected = 0)
    {
        Place place = new(this, "record", number);
        ReadOnlyMemory<byte> record = ReadAt(AddressOf(number), expected, place);
        ReadOnlyMemory<byte> payload = Split(record, RecordMagic, number, null, place);
        before = BinaryPrimitives.ReadInt64BigEndian(record.Span[12..]);
        return payload;
    }

    /// <summary>Reads a part of a durable record; number, place and CRC are checked.</summary>
    public ReadOnlyMemory<byte> ReadPart(long address, long number, int part, int expected = 0)
    {
        Place place = new(this, "record", number, part);
        return Split(ReadAt(address, expected, place), PartMagic, number, part, place);
    }

    /// <summary>
    /// Reads a durable record together with the bytes between it and the record before, where its parts lie, in one read of the file. Returns null when these
    /// are more than <paramref name="most"/> bytes or not in one file: then the record and its parts have to be read one by one. Assumes that the payload of
    /// the record before has at least <paramref name="least"/> bytes, and that of this record at most <paramref name="expected"/>. A wrong assumption only
    /// costs more reads.
    /// </summary>
    public RecordWithParts? ReadWithParts(long number, int least, int expected, int most)
    {
        (long before, long address) = AddressesOf(number);
        long from = number == 0 ? FirstAddress : before + FasterHeader + EnvelopeSize + least + CrcSize;
        long to = Math.Min(address + FasterHeader + EnvelopeSize + expected + CrcSize, Volatile.Read(ref _committedUntil));
        if (from < 0 || from > address || to - from > most || to <= address || from >> DeviceSegmentBits != (to - 1) >> DeviceSegmentBits) return null;
        Place place = new(this, "record", number);
        DataFile file = FileOf(address, place);
        byte[] bytes = GC.AllocateUninitializedArray<byte>((int)(to - from));
        if (_uncached) Posix.DropCache(file.Handle, from & OffsetMask, bytes.Length);
        int read = Posix.Read(file.Handle, bytes, from & OffsetMask, file.Path);
        return new RecordWithParts(this, number, from, address, bytes.AsMemory(0, read), place);
    }

    /// <summary>
    /// A record and its parts from one read. Its results are checked like those of <see cref="RecordLog.Read(long, int)"/> and
    /// <see cref="RecordLog.ReadPart"/>.
    /// </summary>
    internal sealed class RecordWithParts(RecordLog log, long number, long from, long address, ReadOnlyMemory<byte> bytes, Place place)
    {
        /// <summary>The record's payload.</summary>
        public ReadOnlyMemory<byte> Read() =>
            Split(At(address) ?? log.ReadAt(address, 0, place), RecordMagic, number, null, place);

        /// <summary>The payload of one of its parts.</summary>
        public ReadOnlyMemory<byte> ReadPart(long partAddress, int part)
        {
            Place name = place with { Part = part };
            return Split(At(partAddress) ?? log.ReadAt(partAddress, 0, name), PartMagic, number, part, name);
        }

        /// <summary>The record at an address; null when the bytes that were read do not contain the whole record.</summary>
        private ReadOnlyMemory<byte>? At(long at)
        {
            if (at < from || at - from > bytes.Length - FasterHeader) return null;
            ReadOnlyMemory<byte> rest = bytes[(int)(at - from)..];
            int length = BinaryPrimitives.ReadInt32LittleEndian(rest.Span);
            if (length < EnvelopeSize + CrcSize || length > rest.Length - FasterHeader) return null;
            return rest.Slice(FasterHeader, length);
        }
    }

    /// <summary>The file that holds the addresses from <paramref name="number"/> GiB on. Each file holds 1 GiB.</summary>
    internal static string DataPath(string directory, int number) => Path.Combine(directory, $"data.{number}");

    /// <summary>The files that hold the bytes between two addresses, with the begin and end offset in each.</summary>
    internal static IEnumerable<(int Number, long Begin, long End)> FilesOf(long from, long to)
    {
        while (from < to)
        {
            long begin = from & OffsetMask, end = Math.Min(begin + (to - from), 1L << DeviceSegmentBits);
            yield return ((int)(from >> DeviceSegmentBits), begin, end);
            from += end - begin;
        }
    }

    public void Dispose() => Close();

    public ValueTask DisposeAsync()
    {
        Close();
        return ValueTask.CompletedTask;
    }

    private FasterLog OpenFaster(Commit commit)
    {
        FasterLog log = new(new FasterLogSettings
        {
            LogDevice = _device,
            LogCommitManager = _commits,
            PageSize = 4 * 1024 * 1024,
            MemorySize = 16 * 1024 * 1024,
            SegmentSize = 1L << DeviceSegmentBits,
            TryRecoverLatest = false,
            TolerateDeviceFailure = false,
        });
        try
        {
            if (commit.Until == 0) return log;
            log.Recover();
            ThrowIfFailed();

            // Never trust "empty": FASTER swallows errors during recovery. So its end must be the one in our commit file.
            if (log.TailAddress == commit.Until && log.CommittedUntilAddress == commit.Until) return log;
            throw Damaged("storage", _directory, $"a log that ends at {commit.Until}", $"one that ends at {log.TailAddress}");
        }
        catch (Exception failure)
        {
            log.Dispose();
            if (failure is StorageException) throw;
            throw new StorageException($"{_directory}: FASTER could not recover: {_failure.Cause?.Message ?? failure.Message}");
        }
    }

    private void Close()
    {
        _log?.Dispose();
        _device?.Dispose();
        _addresses.Dispose();
        foreach (DataFile file in _readers.Values) file.Handle.Dispose();
    }

    /// <summary>Throws when anything has failed before.</summary>
    internal void ThrowIfFailed()
    {
        if (_failure.Cause is Exception cause) throw new StorageException($"{_directory} has failed and takes nothing more: {cause.Message}");
    }

    private long Enqueue(ReadOnlySpan<byte> magic, long number, long link, ReadOnlySpan<byte> payload)
    {
        if (payload.Length > MaxPayload) throw new ArgumentOutOfRangeException(nameof(payload), $"at most {MaxPayload} bytes");
        ThrowIfFailed();

        // Rent from the pool: a part of a bundle has up to a mebibyte, and as garbage only a full collection would free it.
        int size = EnvelopeSize + payload.Length + CrcSize;
        byte[] rented = ArrayPool<byte>.Shared.Rent(size);
        try
        {
            Span<byte> bytes = rented.AsSpan(0, size);
            magic.CopyTo(bytes);
            BinaryPrimitives.WriteInt64BigEndian(bytes[4..], number);
            BinaryPrimitives.WriteInt64BigEndian(bytes[12..], link);
            payload.CopyTo(bytes[EnvelopeSize..]);
            BinaryPrimitives.WriteUInt32BigEndian(bytes[^CrcSize..], Crc32C.Of(bytes[..^CrcSize]));

            // FASTER's memory is full when the disk is slower than the writer: wait for the device, unless it has failed.
            long address;
            SpinWait wait = default;
            while (!_log!.TryEnqueue((ReadOnlySpan<byte>)rented.AsSpan(0, size), out address))
            {
                wait.SpinOnce();
                ThrowIfFailed();
            }

            return address;
        }
        catch (CommitFailureException failure)
        {
            _failure.Set(failure);
            ThrowIfFailed();
            throw;
        }
        finally
        {
            ArrayPool<byte>.Shared.Return(rented);
        }
    }

    internal long AddressOf(long number)
    {
        if (number < 0 || number >= DurableCount) throw new ArgumentOutOfRangeException(nameof(number), $"0 to {DurableCount - 1}");
        Span<byte> slot = stackalloc byte[8];
        if (Posix.Read(_addresses, slot, number * 8, _addressesPath) != 8) throw Damaged("address", new Place(this, "address", number), "8 bytes", "the end of the file");
        return BinaryPrimitives.ReadInt64BigEndian(slot);
    }

    /// <summary>The address of a record, and of the one before it; 0, which is no address, for the one before record 0.</summary>
    private (long Before, long Address) AddressesOf(long number)
    {
        if (number == 0) return (0, AddressOf(0));
        if (number < 0 || number >= DurableCount) throw new ArgumentOutOfRangeException(nameof(number), $"0 to {DurableCount - 1}");
        Span<byte> slots = stackalloc byte[16];
        if (Posix.Read(_addresses, slots, (number - 1) * 8, _addressesPath) != 16) throw Damaged("address", new Place(this, "address", number), "8 bytes", "the end of the file");
        return (BinaryPrimitives.ReadInt64BigEndian(slots), BinaryPrimitives.ReadInt64BigEndian(slots[8..]));
    }

    private ReadOnlyMemory<byte> ReadAt(long address, int expected, in Place place)
    {
        if (address < FirstAddress || address + FasterHeader + EnvelopeSize + CrcSize > Volatile.Read(ref _committedUntil))
        {
            throw Damaged("address", place, $"an address below {Volatile.Read(ref _committedUntil)}", $"{address}");
        }

        // When the record is no longer than expected, its length and its bytes come in one read.
        DataFile file = FileOf(address, place);
        byte[] bytes = GC.AllocateUninitializedArray<byte>(FasterHeader + EnvelopeSize + expected + CrcSize);
        if (_uncached) Posix.DropCache(file.Handle, address & OffsetMask, FasterHeader + MaxPayload);
        int read = Posix.Read(file.Handle, bytes, address & OffsetMask, file.Path);
        if (read < FasterHeader) throw Damaged("storage", place, "a record", "the end of the file");
        int length = BinaryPrimitives.ReadInt32LittleEndian(bytes);
        if (length < EnvelopeSize + CrcSize || length > MaxPayload + EnvelopeSize + CrcSize) throw Damaged("storage", place, "a record", $"a length of {length} at address {address}");
        if (FasterHeader + length > bytes.Length)
        {
            byte[] longer = GC.AllocateUninitializedArray<byte>(FasterHeader + length);
            bytes.AsSpan(0, read).CopyTo(longer);
            read += Posix.Read(file.Handle, longer.AsSpan(read), (address & OffsetMask) + read, file.Path);
            bytes = longer;
        }

        if (read < FasterHeader + length) throw Damaged("storage", place, $"{length} bytes", $"{Math.Max(0, read - FasterHeader)} bytes before the end of the file");
        return bytes.AsMemory(FasterHeader, length);
    }

    private DataFile FileOf(long address, in Place place)
    {
        int number = (int)(address >> DeviceSegmentBits);
        if (_readers.TryGetValue(number, out DataFile file)) return file;
        string path = DataPath(_directory, number);
        if (!Paths.FileExists(path)) throw Damaged("storage", place, path, "no such file");
        DataFile opened = new(Posix.Open(path, Posix.ReadOnly | Posix.NoFollow), path);
        file = _readers.GetOrAdd(number, opened);
        if (file.Handle != opened.Handle) opened.Handle.Dispose();
        return file;
    }

    private static ReadOnlyMemory<byte> Split(ReadOnlyMemory<byte> record, ReadOnlySpan<byte> magic, long number, int? partPlace, in Place place)
    {
        ReadOnlySpan<byte> bytes = record.Span;
        uint crc = BinaryPrimitives.ReadUInt32BigEndian(bytes[^CrcSize..]);
        uint found = Crc32C.Of(bytes[..^CrcSize]);
        if (crc != found) throw Damaged("storage", place, $"CRC-32C {crc:x8}", $"{found:x8}");
        if (!bytes[..4].SequenceEqual(magic)) throw Damaged("storage", place, "its magic", Convert.ToHexStringLower(bytes[..4]));
        long foundNumber = BinaryPrimitives.ReadInt64BigEndian(bytes[4..]);
        if (foundNumber != number) throw Damaged("storage", place, $"number {number}", $"number {foundNumber}");
        if (partPlace is int wanted && BinaryPrimitives.ReadInt64BigEndian(bytes[12..]) is long link && link != wanted) throw Damaged("storage", place, $"part {wanted}", $"part {link}");
        return record[EnvelopeSize..^CrcSize];
    }

    private static DamageException Damaged(string kind, in Place place, string expected, string found) => new(new Damage(kind, place.ToString(), null, null, expected, found));

    private static DamageException Damaged(string kind, string place, string expected, string found) => new(new Damage(kind, place, null, null, expected, found));

    /// <summary>The name of the record or part being read. It is formatted only when damage is found, not for every read.</summary>
    internal readonly record struct Place(RecordLog Log, string What, long Number, int? Part = null)
    {
        public override string ToString() => Part is int part ? $"{Log._directory}, part {part} of {What} {Number}" : $"{Log._directory}, {What} {Number}";
    }

    private readonly record struct DataFile(SafeFileHandle Handle, string Path);

    /// <summary>Our commit file: the metadata to hand back to FASTER, and the values to check FASTER against.</summary>
    internal sealed record Commit(byte[] Metadata, long Number, long Until, long Count, long LastAddress)
    {
        public static Commit Read(string path)
        {
            if (!DurableFile.TryRead(path, CommitLimit, out byte[] bytes)) throw Damaged("storage", path, "a commit file", "nothing");
            return TryParse(bytes, out Commit? commit) ? commit : throw Damaged("storage", path, "a whole commit file", $"{bytes.Length} bytes whose CRC does not match");
        }

        public byte[] ToBytes()
        {
            byte[] bytes = new byte[8 + 32 + 4 + Metadata.Length + 4];
            CommitMagic.CopyTo(bytes);
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(8), Number);
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(16), Until);
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(24), Count);
            BinaryPrimitives.WriteInt64BigEndian(bytes.AsSpan(32), LastAddress);
            BinaryPrimitives.WriteInt32BigEndian(bytes.AsSpan(40), Metadata.Length);
            Metadata.CopyTo(bytes.AsSpan(44));
            BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(bytes.Length - 4), Crc32C.Of(bytes.AsSpan(0, bytes.Length - 4)));
            return bytes;
        }

        private static bool TryParse(byte[] bytes, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out Commit? commit)
        {
            commit = null;
            if (bytes.Length < 48 || !bytes.AsSpan(0, 8).SequenceEqual(CommitMagic)) return false;
            if (BinaryPrimitives.ReadUInt32BigEndian(bytes.AsSpan(bytes.Length - 4)) != Crc32C.Of(bytes.AsSpan(0, bytes.Length - 4))) return false;
            if (BinaryPrimitives.ReadInt32BigEndian(bytes.AsSpan(40)) != bytes.Length - 48) return false;
            Commit read = new(
                bytes[44..^4],
                BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(8)),
                BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(16)),
                BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(24)),
                BinaryPrimitives.ReadInt64BigEndian(bytes.AsSpan(32)));

            // A record occupies more than eight bytes, so no log has 2^60 of them. This also keeps the offset in the address file from overflowing.
            if (read.Number < 0 || read.Until < 0 || read.Count is < 0 or > long.MaxValue / 8 || read.LastAddress < 0) return false;
            commit = read;
            return true;
        }
    }

    /// <summary>
    /// FASTER's commit manager: one file, replaced as a whole. FASTER swallows exceptions thrown here, so a failure is stored in <see cref="FirstFailure"/>,
    /// which the waiters for the commit watch.
    /// </summary>
    private sealed class CommitManager(string directory, Commit last, FirstFailure failure) : ILogCommitManager
    {
        private Commit _last = last;
        private long _nextCount, _nextAddress;

        public long DurableCount => Volatile.Read(ref _last).Count;

        /// <summary>Sets the records that the next commit covers. Called by the one committer before it requests the commit.</summary>
        public void Next(long count, long lastAddress) => (_nextCount, _nextAddress) = (count, lastAddress);

        public void Commit(long beginAddress, long untilAddress, byte[] commitMetadata, long commitNum, bool forceWriteMetadata)
        {
            if (failure.Cause is Exception cause) throw new StorageException($"{directory} has failed: {cause.Message}");
            try
            {
                Commit next = new(commitMetadata, commitNum, untilAddress, _nextCount, _nextAddress);
                DurableFile.Replace(Path.Combine(directory, "commit"), next.ToBytes());
                Volatile.Write(ref _last, next);
            }
            catch (Exception thrown)
            {
                failure.Set(thrown);
                throw;
            }
        }

        public byte[] GetCommitMetadata(long commitNum) => _last.Metadata;

        public IEnumerable<long> ListCommits() => _last.Metadata.Length == 0 ? [] : [_last.Number];

        public void RemoveCommit(long commitNum)
        {
        }

        public void RemoveAllCommits()
        {
        }

        public void OnRecovery(long commitNum)
        {
        }

        public void Dispose()
        {
        }
    }
}

/// <summary>The first failure of a storage call of a record log. It is permanent: nothing is acknowledged after it.</summary>
internal sealed class FirstFailure
{
    private readonly TaskCompletionSource _happened = new(TaskCreationOptions.RunContinuationsAsynchronously);
    private Exception? _cause;

    public Exception? Cause => Volatile.Read(ref _cause);

    /// <summary>Completes when a failure is set.</summary>
    public Task Happened => _happened.Task;

    public void Set(Exception cause)
    {
        Interlocked.CompareExchange(ref _cause, cause, null);
        _happened.TrySetResult();
    }
}
