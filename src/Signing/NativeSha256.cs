namespace TransparencyLog.Signing;

/// <summary>libcrypto's SHA-256 as the hash function of the tree. It is several times as fast as the base library's for a node or a short entry.</summary>
public static class NativeSha256
{
    /// <summary>
    /// Makes <see cref="MerkleHash"/> use libcrypto in this process. Each program calls it once, when it starts; nothing else selects the function.
    /// Returns false, and keeps the base library, if libcrypto of OpenSSL 3 cannot be loaded, lacks the functions, or computes other hashes.
    /// </summary>
    public static bool TryUse() => TryUse(LibCrypto.Sha256);

    /// <summary>The same with a function that may fail in one of these ways.</summary>
    internal static bool TryUse(Sha256Function function)
    {
        try
        {
            return MerkleHash.TryUse(function);
        }
        catch (Exception missing) when (missing is DllNotFoundException or EntryPointNotFoundException or BadImageFormatException)
        {
            return false;
        }
    }
}
