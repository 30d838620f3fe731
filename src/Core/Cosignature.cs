// Timestamped cosignatures on checkpoints (c2sp.org/tlog-cosignature).
//
//     signature     u64 timestamp, big-endian || 64 bytes Ed25519 (type 0x04) or 2,420 bytes ML-DSA-44 (type 0x06)
//
//     what Ed25519 signs:
//     cosignature/v1
//     time 1679315147
//     example.com/behind-the-sofa                        the whole checkpoint text, extension lines too
//     20852163
//     CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I=
using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>The bytes of cosignatures (c2sp.org/tlog-cosignature); the algorithms are elsewhere.</summary>
public static class Cosignature
{
    /// <summary>Bytes of an Ed25519 cosignature without its key ID: timestamp and signature.</summary>
    public const int Ed25519Size = 72;

    /// <summary>Bytes of an ML-DSA-44 cosignature without its key ID: timestamp and signature.</summary>
    public const int MlDsa44Size = 2428;

    /// <summary>
    /// Reads the time a cosignature states, in seconds since the Epoch. False when the length is that of no
    /// cosignature, when it is 0 (no time stated; never valid for Ed25519) and when it exceeds 2^63-1.
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

    /// <summary>What an Ed25519 cosigner signs for the text of a checkpoint, final newline included.</summary>
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
}
