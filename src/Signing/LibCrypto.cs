// SHA-256 for the tree from OpenSSL's libcrypto, through its low-level functions. They need no context on the heap and no lookup of the algorithm,
// which are most of the cost of a short hash otherwise. This is the only file of the library that calls native code. On Linux, .NET has
// already loaded the same libcrypto.
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace TransparencyLog.Signing;

/// <summary>SHA-256 with libcrypto. <see cref="NativeSha256"/> decides whether a process uses it.</summary>
internal static unsafe partial class LibCrypto
{
    private const string Library = "libcrypto";

    /// <summary>Bytes for SHA256_CTX of sha.h, which has 112; the rest is a margin.</summary>
    private const int Sha256ContextSize = 256;

    /// <summary>Longest input that is hashed while the garbage collector has to wait. Its hash takes about a microsecond.</summary>
    private const int ShortInput = 1024;

    static LibCrypto() => NativeLibrary.SetDllImportResolver(typeof(LibCrypto).Assembly, Resolve);

    /// <summary>Writes the SHA-256 of an input of any length to 32 bytes.</summary>
    /// <exception cref="DllNotFoundException">Neither libcrypto.so.3 nor libcrypto.so can be loaded.</exception>
    /// <exception cref="EntryPointNotFoundException">The library lacks the functions, which OpenSSL has deprecated.</exception>
    public static void Sha256(ReadOnlySpan<byte> input, Span<byte> hash)
    {
        if (hash.Length != 32) throw new ArgumentException("32 bytes", nameof(hash));
        ulong* context = stackalloc ulong[Sha256ContextSize / sizeof(ulong)];
        fixed (byte* bytes = input, destination = hash)
        {
            Check(Sha256Init(context));

            // For a short input, the transition that lets the garbage collector run costs more than the hash. For a long input, it is needed.
            Check(input.Length <= ShortInput ? Sha256UpdateShort(context, bytes, (nuint)input.Length) : Sha256Update(context, bytes, (nuint)input.Length));
            Check(Sha256Final(destination, context));
        }
    }

    private static void Check(int result)
    {
        if (result != 1) throw new CryptographicException("libcrypto: a SHA-256 function failed");
    }

    // libcrypto.so is the name in the development package. It is the second choice, for systems that have only that name.
    private static nint Resolve(string name, Assembly assembly, DllImportSearchPath? path)
    {
        if (!string.Equals(name, Library, StringComparison.Ordinal)) return 0;
        return NativeLibrary.TryLoad("libcrypto.so.3", assembly, path, out nint handle) || NativeLibrary.TryLoad("libcrypto.so", assembly, path, out handle)
            ? handle
            : throw new DllNotFoundException("neither libcrypto.so.3 nor libcrypto.so (OpenSSL 3) can be loaded");
    }

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
}
