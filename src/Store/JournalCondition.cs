// What has to hold for a batch to be appended: heads of streams, and idempotency keys. Both are state of the journal.

using System.Text;

namespace TransparencyLog.Store;

/// <summary>The newest event of a stream.</summary>
/// <param name="Sequence">Its number in the stream, from 1 without a gap.</param>
/// <param name="Hash">Its hash, 32 bytes: what the next event of the stream names as its predecessor.</param>
/// <param name="Time">Its time in UTC, in whole milliseconds.</param>
/// <param name="Index">The index of its entry in the log.</param>
public readonly record struct StreamHead(long Sequence, Hash Hash, DateTimeOffset Time, long Index);

/// <summary>The answer that was given under an idempotency key.</summary>
/// <param name="Request">SHA-256 of the request that used the key first.</param>
/// <param name="FirstIndex">The index of the first entry that the request appended.</param>
/// <param name="Count">How many entries it appended.</param>
public readonly record struct KeyedAnswer(Hash Request, long FirstIndex, int Count);

/// <summary>What has to hold for a batch to be appended. <see cref="JournalBatch.Require"/> checks the form of a condition.</summary>
public abstract record JournalCondition
{
    /// <summary>Largest length of a stream name or an idempotency key, in bytes of UTF-8: two UUIDs and some words.</summary>
    public const int MaxName = 128;

    private static readonly UTF8Encoding Utf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private JournalCondition()
    {
    }

    /// <summary>
    /// The head of <paramref name="Stream"/> has the sequence and hash that the caller expects and is not later than
    /// <paramref name="Time"/>. It moves to the next sequence and hash with this append. Several conditions of one batch may name one
    /// stream: each expects the head that the one before it sets.
    /// </summary>
    /// <param name="Stream">1 to <see cref="MaxName"/> bytes of UTF-8. Names are equal when their bytes are.</param>
    /// <param name="ExpectedSequence">The sequence of the head; 0 where the stream has no event.</param>
    /// <param name="ExpectedHash">The hash of the head; 32 zero bytes where the stream has no event.</param>
    /// <param name="NextHash">The hash of the event that is appended; its sequence is <paramref name="ExpectedSequence"/> + 1.</param>
    /// <param name="Time">The time of that event, in whole milliseconds.</param>
    /// <param name="Entry">Which entry of the batch the event is, from 0.</param>
    public sealed record Head(string Stream, long ExpectedSequence, Hash ExpectedHash, Hash NextHash, DateTimeOffset Time, int Entry)
        : JournalCondition;

    /// <summary>
    /// No append has used <paramref name="Key"/>, whatever its request was. Where it does not hold, <see cref="IJournal.FindKeyAsync"/>
    /// tells a retry from another request. A journal remembers a key for at least <see cref="IJournal.KeyLifetime"/>.
    /// </summary>
    /// <param name="Key">1 to <see cref="MaxName"/> bytes of UTF-8. Keys are equal when their bytes are.</param>
    /// <param name="Request">SHA-256 of the request.</param>
    /// <param name="Entry">The first entry of the batch that belongs to the request, from 0.</param>
    /// <param name="Count">How many entries of the batch belong to it, at least 1.</param>
    public sealed record Once(string Key, Hash Request, int Entry, int Count) : JournalCondition;

    /// <summary>The bytes of a stream name or key.</summary>
    /// <exception cref="ArgumentException">It has not 1 to <see cref="MaxName"/> bytes, or is no valid Unicode text.</exception>
    internal static byte[] EncodeName(string name)
    {
        byte[] bytes;
        try
        {
            bytes = Utf8.GetBytes(name);
        }
        catch (EncoderFallbackException failure)
        {
            throw new ArgumentException("a stream name or key is Unicode text; this one has half a surrogate pair", nameof(name), failure);
        }

        return bytes.Length is > 0 and <= MaxName
            ? bytes
            : throw new ArgumentException($"a stream name or key has 1 to {MaxName} bytes, not {bytes.Length}", nameof(name));
    }
}
