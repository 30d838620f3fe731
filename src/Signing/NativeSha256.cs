namespace TransparencyLog.Signing;

/// <summary>The tree's hash function from libcrypto, several times as fast as the base library's for a node or a short entry.</summary>
public static class NativeSha256
{
    /// <summary>
    /// Makes <see cref="MerkleHash"/> use libcrypto in this process. Each program calls it once, when it starts; nothing else selects the function.
    /// False, and the base library stays, where there is no libcrypto of OpenSSL 3, where it lacks the functions, or where it computes other hashes.
    /// </summary>
    public static bool TryUse() => TryUse(LibCrypto.Sha256);

    /// <summary>The same with a function that may be missing in one of these ways.</summary>
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
