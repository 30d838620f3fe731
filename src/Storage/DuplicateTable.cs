// The newest entries of a log, leaf hash -> index, in a table with a hard size limit: the default duplicate index (spec/decisions/duplicates.md).
// It holds only enough of each hash to find candidates; the caller compares each candidate with the stored leaf hash.
//
//   bucket = 8 slots of 8 bytes, a cache line
//   slot   = used 1 bit | fingerprint 23 bits | bits 14 to 23 of the address 10 bits | low 30 bits of the index; zero when empty
//
// An entry lies in one of two buckets: one that has room or, when both are full, the one whose oldest entry is older. That oldest entry is then forgotten. So
// a look-up reads two cache lines however full the table is, and an entry moves only when the table grows. The table grows by linear hashing, one bucket at a
// time: in a table of n buckets, bucket b splits into b and n, and the next bit of the address, which the slot holds, decides between them. Memory is
// reserved once, all zeros, and is touched only as the table grows. It is outside the garbage-collected heap, which would keep additional memory in reserve
// for it.

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace TransparencyLog.Storage;

/// <summary>
/// Finds the indexes that a leaf hash may have, among the newest entries of a log, within a fixed number of bytes. Any number of threads may look up, without a
/// lock; threads that add take turns. It never misses an entry that it holds, and returns an index for a hash that it does not hold in fewer than one of a
/// million cases.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "look-ups take no lock: its memory goes when nobody holds the table any more, and no earlier")]
public sealed unsafe class DuplicateTable
{
    /// <summary>
    /// The most candidates of one look-up: 4. There is more than one when an entry has several indexes, or when someone made hashes with equal first 8 bytes
    /// on purpose, at 2^32 work for a pair. This bound limits the cost of such hashes to 4 tiles per look-up.
    /// </summary>
    public const int MaxCandidates = 4;

    /// <summary>The smallest table in bytes: two buckets.</summary>
    public const int MinBytes = 2 * BucketBytes;

    /// <summary>The largest table in bytes: 1 GiB, the most that the address bits in a slot can distinguish.</summary>
    public const int MaxBytes = 1 << 30;

    private const int Ways = 8, BucketBytes = Ways * sizeof(ulong);
    private const int FirstBits = 14; // of the address, used by the initial size: 2^14 buckets, 1 MiB

    /// <summary>
    /// The average number of entries per bucket at which the table grows: half of its slots. A bucket that is not split yet holds twice as many entries as
    /// one that is. So with 5 of 8 one entry in a hundred was forgotten while the table grew, with 6 one in six, with 4 one in a hundred thousand.
    /// </summary>
    private const int SplitAt = Ways / 2;

    private const int AddressBits = 24;
    private const int IndexBits = 30;
    private const long IndexMask = (1L << IndexBits) - 1;
    private const ulong Used = 1UL << 63;

    private readonly ulong _seed;
    private readonly int _maxBuckets;
    private readonly Reserved _memory; // freed when the table is unreachable: every method keeps the table alive to its end
    private readonly ulong* _slots;
    private readonly Lock _writing = new();
    private int _buckets; // published after the contents of the newest bucket
    private long _newest = -1; // published before the slot that holds it
    private long _count, _forgotten, _crowded;

    /// <summary>Creates an empty table.</summary>
    /// <param name="bytes">The most bytes it may ever use: <see cref="MinBytes"/> to <see cref="MaxBytes"/>; rounded down to buckets of 64 bytes.</param>
    /// <param name="seed">Decides which hashes share a bucket. Use a random value that clients cannot learn, so that they cannot aim at a bucket.</param>
    public DuplicateTable(int bytes, ulong seed)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(bytes, MinBytes);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(bytes, MaxBytes);
        _seed = seed;
        _maxBuckets = bytes / BucketBytes;
        _buckets = Math.Min(_maxBuckets, 1 << FirstBits);
        _memory = new Reserved(_maxBuckets);
        _slots = _memory.FirstSlot;
    }

    /// <summary>
    /// The number of newest entries that it is designed for, five eighths of its slots: fewer than one in a hundred of them is forgotten early. In the long
    /// run every slot is in use, and entries older than that are forgotten roughly in their order.
    /// </summary>
    public long Capacity => (long)_maxBuckets * Ways * 5 / 8;

    /// <summary>The number of entries it holds.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>The number of entries that were forgotten for newer ones, or were too old to be added.</summary>
    public long Forgotten => Volatile.Read(ref _forgotten);

    /// <summary>The number of candidates that look-ups dropped because there were too many.</summary>
    public long Crowded => Volatile.Read(ref _crowded);

    /// <summary>The bytes used for slots so far; never more than the limit.</summary>
    public long Bytes => (long)Volatile.Read(ref _buckets) * BucketBytes;

    /// <summary>
    /// Adds an entry. When both its buckets are full, the oldest of their entries and this one is forgotten. Entries may be added in any order, also newest
    /// first. An index is at least 0, and less than 2^30 below the newest.
    /// </summary>
    public void Add(in Hash leaf, long index)
    {
        ArgumentOutOfRangeException.ThrowIfNegative(index);
        Place place = PlaceOf(leaf);
        lock (_writing)
        {
            if (index > _newest) Volatile.Write(ref _newest, index);
            Put(place, index);
            if (_count > (long)_buckets * SplitAt && _buckets < _maxBuckets) Split();
        }

        GC.KeepAlive(this);
    }

    /// <summary>
    /// Writes the indexes that a leaf hash may have, the smallest first. Returns how many: at most <see cref="MaxCandidates"/>, and at most as many as fit.
    /// </summary>
    /// <param name="leaf">The leaf hash.</param>
    /// <param name="atLeast">Indexes below this one are left out.</param>
    /// <param name="candidates">Receives the indexes.</param>
    public int Find(in Hash leaf, long atLeast, Span<long> candidates)
    {
        Place place = PlaceOf(leaf);
        while (true)
        {
            int buckets = Volatile.Read(ref _buckets);
            int first = Locate(place.First, buckets), second = Locate(place.Second, buckets);
            int found = 0;
            Scan(first, SlotOf(place, place.First, 0), atLeast, candidates, ref found);
            if (second != first) Scan(second, SlotOf(place, place.Second, 0), atLeast, candidates, ref found);

            // A split fills the new bucket, publishes it, and only then clears the old one. So a slot that was cleared before this look-up read it is now in
            // a published bucket, and the look-up is repeated there.
            int now = Volatile.Read(ref _buckets);
            if (now == buckets || (Locate(place.First, now) == first && Locate(place.Second, now) == second))
            {
                GC.KeepAlive(this);
                return found;
            }
        }
    }

    /// <summary>
    /// Announces a look-up of this hash: loads its two cache lines into the cache. It affects only speed: on a table of 64 MiB, a look-up spends most of its
    /// time waiting for memory.
    /// </summary>
    public void Prefetch(in Hash leaf)
    {
        if (!Sse.IsSupported) return;
        Place place = PlaceOf(leaf);
        int buckets = Volatile.Read(ref _buckets);
        Sse.Prefetch0(_slots + ((long)Locate(place.First, buckets) * Ways));
        Sse.Prefetch0(_slots + ((long)Locate(place.Second, buckets) * Ways));
        GC.KeepAlive(this);
    }

    private void Put(in Place place, long index)
    {
        Span<ulong> first = Bucket(Locate(place.First, _buckets)), second = Bucket(Locate(place.Second, _buckets));
        int a = Victim(first, out long ageA), b = Victim(second, out long ageB);

        // An empty slot counts as older than any entry. If both buckets have room, the emptier one is used.
        bool takesFirst = ageA != ageB ? ageA > ageB : Occupied(first) <= Occupied(second);
        long age = Math.Max(ageA, ageB);
        if (age == long.MaxValue) Volatile.Write(ref _count, _count + 1);
        else Volatile.Write(ref _forgotten, _forgotten + 1);
        if (age <= _newest - index) return; // older than all entries in both buckets
        Volatile.Write(ref takesFirst ? ref first[a] : ref second[b], SlotOf(place, takesFirst ? place.First : place.Second, index));
    }

    private void Scan(int bucket, ulong wanted, long atLeast, Span<long> candidates, ref int found)
    {
        Span<ulong> slots = Bucket(bucket);
        for (int i = 0; i < Ways; i++)
        {
            ulong slot = Volatile.Read(ref slots[i]);
            if (((slot ^ wanted) & ~(ulong)IndexMask) != 0) continue;
            long index = IndexOf(slot, Volatile.Read(ref _newest));
            if (index < atLeast) continue;
            Insert(index, candidates[..Math.Min(candidates.Length, MaxCandidates)], ref found);
        }
    }

    private void Insert(long index, Span<long> candidates, ref int found)
    {
        int place = found;
        while (place > 0 && candidates[place - 1] > index) place--;
        if (found == candidates.Length) Interlocked.Increment(ref _crowded);
        else found++;
        if (place >= found) return;
        candidates[place..(found - 1)].CopyTo(candidates[(place + 1)..]);
        candidates[place] = index;
    }

    /// <summary>Adds one bucket to the table, and moves the entries that belong there into it.</summary>
    private void Split()
    {
        int added = _buckets;
        int bit = System.Numerics.BitOperations.Log2((uint)added);
        Span<ulong> from = Bucket(added - (1 << bit)), to = Bucket(added);
        ulong moves = 1UL << (bit - FirstBits + IndexBits);
        int moved = 0;
        foreach (ulong slot in from)
        {
            if ((slot & moves) != 0) Volatile.Write(ref to[moved++], slot);
        }

        Volatile.Write(ref _buckets, added + 1);
        foreach (ref ulong slot in from)
        {
            if ((slot & moves) != 0) Volatile.Write(ref slot, 0);
        }
    }

    /// <summary>An empty slot if there is one, else the slot with the oldest entry; and its age.</summary>
    private int Victim(Span<ulong> bucket, out long age)
    {
        int victim = 0;
        age = -1;
        for (int i = 0; i < Ways; i++)
        {
            long found = bucket[i] == 0 ? long.MaxValue : _newest - IndexOf(bucket[i], _newest);
            if (found > age) (victim, age) = (i, found);
        }

        return victim;
    }

    private static int Occupied(Span<ulong> bucket) => Ways - bucket.Count(0UL);

    private Span<ulong> Bucket(int bucket) => new(_slots + ((long)bucket * Ways), Ways);

    /// <summary>Linear hashing: the bucket is given by the low bits of the address, one bit fewer for a bucket that is not split yet.</summary>
    private static int Locate(uint address, int buckets)
    {
        int bits = System.Numerics.BitOperations.Log2((uint)buckets - 1) + 1;
        int bucket = (int)(address & ((1u << bits) - 1));
        return bucket < buckets ? bucket : bucket - (1 << (bits - 1));
    }

    private static long IndexOf(ulong slot, long newest) => newest - ((newest - (long)slot) & IndexMask);

    private static ulong SlotOf(in Place place, uint address, long index) =>
        Used | ((ulong)place.Fingerprint << (IndexBits + AddressBits - FirstBits)) | ((ulong)(address >> FirstBits) << IndexBits) | (ulong)(index & IndexMask);

    private Place PlaceOf(in Hash leaf)
    {
        // The finalizer of MurmurHash3 over the seed and 8 of the 32 hash bytes, which are uniform already. Without the seed nobody can aim at a bucket.
        Span<byte> bytes = stackalloc byte[Hash.Size];
        leaf.CopyTo(bytes);
        ulong mixed = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ _seed;
        mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccd;
        mixed = (mixed ^ (mixed >> 33)) * 0xc4ceb9fe1a85ec53;
        mixed ^= mixed >> 33;
        uint first = (uint)mixed & ((1 << AddressBits) - 1);
        uint fingerprint = (uint)(mixed >> AddressBits) & ((1 << 23) - 1);

        // The second bucket is derived from bits that the first does not use.
        return new Place(first, first ^ (uint)((mixed >> AddressBits) * 0x9e3779b97f4a7c15 >> (64 - AddressBits)), fingerprint);
    }

    private readonly record struct Place(uint First, uint Second, uint Fingerprint);

    /// <summary>Zeroed memory for this many buckets, aligned to a cache line. The kernel allocates a page when it is first written.</summary>
    private sealed class Reserved : SafeHandle
    {
        public Reserved(int buckets) : base(0, ownsHandle: true) => SetHandle((nint)NativeMemory.AllocZeroed((nuint)buckets + 1, BucketBytes));

        public ulong* FirstSlot => (ulong*)((handle + BucketBytes - 1) & -BucketBytes);

        public override bool IsInvalid => handle == 0;

        protected override bool ReleaseHandle()
        {
            NativeMemory.Free((void*)handle);
            return true;
        }
    }
}
