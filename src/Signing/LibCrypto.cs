// SHA-256 of the tree from OpenSSL's libcrypto, through its low-level functions: no context on the heap and no look-up of the algorithm, which are
// most of what a short hash costs otherwise. The library's only native file. .NET on Linux has the same libcrypto loaded.
using System.Reflection;
using System.Runtime.InteropServices;
using System.Security.Cryptography;

namespace TransparencyLog.Signing;

/// <summary>SHA-256 with libcrypto. <see cref="NativeSha256"/> decides whether a process uses it.</summary>
internal static unsafe partial class LibCrypto
{
    private const string Library = "libcrypto";

    /// <summary>SHA256_CTX of sha.h has 112 bytes; the rest is reserve.</summary>
    private const int Sha256ContextSize = 256;

    /// <summary>Input of this size is hashed in about a microsecond.</summary>
    private const int ShortInput = 1024;

    static LibCrypto() => NativeLibrary.SetDllImportResolver(typeof(LibCrypto).Assembly, Resolve);

    /// <summary>SHA-256 of an input of any length into 32 bytes.</summary>
    /// <exception cref="DllNotFoundException">There is no libcrypto of OpenSSL 3.</exception>
    /// <exception cref="EntryPointNotFoundException">It lacks the functions, which OpenSSL calls deprecated.</exception>
    public static void Sha256(ReadOnlySpan<byte> input, Span<byte> hash)
    {
        if (hash.Length != 32) throw new ArgumentException("32 bytes", nameof(hash));
        ulong* context = stackalloc ulong[Sha256ContextSize / sizeof(ulong)];
        fixed (byte* bytes = input, destination = hash)
        {
            Check(Sha256Init(context));

            // For a short input the transition that lets the garbage collector run costs more than the hash; for a long one it is needed.
            Check(input.Length <= ShortInput ? Sha256UpdateShort(context, bytes, (nuint)input.Length) : Sha256Update(context, bytes, (nuint)input.Length));
            Check(Sha256Final(destination, context));
        }
    }

    private static void Check(int result)
    {
        if (result != 1) throw new CryptographicException("libcrypto: a SHA-256 function failed");
    }

    // The development package's name is the second choice, for systems that only have that.
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
