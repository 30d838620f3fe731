namespace TransparencyLog.Signing;

/// <summary>The tree's hash function from libcrypto, several times as fast as the base library's for a node or a short entry.</summary>
public static class NativeSha256
{
    /// <summary>
    /// Makes <see cref="MerkleHash"/> use libcrypto in this process. False, and the base library stays, where libcrypto lacks the functions or gives
    /// another hash than the base library.
    /// </summary>
    public static bool TryUse()
    {
        try
        {
            return MerkleHash.TryUse(LibCrypto.Sha256);
        }
        catch (Exception missing) when (missing is EntryPointNotFoundException or DllNotFoundException)
        {
            return false;
        }
    }
}
