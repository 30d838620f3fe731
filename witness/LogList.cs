// The logs that a witness witnesses, from a text of one of two forms.
//
//     log example.com/behind-the-sofa+1c3c6b1e+AZ...  https://example.com/behind-the-sofa        c2sp.org/tlog-policy: the `log` lines; others are
//     log example.com/behind-the-sofa+33aa45c1+AV...                                             read and mean nothing here. Several keys of an origin
//
//     logs/v0                                                                                    c2sp.org/tlog-list: one key of an origin, which may
//     vkey sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8                  have another name than the key, and a rate
//     origin go.sum database tree
//     qpd 86400
//     contact sysadmin (at) example.org

using System.Globalization;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>What a list says of one log.</summary>
/// <param name="Origin">Its origin line, at most <see cref="LogList.MaxOrigin"/> bytes.</param>
/// <param name="Keys">The keys that are trusted for it, one at least.</param>
/// <param name="QueriesPerDay">How often it may ask; null where the list does not say.</param>
internal sealed record TrustedLog(string Origin, IReadOnlyList<INoteVerifier> Keys, int? QueriesPerDay);

/// <summary>Reads lists, and refuses what could be mistaken for this witness.</summary>
internal static class LogList
{
    /// <summary>
    /// Most keys of one origin: all lines of a stored note (16 of up to 3.5 kB, ML-DSA-44, and as much of ours) have to fit an entry of the journal, 65,535 bytes.
    /// </summary>
    public const int MaxKeysOfOrigin = 16;

    /// <summary>Longest origin line in bytes: what an ML-DSA-44 cosignature can name (c2sp.org/tlog-cosignature).</summary>
    public const int MaxOrigin = VerifierKey.MaxNameSize;

    /// <summary>Reads a file of either form. Nothing of it may be wrong: an operator wrote it.</summary>
    /// <param name="path">The file.</param>
    /// <param name="witness">The keys of this witness; they share one name.</param>
    /// <exception cref="ConfigurationException">It cannot be read, a line is wrong, or a log could be mistaken for this witness.</exception>
    public static IReadOnlyList<TrustedLog> Read(string path, IReadOnlyList<VerifierKey> witness)
    {
        try
        {
            return OperatorFile.TryRead(path, Policy.MaxSize, out byte[] text) ? Parse(text, path, witness) : throw new ConfigurationException($"logs: no such file: {path}");
        }
        catch (StorageException failure)
        {
            throw new ConfigurationException($"logs: {failure.Message}", failure);
        }
    }

    /// <summary>The same of a text that was read.</summary>
    /// <exception cref="ConfigurationException">A line is wrong, or a log could be mistaken for this witness.</exception>
    public static IReadOnlyList<TrustedLog> Parse(byte[] text, string path, IReadOnlyList<VerifierKey> witness)
    {
        IReadOnlyList<TrustedLog> logs = TlogList.HasHeader(text) ? FromList(text, path, witness) : FromPolicy(text, path, witness);
        return logs.Count > 0 ? logs : throw new ConfigurationException($"logs: {path}: there is no log in it; a witness of nothing would answer 404 to everybody");
    }

    /// <summary>The logs of a list that somebody else keeps, and for each one that is not taken the reason.</summary>
    public static IReadOnlyList<TrustedLog> Take(IEnumerable<ListedLog> listed, IReadOnlyList<VerifierKey> witness, out IReadOnlyList<string> refused)
    {
        List<TrustedLog> taken = [];
        List<string> reasons = [];
        foreach (ListedLog log in listed)
        {
            if (Objection(log.Key, log.Origin, witness, [VerifierKey.Ed25519], out INoteVerifier? verifier) is string objection) reasons.Add(string.Create(CultureInfo.InvariantCulture, $"the log with key ID {log.Key.KeyId:x8}: {objection}"));
            else taken.Add(new TrustedLog(log.Origin, [verifier!], log.QueriesPerDay));
        }

        refused = reasons;
        return taken;
    }

    private static IReadOnlyList<TrustedLog> FromList(byte[] text, string path, IReadOnlyList<VerifierKey> witness)
    {
        if (!TlogList.TryParse(text, out TlogList? list, out string error)) throw new ConfigurationException($"logs: {path}: {error}");
        IReadOnlyList<TrustedLog> taken = Take(list.Logs, witness, out IReadOnlyList<string> refused);
        return refused.Count == 0 ? taken : throw new ConfigurationException($"logs: {path}: {refused[0]}");
    }

    private static IReadOnlyList<TrustedLog> FromPolicy(byte[] text, string path, IReadOnlyList<VerifierKey> witness)
    {
        if (!Policy.TryParseLogs(text, out Policy? policy, out string error)) throw new ConfigurationException($"logs: {path}: {error}");
        Dictionary<string, List<INoteVerifier>> origins = new(StringComparer.Ordinal);
        foreach (VerifierKey key in policy.Logs.Select(log => log.Key))
        {
            string? objection = Objection(key, key.Name, witness, [VerifierKey.Ed25519, VerifierKey.MlDsa44Cosignature], out INoteVerifier? verifier);
            // SPEC TW-12: state is kept per origin line; all keys of an origin share one state.
            if (!origins.TryGetValue(key.Name, out List<INoteVerifier>? known)) origins.Add(key.Name, known = []);
            if (known.Count == MaxKeysOfOrigin) objection ??= $"an origin has at most {MaxKeysOfOrigin} keys";
            if (objection is not null) throw new ConfigurationException($"logs: {path}: {LineOf(text, key)}: {objection}");
            known.Add(verifier!);
        }

        return [.. origins.Select(origin => new TrustedLog(origin.Key, origin.Value, null))];
    }

    /// <summary>Why a log is not taken; null when it is, and then there is a verifier. Lists of the network have Ed25519 keys alone.</summary>
    private static string? Objection(VerifierKey key, string origin, IReadOnlyList<VerifierKey> witness, byte[] types, out INoteVerifier? verifier)
    {
        verifier = null;
        if (Encoding.UTF8.GetByteCount(origin) > MaxOrigin) return $"an origin has at most {MaxOrigin} bytes";
        // W-10: a line under a checkpoint must say by its name alone whether it is the log's or the witness's,
        // and one key must not sign both a note and a cosignature.
        if (witness.Any(own => own.Name == key.Name || own.Name == origin)) return "a log cannot have the name of this witness";
        if (witness.Any(own => own.PublicKey.Span.SequenceEqual(key.PublicKey.Span))) return "a log cannot have the key of this witness";
        if (!types.Contains(key.SignatureType))
        {
            return string.Create(CultureInfo.InvariantCulture, $"the type of the key is 0x{key.SignatureType:x2}; accepted here: {(types.Length == 1 ? "Ed25519 (0x01)" : "Ed25519 (0x01) and ML-DSA-44 (0x06)")}");
        }

        verifier = Verifiers.TryCreate(key);
        return verifier is not null ? null : $"nothing can be verified with its key: {Verifiers.WhyUnusable(key)}";
    }

    /// <summary>The parser has said which lines are log lines; this finds the one that a key stands on, for the operator.</summary>
    private static string LineOf(ReadOnlySpan<byte> text, VerifierKey key)
    {
        int at = text.IndexOf(Encoding.UTF8.GetBytes(key.ToString()));
        return string.Create(CultureInfo.InvariantCulture, $"line {text[..Math.Max(at, 0)].Count((byte)'\n') + 1}");
    }
}
