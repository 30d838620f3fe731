// What was acknowledged under load: millions of entries, so each is kept as its writer and its turn, and made again when it is compared.

using System.Globalization;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Which entry stands at which index. Thread-safe.</summary>
internal sealed class LoadEntries
{
    /// <summary>The writer of the largest entries; all other writers send small ones.</summary>
    public const int Heavy = 0;

    private const int NumberBits = 48, Largest = 65_535;

    private readonly Lock _adding = new();
    private long[] _writtenBy = new long[1024]; // [index]: 0 where nothing was acknowledged. Guarded by _adding, as is the next
    private long _count;

    /// <summary>How many entries were acknowledged.</summary>
    public long Count => Volatile.Read(ref _count);

    /// <summary>The entry that a writer sends at its turn; no two are equal.</summary>
    public static byte[] Make(int writer, long turn)
    {
        if (writer == Heavy)
        {
            byte[] heavy = new byte[Largest];
            new Random((int)turn).NextBytes(heavy);
            BitConverter.TryWriteBytes(heavy, turn);
            return heavy;
        }

        return Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"writer {writer}, entry {turn} ").PadRight(40 + (int)(turn % 160), '.'));
    }

    /// <summary>An entry was acknowledged.</summary>
    public void Add(long index, int writer, long turn)
    {
        lock (_adding)
        {
            if (index >= _writtenBy.Length) Array.Resize(ref _writtenBy, (int)Math.Max(index + 1, _writtenBy.Length * 2L));
            if (_writtenBy[index] != 0) throw new CheckFailedException($"LOST index {index}: it was given to two entries");
            _writtenBy[index] = ((writer + 1L) << NumberBits) | turn;
            _count++;
        }
    }

    /// <summary>One past the largest index that was acknowledged.</summary>
    public long End
    {
        get
        {
            lock (_adding) return Array.FindLastIndex(_writtenBy, entry => entry != 0) + 1;
        }
    }

    /// <summary>The entry that was acknowledged for an index; null when none was.</summary>
    public byte[]? this[long index]
    {
        get
        {
            lock (_adding)
            {
                long written = index < _writtenBy.Length ? _writtenBy[index] : 0;
                return written == 0 ? null : Make((int)(written >> NumberBits) - 1, written & ((1L << NumberBits) - 1));
            }
        }
    }
}
