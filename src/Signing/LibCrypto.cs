// The EVP interface of OpenSSL 3's libcrypto, for the Ed25519 that the base library lacks. This is the only native
// file of the library; everything above it deals in spans and handles. .NET on Linux has the same library loaded.
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Signing;

/// <summary>A key in libcrypto (EVP_PKEY). Safe for concurrent use: libcrypto locks what it caches in it.</summary>
internal sealed class EvpKeyHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    public EvpKeyHandle()
        : base(ownsHandle: true)
    {
    }

    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeKey(handle);
        return true;
    }
}

/// <summary>One signature in the making (EVP_MD_CTX). One owner, one operation.</summary>
internal sealed class EvpContextHandle : SafeHandleZeroOrMinusOneIsInvalid
{
    public EvpContextHandle()
        : base(ownsHandle: true)
    {
    }

    protected override bool ReleaseHandle()
    {
        LibCrypto.FreeContext(handle);
        return true;
    }
}

/// <summary>
/// Ed25519 with libcrypto. Sizes are checked by the callers, as ArgumentException or false; a failure here that is
/// not "this signature is bad" is a <see cref="CryptographicException"/>.
/// </summary>
internal static unsafe partial class LibCrypto
{
    private const string Library = "libcrypto";

    /// <summary>NID_ED25519 of obj_mac.h: part of the stable interface.</summary>
    private const int Ed25519Id = 1087;

    /// <summary>SHA256_CTX of sha.h is 112 bytes; room to spare.</summary>
    private const int Sha256ContextSize = 256;

    /// <summary>Bytes that take about a microsecond.</summary>
    private const int ShortInput = 1024;

    static LibCrypto() => NativeLibrary.SetDllImportResolver(typeof(LibCrypto).Assembly, Resolve);

    /// <summary>A private key of 32 bytes of seed.</summary>
    public static EvpKeyHandle PrivateKey(ReadOnlySpan<byte> seed)
    {
        fixed (byte* bytes = seed)
        {
            return Checked(NewRawPrivateKey(Ed25519Id, 0, bytes, (nuint)seed.Length), "EVP_PKEY_new_raw_private_key");
        }
    }

    /// <summary>A public key of 32 bytes.</summary>
    public static EvpKeyHandle PublicKey(ReadOnlySpan<byte> key)
    {
        fixed (byte* bytes = key)
        {
            return Checked(NewRawPublicKey(Ed25519Id, 0, bytes, (nuint)key.Length), "EVP_PKEY_new_raw_public_key");
        }
    }

    /// <summary>The 32 bytes of the public key that belongs to a private key.</summary>
    public static byte[] ExportPublicKey(EvpKeyHandle key)
    {
        byte[] bytes = new byte[Ed25519.PublicKeySize];
        nuint length = (nuint)bytes.Length;
        fixed (byte* destination = bytes)
        {
            Check(GetRawPublicKey(key, destination, ref length) == 1 && length == (nuint)bytes.Length, "EVP_PKEY_get_raw_public_key");
        }

        return bytes;
    }

    /// <summary>Writes the 32 bytes of seed; the caller zeroes them.</summary>
    public static void ExportSeed(EvpKeyHandle key, Span<byte> seed)
    {
        nuint length = (nuint)seed.Length;
        fixed (byte* destination = seed)
        {
            Check(GetRawPrivateKey(key, destination, ref length) == 1 && length == (nuint)seed.Length, "EVP_PKEY_get_raw_private_key");
        }
    }

    /// <summary>Signs; 64 bytes.</summary>
    public static byte[] Sign(EvpKeyHandle key, ReadOnlySpan<byte> message)
    {
        byte[] signature = new byte[Ed25519.SignatureSize];
        nuint length = (nuint)signature.Length;
        using EvpContextHandle context = Checked(NewContext(), "EVP_MD_CTX_new");
        Check(DigestSignInit(context, 0, 0, 0, key) == 1, "EVP_DigestSignInit");
        fixed (byte* destination = signature, source = message)
        {
            Check(DigestSign(context, destination, ref length, source, (nuint)message.Length) == 1 && length == (nuint)signature.Length, "EVP_DigestSign");
        }

        return signature;
    }

    /// <summary>Whether 64 bytes are a signature of the message.</summary>
    public static bool Verify(EvpKeyHandle key, ReadOnlySpan<byte> message, ReadOnlySpan<byte> signature)
    {
        using EvpContextHandle context = Checked(NewContext(), "EVP_MD_CTX_new");
        Check(DigestVerifyInit(context, 0, 0, 0, key) == 1, "EVP_DigestVerifyInit");
        fixed (byte* proof = signature, source = message)
        {
            bool holds = DigestVerify(context, proof, (nuint)signature.Length, source, (nuint)message.Length) == 1;
            // A failure may leave an entry in this thread's error queue; the next caller of libcrypto, which may be
            // the TLS of the base library, would take it for its own.
            if (!holds) ClearErrors();
            return holds;
        }
    }

    /// <summary>
    /// SHA-256 through the low-level functions: no context on the heap, no look-up of the algorithm, which is most of what a short hash costs otherwise.
    /// </summary>
    public static void Sha256(ReadOnlySpan<byte> input, Span<byte> hash)
    {
        if (hash.Length != 32) throw new ArgumentException("32 bytes", nameof(hash));
        ulong* context = stackalloc ulong[Sha256ContextSize / sizeof(ulong)];
        fixed (byte* bytes = input, destination = hash)
        {
            Check(Sha256Init(context) == 1, "SHA256_Init");

            // A short input is hashed in less time than it takes to let the garbage collector know; a long one must let it in.
            Check((input.Length <= ShortInput ? Sha256UpdateShort(context, bytes, (nuint)input.Length) : Sha256Update(context, bytes, (nuint)input.Length)) == 1, "SHA256_Update");
            Check(Sha256Final(destination, context) == 1, "SHA256_Final");
        }
    }

    private static T Checked<T>(T handle, string function)
        where T : SafeHandle
    {
        if (!handle.IsInvalid) return handle;
        handle.Dispose();
        Check(false, function);
        return handle;
    }

    private static void Check(bool done, string function)
    {
        if (done) return;
        ClearErrors();
        throw new CryptographicException($"libcrypto: {function} failed");
    }

    // The development package's name is the second choice, for systems that only have that.
    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (!string.Equals(name, Library, StringComparison.Ordinal)) return 0;
        return NativeLibrary.TryLoad("libcrypto.so.3", assembly, path, out nint handle) || NativeLibrary.TryLoad("libcrypto.so", assembly, path, out handle)
            ? handle
            : throw new DllNotFoundException("neither libcrypto.so.3 nor libcrypto.so (OpenSSL 3) can be loaded");
    }

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_private_key")]
    private static partial EvpKeyHandle NewRawPrivateKey(int type, nint engine, byte* key, nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_new_raw_public_key")]
    private static partial EvpKeyHandle NewRawPublicKey(int type, nint engine, byte* key, nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_get_raw_public_key")]
    private static partial int GetRawPublicKey(EvpKeyHandle key, byte* destination, ref nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_get_raw_private_key")]
    private static partial int GetRawPrivateKey(EvpKeyHandle key, byte* destination, ref nuint length);

    [LibraryImport(Library, EntryPoint = "EVP_PKEY_free")]
    internal static partial void FreeKey(nint key);

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_new")]
    private static partial EvpContextHandle NewContext();

    [LibraryImport(Library, EntryPoint = "EVP_MD_CTX_free")]
    internal static partial void FreeContext(nint context);

    [LibraryImport(Library, EntryPoint = "EVP_DigestSignInit")]
    private static partial int DigestSignInit(EvpContextHandle context, nint keyContext, nint digest, nint engine, EvpKeyHandle key);

    [LibraryImport(Library, EntryPoint = "EVP_DigestSign")]
    private static partial int DigestSign(EvpContextHandle context, byte* signature, ref nuint length, byte* message, nuint messageLength);

    [LibraryImport(Library, EntryPoint = "EVP_DigestVerifyInit")]
    private static partial int DigestVerifyInit(EvpContextHandle context, nint keyContext, nint digest, nint engine, EvpKeyHandle key);

    [LibraryImport(Library, EntryPoint = "EVP_DigestVerify")]
    private static partial int DigestVerify(EvpContextHandle context, byte* signature, nuint length, byte* message, nuint messageLength);

    [LibraryImport(Library, EntryPoint = "SHA256_Init")]
    [SuppressGCTransition]
    private static partial int Sha256Init(ulong* context);

    [LibraryImport(Library, EntryPoint = "SHA256_Update")]
    [SuppressGCTransition]
    private static partial int Sha256UpdateShort(ulong* context, byte* bytes, nuint length);

    [LibraryImport(Library, EntryPoint = "SHA256_Update")]
    private static partial int Sha256Update(ulong* context, byte* bytes, nuint length);

    [LibraryImport(Library, EntryPoint = "SHA256_Final")]
    [SuppressGCTransition]
    private static partial int Sha256Final(byte* hash, ulong* context);

    [LibraryImport(Library, EntryPoint = "ERR_clear_error")]
    private static partial void ClearErrors();

    /// <summary>The oldest entry of this thread's error queue, or 0; for tests.</summary>
    [LibraryImport(Library, EntryPoint = "ERR_peek_error")]
    internal static partial nuint PeekError();
}
