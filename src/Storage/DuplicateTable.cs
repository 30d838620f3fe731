// The newest entries of a log, leaf hash -> index, in a table of a hard size: the default duplicate index (spec/decisions/duplicates.md).
// It holds no hash, only enough of one to name candidates; whoever asks compares each candidate with the stored leaf hash.
//
//   bucket = 8 slots of 8 bytes, a cache line
//   slot   = used 1 bit | fingerprint 23 bits | bits 14 to 23 of the address 10 bits | low 30 bits of the index; zero when empty
//
// An entry lies in one of two buckets (whichever has room, or else the one whose oldest entry is older: that one is forgotten), so a look-up
// reads two cache lines, whatever is in the table, and nothing but a growth ever moves. The table grows by linear hashing, one bucket at a
// time: bucket b of a table of n buckets splits into b and n, and the next bit of the address, which the slot keeps, says which. Memory is
// reserved once, all zeros, and touched as the table grows; outside the collected heap, which would keep a part as much again in reserve for it.

using System.Runtime.InteropServices;
using System.Runtime.Intrinsics.X86;

namespace TransparencyLog.Storage;

/// <summary>
/// Names the indexes that a leaf hash may have, over the newest entries of a log, in at most the bytes it was given. Any number of threads may
/// ask, without a lock; those that add take turns. It never misses what it holds, and for a hash that it does not hold it names an index
/// in fewer than one of a million cases.
/// </summary>
[System.Diagnostics.CodeAnalysis.SuppressMessage("Design", "CA1001", Justification = "look-ups take no lock: its memory goes when nobody holds the table any more, and no earlier")]
public sealed unsafe class DuplicateTable
{
    /// <summary>
    /// Most candidates one look-up names: 4. More than one are seen when an entry has several indexes, or when hashes with equal first 8 bytes were
    /// made on purpose, at 2^32 work for a pair: the bound keeps what that costs us at 4 tiles a look-up.
    /// </summary>
    public const int MaxCandidates = 4;

    /// <summary>Smallest table: two buckets.</summary>
    public const int MinBytes = 2 * BucketBytes;

    /// <summary>Largest table: 1 GiB, what the address bits kept in a slot can tell apart.</summary>
    public const int MaxBytes = 1 << 30;

    private const int Ways = 8, BucketBytes = Ways * sizeof(ulong);
    private const int FirstBits = 14; // of the address that the first size uses: 2^14 buckets, 1 MiB

    /// <summary>
    /// Entries a bucket, on average, at which the table grows: half full. Buckets not split yet hold twice what split ones do, so at 5 of 8 one
    /// entry in a hundred was forgotten while the table grew, at 6 one in six, at 4 one in a hundred thousand.
    /// </summary>
    private const int SplitAt = Ways / 2;

    private const int AddressBits = 24;
    private const int IndexBits = 30;
    private const long IndexMask = (1L << IndexBits) - 1;
    private const ulong Used = 1UL << 63;

    private readonly ulong _seed;
    private readonly int _maxBuckets;
    private readonly Reserved _memory; // freed when nobody holds the table any more: every method keeps it to its end
    private readonly ulong* _slots;
    private readonly Lock _writing = new();
    private int _buckets; // published behind the contents of the newest bucket
    private long _newest = -1; // published before the slot that holds it
    private long _count, _forgotten, _crowded;

    /// <summary>An empty table.</summary>
    /// <param name="bytes">Most bytes it may ever take: <see cref="MinBytes"/> to <see cref="MaxBytes"/>; rounded down to buckets of 64 bytes.</param>
    /// <param name="seed">Decides which hashes share a bucket. Chance, kept from strangers: then nobody can aim at a bucket.</param>
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
    /// How many of the newest entries it is made for, five eighths of its slots: fewer than one in a hundred of them is forgotten early. In the end
    /// every slot is in use, and what is older than that is forgotten roughly in its order.
    /// </summary>
    public long Capacity => (long)_maxBuckets * Ways * 5 / 8;

    /// <summary>How many entries it holds.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>How many entries were forgotten for newer ones, or were too old to be taken.</summary>
    public long Forgotten => Volatile.Read(ref _forgotten);

    /// <summary>How many look-ups had more candidates than they may name.</summary>
    public long Crowded => Volatile.Read(ref _crowded);

    /// <summary>The bytes in use for slots by now; never more than was given.</summary>
    public long Bytes => (long)Volatile.Read(ref _buckets) * BucketBytes;

    /// <summary>
    /// Adds an entry. Where both its buckets are full, the oldest in them is forgotten: perhaps this one. The order of calls is free: entries may come
    /// newest first. Indexes are at least 0, and none is 2^30 or more below the newest.
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

    /// <summary>Writes the indexes that a leaf hash may have, the smallest first, and returns how many: at most <see cref="MaxCandidates"/>, and as many as fit.</summary>
    /// <param name="leaf">The leaf hash.</param>
    /// <param name="atLeast">Indexes below this one are left out.</param>
    /// <param name="candidates">Takes the indexes.</param>
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

            // A split fills the new bucket, publishes it, and only then clears the old one: what was cleared before it was seen is in a bucket
            // that is published now.
            int now = Volatile.Read(ref _buckets);
            if (now == buckets || (Locate(place.First, now) == first && Locate(place.Second, now) == second))
            {
                GC.KeepAlive(this);
                return found;
            }
        }
    }

    /// <summary>
    /// Says that this hash will be looked up soon: its two cache lines are on their way when it is. A hint without effect, but for time: on a table of 64 MiB
    /// a look-up waits for memory most of the time it takes.
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

        // An empty slot is older than all; of two buckets with room the emptier one fills first.
        bool takesFirst = ageA != ageB ? ageA > ageB : Occupied(first) <= Occupied(second);
        long age = Math.Max(ageA, ageB);
        if (age == long.MaxValue) Volatile.Write(ref _count, _count + 1);
        else Volatile.Write(ref _forgotten, _forgotten + 1);
        if (age <= _newest - index) return; // older than all that are there
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

    /// <summary>Adds one bucket to the table, and moves into it what belongs there.</summary>
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

    /// <summary>The slot that is empty or holds the oldest entry, with its age.</summary>
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

    /// <summary>Linear hashing: as many low bits of the address as the table has buckets for, one fewer for buckets that are not split yet.</summary>
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
        // The finalizer of MurmurHash3 over the seed and 8 of 32 bytes that are uniform already: who does not know the seed cannot aim.
        Span<byte> bytes = stackalloc byte[Hash.Size];
        leaf.CopyTo(bytes);
        ulong mixed = System.Buffers.Binary.BinaryPrimitives.ReadUInt64LittleEndian(bytes) ^ _seed;
        mixed = (mixed ^ (mixed >> 33)) * 0xff51afd7ed558ccd;
        mixed = (mixed ^ (mixed >> 33)) * 0xc4ceb9fe1a85ec53;
        mixed ^= mixed >> 33;
        uint first = (uint)mixed & ((1 << AddressBits) - 1);
        uint fingerprint = (uint)(mixed >> AddressBits) & ((1 << 23) - 1);

        // The second bucket from bits that the first does not use.
        return new Place(first, first ^ (uint)((mixed >> AddressBits) * 0x9e3779b97f4a7c15 >> (64 - AddressBits)), fingerprint);
    }

    private readonly record struct Place(uint First, uint Second, uint Fingerprint);

    /// <summary>Zeroed memory for so many buckets, from the address of a cache line on. The system gives a page of it when it is first written.</summary>
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
