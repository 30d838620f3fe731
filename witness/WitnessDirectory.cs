// The data directory of a witness.
//
//     witness            identity: "tlog-witness v1\nvkey <vkey>\nvkey <vkey>\n". `create` writes it last: without it the directory is not a witness
//     key.pem            the Ed25519 key (0x04), mode 0600. The store and the guard are bound to it
//     key-ml-dsa-44.pem  the ML-DSA-44 key (0x06) under the same name, mode 0600. It exists together with the second vkey, or neither exists
//     lock               flock of the process that has the directory open
//     snapshot journal/  what the witness has cosigned (WitnessStore.cs)
//     guarded            says that a guard is in use, and where (Guard.cs)
//     guard-changes      when an operator replaced or dropped the guard, and when the guard fenced this copy off
//     evidence/          contradictions that logs have signed (Evidence.cs)
//     heartbeat          the last time that the witness believed (Hosting/Heartbeat.cs)
//     clock-accepted     each time an operator accepted the clock (Hosting/ClockAcceptances.cs)
//     lists/             the logs that lists of others have named (LogLists.cs)

using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>Creates and opens the directory. Opening never creates: otherwise an empty directory would silently become a new witness.</summary>
internal sealed class WitnessDirectory : IDisposable
{
    private const string Header = "tlog-witness v1";
    private const string KeyName = "key.pem";
    private const string MlDsa44KeyName = "key-ml-dsa-44.pem";
    private const string IdentityName = "witness";

    /// <summary>Header and two vkeys: with names of 255 bytes and an ML-DSA-44 key in base64 they have 2.4 kB.</summary>
    private const int MaxIdentity = 4096;

    private readonly DirectoryLock _lock;

    private readonly IReadOnlyList<IDisposable> _privateKeys;

    private WitnessDirectory(string root, IReadOnlyList<IDisposable> privateKeys, IReadOnlyList<ICosigner> cosigners, DirectoryLock held)
    {
        Root = root;
        _privateKeys = privateKeys;
        Cosigners = cosigners;
        _lock = held;
    }

    /// <summary>The directory.</summary>
    public string Root { get; }

    /// <summary>The identity of this witness: its keys under one name, Ed25519 first.</summary>
    public IReadOnlyList<ICosigner> Cosigners { get; }

    /// <summary>
    /// Whether this process is still the only one. False when the lock file was removed or replaced, so that another process may have locked a new one.
    /// </summary>
    public bool IsHeld => _lock.IsHeld;

    /// <summary>The file that says whose directory this is.</summary>
    public string IdentityPath => Path.Combine(Root, IdentityName);

    /// <summary>The key files.</summary>
    public IEnumerable<string> KeyPaths => Cosigners.Select(one => Path.Combine(Root, one.Key.SignatureType == VerifierKey.Ed25519Cosignature ? KeyName : MlDsa44KeyName));

    /// <summary>Makes a new witness in a directory that does not exist or is empty. Returns its vkeys, Ed25519 first.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="name">The name of its keys.</param>
    /// <param name="mlDsa44">Whether it also gets an ML-DSA-44 key.</param>
    /// <param name="journalFileBytes">Size of a journal file.</param>
    /// <exception cref="StorageException">The directory is not empty, or cannot be written.</exception>
    public static IReadOnlyList<VerifierKey> Create(string path, string name, bool mlDsa44 = true, int journalFileBytes = WitnessStore.JournalFileBytes)
    {
        string root = Path.GetFullPath(path);
        DurableFile.CreateDirectory(root);
        using DirectoryLock held = DirectoryLock.Acquire(root);
        string? other = Paths.FirstIn(root, "lock");
        if (other is not null) throw new StorageException($"{root} is not empty: it holds {other}; a witness is created in an empty directory, and its key is never made twice");

        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        string keyPath = Path.Combine(root, KeyName);
        KeyFile.Create(keyPath, name, VerifierKey.Ed25519Cosignature, key);
        DurableFile.Sync(keyPath);
        List<VerifierKey> vkeys = [VerifierKey.Create(name, VerifierKey.Ed25519Cosignature, key.PublicKey.Span)];
        if (mlDsa44)
        {
            using MlDsa44PrivateKey second = MlDsa44PrivateKey.Generate();
            string secondPath = Path.Combine(root, MlDsa44KeyName);
            KeyFile.Create(secondPath, name, second);
            DurableFile.Sync(secondPath);
            vkeys.Add(VerifierKey.Create(name, VerifierKey.MlDsa44Cosignature, second.PublicKey.Span));
        }

        DurableFile.CreateDirectory(Path.Combine(root, EvidenceFolder.Name));
        WitnessStore.Create(root, vkeys[0], journalFileBytes);

        // Written last: a crash before this line leaves a directory that cannot serve, and in which no witness can be created.
        DurableFile.Replace(Path.Combine(root, IdentityName), IdentityOf(vkeys));
        return vkeys;
    }

    /// <summary>Reads the identity, acquires the lock, and reads the keys.</summary>
    /// <param name="path">The directory.</param>
    /// <param name="allowGroup">Whether the group of a key file may have access to it.</param>
    /// <exception cref="StorageException">It is not a witness, or another process has it open.</exception>
    /// <exception cref="KeyFileException">A key cannot be used.</exception>
    public static WitnessDirectory Open(string path, bool allowGroup = false)
    {
        string root = Path.GetFullPath(path);
        IReadOnlyList<VerifierKey> vkeys = ReadIdentity(root);
        DirectoryLock held = DirectoryLock.Acquire(root);
        List<IDisposable> keys = [];
        try
        {
            List<ICosigner> cosigners = [];
            foreach (VerifierKey vkey in vkeys)
            {
                string keyPath = Path.Combine(root, vkey.SignatureType == VerifierKey.Ed25519Cosignature ? KeyName : MlDsa44KeyName);
                if (vkey.SignatureType == VerifierKey.Ed25519Cosignature)
                {
                    Ed25519PrivateKey key = KeyFile.Read(keyPath, vkey.Name, allowGroup).Key;
                    keys.Add(key);
                    cosigners.Add(new Cosigner(vkey.Name, key));
                }
                else
                {
                    MlDsa44PrivateKey key = KeyFile.ReadMlDsa44(keyPath, vkey.Name, allowGroup).Key;
                    keys.Add(key);
                    cosigners.Add(new MlDsa44Cosigner(vkey.Name, key));
                }

                if (!cosigners[^1].Key.Equals(vkey)) throw new StorageException($"{keyPath} is not the key of {vkey}, which {Path.Combine(root, IdentityName)} names");
            }

            return new WitnessDirectory(root, keys, cosigners, held);
        }
        catch
        {
            foreach (IDisposable key in keys) key.Dispose();
            held.Dispose();
            throw;
        }
    }

    /// <summary>Disposes of the keys and releases the lock.</summary>
    public void Dispose()
    {
        foreach (IDisposable key in _privateKeys) key.Dispose();
        _lock.Dispose();
    }

    private static IReadOnlyList<VerifierKey> ReadIdentity(string root)
    {
        string path = Path.Combine(root, IdentityName);
        if (!Paths.DirectoryExists(root)) throw new StorageException($"{root} does not exist; tlog-witness create makes a new witness");
        if (!DurableFile.TryRead(path, MaxIdentity, out byte[] bytes))
        {
            // A directory that holds anything may be a witness: only an empty one is a place for a new witness.
            string? other = Paths.FirstIn(root, "lock");
            throw new StorageException($"{root} is not a witness: it has no file named {IdentityName}{(other is null ? "; tlog-witness create makes a new witness, with a new key and no memory" : $", but it holds {other}: check the path; if the witness was here, take {path} from a backup")}");
        }

        return TryParseIdentity(bytes, out IReadOnlyList<VerifierKey> vkeys)
            ? vkeys
            : throw new StorageException($"{path} is damaged or of a newer version: expected \"{Header}\", a vkey of type 0x04, and perhaps one of type 0x06 and the same name");
    }

    internal static bool TryParseIdentity(ReadOnlySpan<byte> bytes, out IReadOnlyList<VerifierKey> vkeys)
    {
        vkeys = [];
        List<VerifierKey> read = [];
        ReadOnlySpan<byte> rest = bytes;
        if (!rest.StartsWith("tlog-witness v1\n"u8)) return false;
        rest = rest["tlog-witness v1\n"u8.Length..];
        foreach (byte type in (ReadOnlySpan<byte>)[VerifierKey.Ed25519Cosignature, VerifierKey.MlDsa44Cosignature])
        {
            int end = rest.IndexOf((byte)'\n');
            if (end < 0 || !rest.StartsWith("vkey "u8) || !VerifierKey.TryParse(rest[5..end], out VerifierKey? vkey) || vkey.SignatureType != type || (read.Count > 0 && vkey.Name != read[0].Name)) return false;
            read.Add(vkey);
            rest = rest[(end + 1)..];
            if (rest.IsEmpty) break;
        }

        if (!rest.IsEmpty) return false;
        vkeys = read;
        return true;
    }

    internal static byte[] IdentityOf(IReadOnlyList<VerifierKey> vkeys) => Encoding.UTF8.GetBytes($"{Header}\n{string.Concat(vkeys.Select(vkey => $"vkey {vkey}\n"))}");
}
