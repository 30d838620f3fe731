// Private keys in files.
//
//     Name: example.com/log42                            the form that we write; PEM allows text before its block
//     Type: note                                         ("note" 0x01, or "cosignature" 0x04 and 0x06)
//     -----BEGIN PRIVATE KEY-----                        PKCS#8 (RFC 5208) of an Ed25519 key (RFC 8410) or of the seed of an ML-DSA-44
//                                                        key (RFC 9881), as openssl reads and writes it
//     MC4CAQAwBQYDK2VwBCIEI...
//     -----END PRIVATE KEY-----
//
//     PRIVATE+KEY+example.com/log42+530d903a+AYEKF...    the form that Go's note package writes; read, not written
//
// Anyone who can read the file can sign as the log. So it is created with mode 0600, never over another file, and refused when its group or
// others have access to it. A mounted secret of Kubernetes has mode 0440: the operator can allow access by the group, but never by others.
// Bytes that hold a key are in pinned memory and zeroed after use.
//
// Only ENOENT is reported as a missing file. Every message names the path. Those about denied access also name the user, and the mode if it is known.
using System.Security.Cryptography;
using System.Text;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Signing;

/// <summary>A key file cannot be used. The message is for people: it names the file and contains no key material.</summary>
public sealed class KeyFileException(string message, Exception? innerException = null) : Exception(message, innerException);

/// <summary>An ML-DSA-44 private key with the name that its file states. The caller who reads the file must dispose the key.</summary>
public sealed class MlDsa44KeyFile
{
    internal MlDsa44KeyFile(string? name, MlDsa44PrivateKey key)
    {
        Name = name;
        Key = key;
    }

    /// <summary>The key name that the file states, or null: a bare PEM file has none.</summary>
    public string? Name { get; }

    /// <summary>The private key.</summary>
    public MlDsa44PrivateKey Key { get; }
}

/// <summary>An Ed25519 private key with the name and signature type that its file states. The caller who reads the file must dispose the key.</summary>
public sealed class KeyFile
{
    /// <summary>
    /// Largest file in bytes. A file that we write has a few hundred; one with a seed, its expanded ML-DSA-44 key and the public key about 5,400. The rest is
    /// room for notes of its owner.
    /// </summary>
    public const int MaxSize = 16 * 1024;

    private const UnixFileMode OwnerOnly = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private const UnixFileMode Group = (UnixFileMode)0b000_111_000, Others = (UnixFileMode)0b000_000_111;

    /// <summary>EEXIST. .NET has no exception type for it, and puts the errno in the HResult of an IOException.</summary>
    private const int FileExists = 17;

    internal KeyFile(string? name, byte? signatureType, Ed25519PrivateKey key)
    {
        Name = name;
        SignatureType = signatureType;
        Key = key;
    }

    /// <summary>The key name that the file states, or null: a bare PEM file has none.</summary>
    public string? Name { get; }

    /// <summary>The signature type that the file states (0x01 or 0x04), or null.</summary>
    public byte? SignatureType { get; }

    /// <summary>The private key.</summary>
    public Ed25519PrivateKey Key { get; }

    /// <summary>
    /// Writes a new file with mode 0600. An existing file is never overwritten. The caller must sync the file and its
    /// folder before it relies on the key.
    /// </summary>
    /// <param name="path">Path of the new file.</param>
    /// <param name="name">Key name.</param>
    /// <param name="signatureType">0x01 (note) or 0x04 (cosignature).</param>
    /// <param name="key">The key.</param>
    /// <exception cref="KeyFileException">The file exists or cannot be written.</exception>
    /// <exception cref="ArgumentException">Not a key name, or another signature type.</exception>
    public static void Create(string path, string name, byte signatureType, Ed25519PrivateKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        _ = VerifierKey.Create(name, signatureType, key.PublicKey.Span);
        Create(path, text => KeyText.Write(text, name, signatureType, key));
    }

    /// <summary>The same for an ML-DSA-44 key. Its only signature type is that of cosignatures (0x06).</summary>
    /// <param name="path">Path of the new file.</param>
    /// <param name="name">Key name.</param>
    /// <param name="key">The key.</param>
    /// <exception cref="KeyFileException">The file exists or cannot be written.</exception>
    /// <exception cref="ArgumentException">Not a key name.</exception>
    public static void Create(string path, string name, MlDsa44PrivateKey key)
    {
        ArgumentNullException.ThrowIfNull(key);
        _ = VerifierKey.Create(name, VerifierKey.MlDsa44Cosignature, key.PublicKey.Span);
        Create(path, text => KeyText.Write(text, name, key));
    }

    /// <summary>Reads an Ed25519 key from a PEM file or a Go key file of at most <see cref="MaxSize"/> bytes.</summary>
    /// <param name="path">The file. A symbolic link is followed, and the mode of its target counts.</param>
    /// <param name="expectedName">The key name that the file must state if it states one, or null for any.</param>
    /// <param name="allowGroup">Whether the file's group may have access to it, as with a secret that is mounted with mode 0440.</param>
    /// <exception cref="KeyFileException">
    /// The file is missing, cannot be read, is accessible to others or to a group that is not allowed, is too large, is not a key, has a key of
    /// another type, or states another name.
    /// </exception>
    public static KeyFile Read(string path, string? expectedName, bool allowGroup = false) => ReadAny(path, expectedName, allowGroup).Ed25519(path);

    /// <summary>
    /// Reads an ML-DSA-44 key from a PEM file of at most <see cref="MaxSize"/> bytes: its seed, or its seed and its expanded key, which must
    /// then belong together.
    /// </summary>
    /// <param name="path">The file. A symbolic link is followed, and the mode of its target counts.</param>
    /// <param name="expectedName">The key name that the file must state if it states one, or null for any.</param>
    /// <param name="allowGroup">As with <see cref="Read"/>.</param>
    /// <exception cref="KeyFileException">As with <see cref="Read"/>, or the file has only the expanded key.</exception>
    public static MlDsa44KeyFile ReadMlDsa44(string path, string? expectedName, bool allowGroup = false) => ReadAny(path, expectedName, allowGroup).MlDsa44(path);

    private static void Create(string path, Func<byte[], int> write)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        byte[] text = GC.AllocateArray<byte>(MaxSize, pinned: true);
        try
        {
            int length = write(text);
            using FileStream file = OpenNew(path);
            try
            {
                file.Write(text, 0, length);
            }
            catch (IOException)
            {
                // A partial key is useless, and the name must be free for the next attempt.
                File.Delete(path);
                throw;
            }
        }
        catch (IOException e)
        {
            throw new KeyFileException($"{path}: the key cannot be written: {e.Message}", e);
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
        }
    }

    private static KeyText.Found ReadAny(string path, string? expectedName, bool allowGroup)
    {
        ArgumentException.ThrowIfNullOrEmpty(path);
        byte[] text = GC.AllocateArray<byte>(MaxSize + 1, pinned: true);
        try
        {
            int length = ReadFile(path, text, allowGroup);
            if (length > MaxSize) throw new KeyFileException($"{path}: has more than {MaxSize} bytes, which no key file has");
            KeyText.Found found = KeyText.ReadAny(text.AsMemory(0, length), path);
            if (expectedName is null || found.Name is null || string.Equals(expectedName, found.Name, StringComparison.Ordinal)) return found;
            found.Key.Dispose();
            throw new KeyFileException($"{path}: is the key of {found.Name}, and that of {expectedName} was asked for");
        }
        finally
        {
            CryptographicOperations.ZeroMemory(text);
        }
    }

    private static FileStream OpenNew(string path)
    {
        try
        {
            return new FileStream(path, new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, BufferSize = 0, UnixCreateMode = OwnerOnly });
        }
        catch (IOException e) when (e.HResult == FileExists)
        {
            throw new KeyFileException($"{path}: exists already; a key is never overwritten", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new KeyFileException($"{path}: the user {Environment.UserName} may not write there", e);
        }
    }

    private static int ReadFile(string path, Span<byte> text, bool allowGroup)
    {
        try
        {
            using SafeFileHandle handle = File.OpenHandle(path, FileMode.Open, FileAccess.Read, FileShare.Read);
            // The mode of the open file. The path may name another file by now.
            UnixFileMode mode = File.GetUnixFileMode(handle);
            if ((mode & Others) != UnixFileMode.None)
            {
                throw new KeyFileException($"{path}: mode is {Octal(mode)}, so every user has access; chmod 600 it, and replace the key if another user may have read it (read as {Environment.UserName})");
            }

            if ((mode & Group) != UnixFileMode.None && !allowGroup)
            {
                throw new KeyFileException($"{path}: mode is {Octal(mode)}, so its group has access; chmod 600 it, or set allow-group-readable-keys where only {Environment.UserName}, who reads it, and users as trusted are in that group");
            }

            int length = 0;
            while (length < text.Length && RandomAccess.Read(handle, text[length..], length) is > 0 and int read) length += read;
            return length;
        }
        catch (FileNotFoundException e)
        {
            throw new KeyFileException($"{path}: there is no such file", e);
        }
        catch (DirectoryNotFoundException e)
        {
            // A folder in the path does not exist (ENOENT) or is not a folder (ENOTDIR).
            throw new KeyFileException($"{path}: a folder on the way to it does not exist, or is a file", e);
        }
        catch (UnauthorizedAccessException e)
        {
            throw new KeyFileException($"{path}: {WhyDenied(path)}", e);
        }
        catch (IOException e)
        {
            // For example a loop of symbolic links, a name that is too long, or a disk that cannot be read.
            throw new KeyFileException($"{path}: the user {Environment.UserName} cannot read it: {e.Message}", e);
        }
    }

    // .NET throws the same exception for a folder as for denied access to a file. This method only chooses the words.
    private static string WhyDenied(string path)
    {
        try
        {
            return File.GetAttributes(path).HasFlag(FileAttributes.Directory)
                ? "is a folder, not a key file"
                : $"mode is {Octal(File.GetUnixFileMode(path))}, and the user {Environment.UserName} may not read it";
        }
        catch (Exception unknown) when (unknown is IOException or UnauthorizedAccessException)
        {
            return $"the user {Environment.UserName} may not enter its folder";
        }
    }

    private static string Octal(UnixFileMode mode) => $"0{Convert.ToString((int)mode, 8)}";
}
