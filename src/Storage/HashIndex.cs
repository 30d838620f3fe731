// Leaf hash -> index over a whole log, in FASTER KV: the duplicate index of full history (spec/decisions/duplicates.md). A cache: what was there before is
// removed when it is opened, it is filled again from the level-0 tiles, and every index it gives is compared with the stored leaf hash.
//
//   key   the first 8 bytes of the leaf hash      value   the index      24 bytes an entry in FASTER's log, the newest 16 MiB of them in memory

using System.Buffers.Binary;
using FASTER.core;

namespace TransparencyLog.Storage;

/// <summary>
/// The first index of every leaf hash that was added, on disk, with memory of about 10 bytes an entry. Of two hashes with equal first 8 bytes
/// (which take 2^32 work to make) only the one that came first is found. One thread adds; any number look up.
/// </summary>
public sealed class HashIndex : IDisposable
{
    /// <summary>
    /// Fewest buckets of FASTER's hash table, 16 MiB: 7 entries each before they overflow. More entries than that only make chains longer, and the
    /// next opening takes more buckets.
    /// </summary>
    private const long LeastBuckets = 1 << 18;

    private const int BucketBytes = 64;

    private readonly FirstFailure _failure = new();
    private readonly CacheDevice _device;
    private readonly FasterKV<long, long> _store;
    private readonly ClientSession<long, long, long, long, Empty, FirstWins> _writer;
    private readonly Stack<ClientSession<long, long, long, long, Empty, FirstWins>> _readers = new(); // guarded by itself, as what follows
    private int _reading;
    private bool _closing;

    /// <summary>Removes what <paramref name="directory"/> holds and opens an empty index there.</summary>
    /// <param name="directory">Made when it does not exist; everything in it goes.</param>
    /// <param name="expected">How many entries it is going to hold soon; 64 bytes of memory are taken for every 4 to 8 of them.</param>
    /// <exception cref="StorageException">The directory cannot be emptied or made.</exception>
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

    /// <summary>What went wrong first; null while nothing has. What was added or found is not to be relied on from then on.</summary>
    public Exception? Failure => _failure.Cause;

    /// <summary>Adds the entries of one full tile of level 0 in order: 256 leaf hashes of 32 bytes. A hash that is there keeps its index.</summary>
    /// <param name="tile">The leaf hashes.</param>
    /// <param name="firstIndex">The index of the first.</param>
    public void Add(ReadOnlySpan<byte> tile, long firstIndex)
    {
        for (int i = 0; i < tile.Length / Hash.Size; i++)
        {
            long key = BinaryPrimitives.ReadInt64LittleEndian(tile[(i * Hash.Size)..]), index = firstIndex + i;
            _writer.RMW(ref key, ref index);
        }

        // A key that may be on disk waits for it here.
        _writer.CompletePending(wait: true);
    }

    /// <summary>The index that a leaf hash may have: the caller compares it with the stored leaf hash. False when it has none, or the index is being closed.</summary>
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

    /// <summary>Waits for the look-ups under way and closes. What lies on disk is left for the next opening to remove.</summary>
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

    /// <summary>Adds what is absent and leaves what is there.</summary>
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

    /// <summary>Keys are bits of a hash: uniform already. FASTER takes the tag from the top and the bucket from the bottom.</summary>
    private sealed class Prefixes : IFasterEqualityComparer<long>
    {
        public long GetHashCode64(ref long k) => Utility.GetHashCode(k);

        public bool Equals(ref long k1, ref long k2) => k1 == k2;
    }
}
