// The hash value that the whole log uses: SHA-256, 32 bytes (RFC 6962 section 2.1; C2SP tlog-tiles, "Merkle Tree").
// Wire forms: 32 raw bytes in a tile; 44 characters of base64 in a checkpoint or a proof.
using System.Diagnostics.CodeAnalysis;
using System.Runtime.InteropServices;

namespace TransparencyLog;

/// <summary>
/// A SHA-256 hash in a Merkle tree: 32 bytes, held by value. <c>default</c> is 32 zero bytes, which is not the hash of any known input.
/// Comparison is not constant-time, because nothing in a public log is secret.
/// </summary>
[StructLayout(LayoutKind.Sequential)]
public readonly struct Hash : IEquatable<Hash>
{
    /// <summary>Length of a hash in bytes: 32.</summary>
    public const int Size = 32;

    // 32 bytes of base64 with padding, and of hexadecimal.
    private const int Base64Length = 44;
    private const int HexLength = 2 * Size;

    private readonly ulong _a;
    private readonly ulong _b;
    private readonly ulong _c;
    private readonly ulong _d;

    /// <summary>Copies a hash of exactly 32 bytes.</summary>
    /// <exception cref="ArgumentException">There are more or fewer than 32 bytes.</exception>
    public Hash(ReadOnlySpan<byte> bytes)
    {
        if (bytes.Length != Size) throw new ArgumentException($"a hash has {Size} bytes, not {bytes.Length}", nameof(bytes));
        this = MemoryMarshal.Read<Hash>(bytes);
    }

    /// <summary>Copies a hash of exactly 32 bytes; false for any other length.</summary>
    public static bool TryRead(ReadOnlySpan<byte> bytes, out Hash hash)
    {
        bool fits = bytes.Length == Size;
        hash = fits ? MemoryMarshal.Read<Hash>(bytes) : default;
        return fits;
    }

    /// <summary>
    /// Reads 44 characters of standard base64 (RFC 4648 section 4). False for any other length, white space,
    /// missing padding, or trailing bits that are not zero.
    /// </summary>
    public static bool TryParseBase64(ReadOnlySpan<byte> ascii, out Hash hash)
    {
        Span<byte> bytes = stackalloc byte[Size];
        hash = default;
        return ascii.Length == Base64Length
            && Strict.TryReadBase64(ascii, bytes, out int written)
            && TryRead(bytes[..written], out hash);
    }

    /// <summary>Reads 64 lower-case hexadecimal digits. False for anything else, including upper case.</summary>
    public static bool TryParseHex(ReadOnlySpan<byte> ascii, out Hash hash)
    {
        Span<byte> bytes = stackalloc byte[Size];
        hash = default;
        return ascii.Length == HexLength
            && Strict.TryReadHexLower(ascii, bytes)
            && TryRead(bytes, out hash);
    }

    /// <summary>Length of a line of base64 with its newline: 45.</summary>
    public const int LineSize = Base64Length + 1;

    /// <summary>Writes standard base64 and a newline, 45 bytes, at the start of <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is shorter than 45 bytes.</exception>
    public void WriteLine(Span<byte> destination)
    {
        if (destination.Length < LineSize) throw new ArgumentException($"a line has {LineSize} bytes", nameof(destination));
        Strict.WriteBase64(Bytes, destination);
        destination[Base64Length] = (byte)'\n';
    }

    /// <summary>The 32 bytes without a copy, for code of this library that hashes or copies them.</summary>
    [UnscopedRef]
    internal ReadOnlySpan<byte> Bytes => MemoryMarshal.AsBytes(new ReadOnlySpan<Hash>(in this));

    /// <summary>Writes the 32 bytes at the start of <paramref name="destination"/>.</summary>
    /// <exception cref="ArgumentException"><paramref name="destination"/> is shorter than 32 bytes.</exception>
    public void CopyTo(Span<byte> destination) => Bytes.CopyTo(destination);

    /// <summary>The 32 bytes in a new array.</summary>
    public byte[] ToArray() => Bytes.ToArray();

    /// <summary>Standard base64 with padding, 44 characters.</summary>
    public string ToBase64() => Convert.ToBase64String(Bytes);

    /// <summary>Lower-case hexadecimal, 64 characters.</summary>
    public string ToHex() => Convert.ToHexStringLower(Bytes);

    /// <summary>The same as <see cref="ToBase64"/>.</summary>
    public override string ToString() => ToBase64();

    /// <inheritdoc/>
    public bool Equals(Hash other) => _a == other._a && _b == other._b && _c == other._c && _d == other._d;

    /// <inheritdoc/>
    public override bool Equals(object? obj) => obj is Hash other && Equals(other);

    /// <summary>The first 8 bytes: those of a SHA-256 hash are already evenly distributed.</summary>
    public override int GetHashCode() => _a.GetHashCode();

    /// <summary>Whether all 32 bytes are equal.</summary>
    public static bool operator ==(in Hash left, in Hash right) => left.Equals(right);

    /// <summary>Whether any byte differs.</summary>
    public static bool operator !=(in Hash left, in Hash right) => !left.Equals(right);
}
