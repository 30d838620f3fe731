// Timestamped cosignatures on checkpoints (c2sp.org/tlog-cosignature).
//
//     signature     u64 timestamp, big-endian || 64 bytes Ed25519 (type 0x04) or 2,420 bytes ML-DSA-44 (type 0x06)
//
//     the message that Ed25519 signs:
//     cosignature/v1
//     time 1679315147
//     example.com/behind-the-sofa                        the whole checkpoint text, extension lines too
//     20852163
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
//
//     the message that ML-DSA-44 signs, numbers big-endian (it does not contain the extension lines of a checkpoint):
//     "subtree/v1\n\0" || u8 length || cosigner name || u64 timestamp || u8 length || origin || u64 start || u64 end || hash
using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>The bytes of cosignatures and of their messages (c2sp.org/tlog-cosignature). The signature algorithms are in other libraries.</summary>
public static class Cosignature
{
    /// <summary>Bytes of an Ed25519 cosignature without its key ID: timestamp and signature.</summary>
    public const int Ed25519Size = 72;

    /// <summary>Bytes of an ML-DSA-44 cosignature without its key ID: timestamp and signature.</summary>
    public const int MlDsa44Size = 2428;

    /// <summary>Longest cosigner name and longest origin that ML-DSA-44 signs, in bytes: the message has one byte for each length.</summary>
    public const int MaxMlDsa44Text = 255;

    private static ReadOnlySpan<byte> SubtreeLabel => "subtree/v1\n\0"u8;

    /// <summary>
    /// Reads the time that a cosignature states, in seconds since the Epoch. False when the length is not that of a
    /// cosignature, when the timestamp is 0 (no time stated; never valid for Ed25519) and when it exceeds 2^63-1.
    /// </summary>
    public static bool TryReadTimestamp(ReadOnlySpan<byte> signature, out ulong timestamp)
    {
        timestamp = 0;
        // SPEC CO-06: 72 or 2,428 bytes; any other length is refused.
        if (signature.Length is not (Ed25519Size or MlDsa44Size)) return false;
        ulong value = BinaryPrimitives.ReadUInt64BigEndian(signature);
        // SPEC CO-07: the timestamp does not exceed 2^63-1.
        if (value is 0 or > long.MaxValue) return false;
        timestamp = value;
        return true;
    }

    /// <summary>Builds the message that an Ed25519 cosigner signs for the text of a checkpoint, final newline included.</summary>
    /// <exception cref="ArgumentOutOfRangeException">The timestamp is 0 or above 2^63-1.</exception>
    public static byte[] Ed25519Message(ulong timestamp, ReadOnlySpan<byte> checkpointText)
    {
        ArgumentOutOfRangeException.ThrowIfZero(timestamp);
        ArgumentOutOfRangeException.ThrowIfGreaterThan(timestamp, (ulong)long.MaxValue);
        // SPEC CO-09: header line, time line, whole note body. SPEC CO-10: the time is decimal without leading zeros.
        string head = string.Create(CultureInfo.InvariantCulture, $"cosignature/v1\ntime {timestamp}\n");
        byte[] message = new byte[head.Length + checkpointText.Length];
        Encoding.ASCII.GetBytes(head, message);
        checkpointText.CopyTo(message.AsSpan(head.Length));
        return message;
    }
    /// <summary>
    /// Builds the message that an ML-DSA-44 cosigner signs: the <c>cosigned_message</c> of c2sp.org/tlog-cosignature. For a checkpoint, start is 0,
    /// end is its tree size, and hash is its root hash. A subtree that begins elsewhere has no time.
    /// </summary>
    /// <param name="cosigner">Key name of the cosigner, 1 to 255 bytes of UTF-8.</param>
    /// <param name="timestamp">Seconds since the Epoch, at most 2^63-1; 0 states no time.</param>
    /// <param name="origin">Origin of the log without its newline, 1 to 255 bytes of UTF-8.</param>
    /// <param name="start">First index of the subtree.</param>
    /// <param name="end">The index after its last leaf; not below start.</param>
    /// <param name="hash">The hash of the subtree.</param>
    /// <exception cref="ArgumentException">
    /// A text, a number or the timestamp is outside these bounds, or neither start nor the timestamp is 0.
    /// </exception>
    public static byte[] MlDsa44Message(string cosigner, ulong timestamp, string origin, long start, long end, in Hash hash)
    {
        ArgumentNullException.ThrowIfNull(cosigner);
        ArgumentNullException.ThrowIfNull(origin);
        // SPEC CO-14: cosigner name and origin are 1 to 255 bytes.
        if (!IsMlDsa44Text(cosigner)) throw new ArgumentException("a name that ML-DSA-44 signs has 1 to 255 bytes of UTF-8", nameof(cosigner));
        if (!IsMlDsa44Text(origin)) throw new ArgumentException("an origin that ML-DSA-44 signs has 1 to 255 bytes of UTF-8", nameof(origin));
        ArgumentOutOfRangeException.ThrowIfGreaterThan(timestamp, (ulong)long.MaxValue);
        ArgumentOutOfRangeException.ThrowIfNegative(start);
        ArgumentOutOfRangeException.ThrowIfLessThan(end, start);
        // SPEC CO-15: if start is not 0, the timestamp is 0.
        if (start != 0 && timestamp != 0) throw new ArgumentException("a subtree that does not start at 0 is cosigned without a time", nameof(timestamp));

        // SPEC CO-13: label, name, timestamp, origin, start, end, hash. SPEC CO-17: the origin has no newline here.
        byte[] nameBytes = Encoding.UTF8.GetBytes(cosigner);
        byte[] originBytes = Encoding.UTF8.GetBytes(origin);
        Span<byte> numbers = stackalloc byte[3 * sizeof(ulong)];
        BinaryPrimitives.WriteUInt64BigEndian(numbers, timestamp);
        BinaryPrimitives.WriteInt64BigEndian(numbers[8..], start);
        BinaryPrimitives.WriteInt64BigEndian(numbers[16..], end);
        return [.. SubtreeLabel, (byte)nameBytes.Length, .. nameBytes, .. numbers[..8], (byte)originBytes.Length, .. originBytes, .. numbers[8..], .. hash.Bytes];
    }

    /// <summary>Whether a cosigner name or an origin has the 1 to 255 bytes of UTF-8 that ML-DSA-44 can sign.</summary>
    public static bool IsMlDsa44Text(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        return VerifierKey.IsWellFormed(text) && Encoding.UTF8.GetByteCount(text) is > 0 and <= MaxMlDsa44Text;
    }
}
