// The data directory of a witness.
//
//     witness      identity: "tlog-witness v1\nvkey <vkey>\n". Written last by `create`: without it there is no witness
//     key.pem      the signing key, mode 0600
//     lock         flock of the process that has it open
//     snapshot journal/    what it has cosigned (WitnessStore.cs)
//     guarded      says that a guard is in use, and where (Guard.cs)
//     evidence/    what logs have signed and cannot both be true (Evidence.cs)
//     lists/       what lists of logs have named that somebody else keeps (LogLists.cs)

using System.Diagnostics.CodeAnalysis;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>Creates and opens the directory. Opening never creates: an empty directory must never look like a new witness.</summary>
internal sealed class WitnessDirectory : IDisposable
{
    private const string Header = "tlog-witness v1";
    private const string KeyName = "key.pem";
    private const string IdentityName = "witness";

    /// <summary>Header and a vkey: a name of 255 bytes and an ML-DSA-44 key in base64 are 2 kB.</summary>
    private const int MaxIdentity = 4096;

    private readonly DirectoryLock _lock;

    private WitnessDirectory(string root, Ed25519PrivateKey key, Cosigner cosigner, DirectoryLock held)
    {
        Root = root;
        PrivateKey = key;
        Cosigners = [cosigner];
        _lock = held;
    }

    /// <summary>The directory.</summary>
    public string Root { get; }

    /// <summary>Who this witness is: its keys under one name.</summary>
    public IReadOnlyList<ICosigner> Cosigners { get; }

    /// <summary>
    /// Whether this process still is the only one: false when the lock file was removed or replaced, and another may have taken a new one.
    /// </summary>
    public bool IsHeld => _lock.IsHeld;

    private Ed25519PrivateKey PrivateKey { get; }

    /// <summary>Makes a new witness in a directory that does not exist or is empty.</summary>
    /// <exception cref="StorageException">There is something already, or it cannot be written.</exception>
    public static VerifierKey Create(string path, string name, int journalFileBytes = WitnessStore.JournalFileBytes)
    {
        string root = Path.GetFullPath(path);
        if (File.Exists(root)) throw new StorageException($"{root} is a file");
        DurableFile.CreateDirectory(root);
        using DirectoryLock held = DirectoryLock.Acquire(root);
        string? other = Directory.EnumerateFileSystemEntries(root).Select(Path.GetFileName).FirstOrDefault(entry => entry != "lock");
        if (other is not null) throw new StorageException($"{root} is not empty: it holds {other}; a witness is created in an empty directory, and its key is never made twice");

        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        string keyPath = Path.Combine(root, KeyName);
        KeyFile.Create(keyPath, name, VerifierKey.Ed25519Cosignature, key);
        DurableFile.Sync(keyPath);
        VerifierKey vkey = VerifierKey.Create(name, VerifierKey.Ed25519Cosignature, key.PublicKey.Span);
        DurableFile.CreateDirectory(Path.Combine(root, EvidenceFolder.Name));
        WitnessStore.Create(root, vkey, journalFileBytes);

        // Last: a crash before this line leaves a directory that neither serves nor can be created in again.
        DurableFile.Replace(Path.Combine(root, IdentityName), Encoding.UTF8.GetBytes($"{Header}\nvkey {vkey}\n"));
        return vkey;
    }

    /// <summary>Takes the lock and reads identity and key.</summary>
    /// <exception cref="StorageException">It is no witness, or another process has it.</exception>
    /// <exception cref="KeyFileException">The key cannot be used.</exception>
    public static WitnessDirectory Open(string path)
    {
        string root = Path.GetFullPath(path);
        VerifierKey vkey = ReadIdentity(root);
        DirectoryLock held = DirectoryLock.Acquire(root);
        Ed25519PrivateKey? key = null;
        try
        {
            key = KeyFile.Read(Path.Combine(root, KeyName), vkey.Name).Key;
            if (!key.PublicKey.Span.SequenceEqual(vkey.PublicKey.Span))
            {
                throw new StorageException($"{Path.Combine(root, KeyName)} is not the key of {vkey}, which {Path.Combine(root, IdentityName)} names");
            }

            return new WitnessDirectory(root, key, new Cosigner(vkey.Name, key), held);
        }
        catch
        {
            key?.Dispose();
            held.Dispose();
            throw;
        }
    }

    /// <summary>Forgets the key and releases the lock.</summary>
    public void Dispose()
    {
        PrivateKey.Dispose();
        _lock.Dispose();
    }

    private static VerifierKey ReadIdentity(string root)
    {
        string path = Path.Combine(root, IdentityName);
        if (!Directory.Exists(root)) throw new StorageException($"{root} does not exist; tlog-witness create makes a new witness");
        if (!DurableFile.TryRead(path, MaxIdentity, out byte[] bytes))
        {
            throw new StorageException($"{root} is not a witness: it has no file named {IdentityName}; tlog-witness create makes a new witness, with a new key and no memory");
        }

        return TryParseIdentity(bytes, out VerifierKey? vkey)
            ? vkey
            : throw new StorageException($"{path} is damaged or of a newer version: expected \"{Header}\" and a vkey of type 0x04");
    }

    internal static bool TryParseIdentity(ReadOnlySpan<byte> bytes, [NotNullWhen(true)] out VerifierKey? vkey)
    {
        vkey = null;
        ReadOnlySpan<byte> head = "tlog-witness v1\nvkey "u8;
        return bytes.StartsWith(head) && bytes.EndsWith("\n"u8) && VerifierKey.TryParse(bytes[head.Length..^1], out vkey)
            && vkey is { SignatureType: VerifierKey.Ed25519Cosignature };
    }
}
