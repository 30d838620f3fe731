// Leaf hash -> index for all entries of a log, in FASTER KV: the duplicate index of full history (spec/decisions/duplicates.md). It is a cache: opening it
// removes its old files, it is filled again from the level-0 tiles, and every index it returns is compared with the stored leaf hash.
//
//   key   the first 8 bytes of the leaf hash      value   the index      24 bytes per entry in FASTER's log, the newest 16 MiB of them in memory

using System.Buffers.Binary;
using FASTER.core;

namespace TransparencyLog.Storage;

/// <summary>
/// Finds the first index of every leaf hash that was added. It is on disk and needs about 10 bytes of memory per entry. Of two hashes with equal first 8 bytes
/// (which take 2^32 work to make) only the one added first is found. One thread adds; any number look up.
/// </summary>
public sealed class HashIndex : IDisposable
{
    /// <summary>
    /// The smallest number of buckets in FASTER's hash table, 16 MiB. A bucket has room for 7 entries before it overflows. More entries only make the chains
    /// longer, and the next opening uses more buckets.
    /// </summary>
    private const long LeastBuckets = 1 << 18;

    private const int BucketBytes = 64;

    private readonly FirstFailure _failure = new();
    private readonly CacheDevice _device;
    private readonly FasterKV<long, long> _store;
    private readonly ClientSession<long, long, long, long, Empty, FirstWins> _writer;
    private readonly Stack<ClientSession<long, long, long, long, Empty, FirstWins>> _readers = new(); // guarded by itself, like the two fields below
    private int _reading;
    private bool _closing;

    /// <summary>Removes everything in <paramref name="directory"/> and opens an empty index there.</summary>
    /// <param name="directory">Created if it does not exist. Everything in it is removed.</param>
    /// <param name="expected">The number of entries expected soon. One bucket of 64 bytes of memory is reserved for every 4 to 8 of them.</param>
    /// <exception cref="StorageException">The directory cannot be emptied or created.</exception>
    public HashIndex(string directory, long expected)
    {
        try
        {
            switch (Posix.Stat(directory, follow: false)?.Kind)
            {
                case null: break;
                case PathKind.Directory: Directory.Delete(directory, recursive: true); break;
                default: Posix.Unlink(directory); break;
            }

            Directory.CreateDirectory(directory, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new StorageException($"{directory} cannot be made anew: {failure.Message}");
        }

        _device = new CacheDevice(directory, _failure);
        _store = new FasterKV<long, long>(new FasterKVSettings<long, long>
        {
            LogDevice = _device,
            IndexSize = BucketBytes * Math.Max(LeastBuckets, (long)System.Numerics.BitOperations.RoundUpToPowerOf2((ulong)Math.Max(expected, 1) / 8)),
            PageSize = 1 << 20,
            MemorySize = 1 << 24,
            SegmentSize = 1L << CacheDevice.SegmentBits,
            ConcurrencyControlMode = ConcurrencyControlMode.None,
            EqualityComparer = new Prefixes(),
        });
        _writer = _store.For(new FirstWins()).NewSession<FirstWins>();
    }

    /// <summary>The first failure; null when nothing has failed. After a failure, results of this index must not be relied on.</summary>
    public Exception? Failure => _failure.Cause;

    /// <summary>Adds the entries of one full tile of level 0 in order: 256 leaf hashes of 32 bytes. A hash that was added before keeps its index.</summary>
    /// <param name="tile">The leaf hashes.</param>
    /// <param name="firstIndex">The index of the first leaf hash.</param>
    public void Add(ReadOnlySpan<byte> tile, long firstIndex)
    {
        for (int i = 0; i < tile.Length / Hash.Size; i++)
        {
            long key = BinaryPrimitives.ReadInt64LittleEndian(tile[(i * Hash.Size)..]), index = firstIndex + i;
            _writer.RMW(ref key, ref index);
        }

        // Wait for the keys that FASTER has to look up on disk.
        _writer.CompletePending(wait: true);
    }

    /// <summary>
    /// Finds the index that a leaf hash may have; the caller must compare it with the stored leaf hash. Returns false when there is none, or when this is
    /// being closed.
    /// </summary>
    public bool TryFind(in Hash leaf, out long index)
    {
        index = -1;
        Span<byte> bytes = stackalloc byte[Hash.Size];
        leaf.CopyTo(bytes);
        long key = BinaryPrimitives.ReadInt64LittleEndian(bytes);
        if (Rent() is not { } session) return false;
        try
        {
            Status status = session.Read(ref key, ref index);
            if (!status.IsPending) return status.Found;
            session.CompletePendingWithOutputs(out CompletedOutputIterator<long, long, long, long, Empty> outputs, wait: true);
            using (outputs)
            {
                if (!outputs.Next() || !outputs.Current.Status.Found) return false;
                index = outputs.Current.Output;
                return true;
            }
        }
        finally
        {
            Return(session);
        }
    }

    /// <summary>Waits for the look-ups under way and closes. The files stay until the next opening removes them.</summary>
    public void Dispose()
    {
        lock (_readers)
        {
            if (_closing) return;
            _closing = true;
            while (_reading > 0) Monitor.Wait(_readers);
        }

        foreach (ClientSession<long, long, long, long, Empty, FirstWins> session in _readers) session.Dispose();
        _writer.Dispose();
        _device.Drain();
        _store.Dispose();
        _device.Dispose();
    }

    private ClientSession<long, long, long, long, Empty, FirstWins>? Rent()
    {
        lock (_readers)
        {
            if (_closing) return null;
            _reading++;
            return _readers.TryPop(out ClientSession<long, long, long, long, Empty, FirstWins>? session)
                ? session
                : _store.For(new FirstWins()).NewSession<FirstWins>();
        }
    }

    private void Return(ClientSession<long, long, long, long, Empty, FirstWins> session)
    {
        lock (_readers)
        {
            _readers.Push(session);
            if (--_reading == 0) Monitor.PulseAll(_readers);
        }
    }

    /// <summary>Adds a key that is absent; leaves the value of a key that is present.</summary>
    private sealed class FirstWins : FunctionsBase<long, long, long, long, Empty>
    {
        public override bool InitialUpdater(ref long key, ref long input, ref long value, ref long output, ref RMWInfo rmwInfo)
        {
            value = input;
            return true;
        }

        public override bool InPlaceUpdater(ref long key, ref long input, ref long value, ref long output, ref RMWInfo rmwInfo) => true;

        public override bool NeedCopyUpdate(ref long key, ref long input, ref long oldValue, ref long output, ref RMWInfo rmwInfo) => false;

        public override bool SingleReader(ref long key, ref long input, ref long value, ref long output, ref ReadInfo readInfo)
        {
            output = value;
            return true;
        }

        public override bool ConcurrentReader(ref long key, ref long input, ref long value, ref long output, ref ReadInfo readInfo)
        {
            output = value;
            return true;
        }
    }

    /// <summary>
    /// Compares and hashes keys. Keys are bits of a hash already, so FASTER's simple hash function is good enough. FASTER uses the top bits of its result as
    /// tag and the bottom bits as bucket.
    /// </summary>
    private sealed class Prefixes : IFasterEqualityComparer<long>
    {
        public long GetHashCode64(ref long k) => Utility.GetHashCode(k);

        public bool Equals(ref long k1, ref long k2) => k1 == k2;
    }
}
