// The logs of a witness, read from a text in one of two forms.
//
//     log example.com/behind-the-sofa+1c3c6b1e+AZ...  https://example.com/behind-the-sofa        c2sp.org/tlog-policy: only its `log` lines count here.
//     log example.com/behind-the-sofa+33aa45c1+AV...                                             An origin may have several keys
//
//     logs/v0                                                                                    c2sp.org/tlog-list: each origin has one key, whose name may
//     vkey sum.golang.org+033de0ae+Ac4zctda0e5eza+HJyk9SxEdh+s3Ux18htTTAD8OuAn8                  differ from the origin, and a rate
//     origin go.sum database tree
//     qpd 86400
//     contact sysadmin (at) example.org

using System.Globalization;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>One log, as a list describes it.</summary>
/// <param name="Origin">Its origin line, at most <see cref="LogList.MaxOrigin"/> bytes.</param>
/// <param name="Keys">The keys that are trusted for it, at least one.</param>
/// <param name="QueriesPerDay">How often it may ask; null when the list does not say.</param>
internal sealed record TrustedLog(string Origin, IReadOnlyList<INoteVerifier> Keys, int? QueriesPerDay);

/// <summary>Reads lists, and refuses logs that could be mistaken for this witness.</summary>
internal static class LogList
{
    /// <summary>
    /// Most keys of one origin. All lines of a stored note have to fit an entry of the journal, 65,535 bytes: 16 lines of up to 3.5 kB (ML-DSA-44), and our
    /// own, which are as large.
    /// </summary>
    public const int MaxKeysOfOrigin = 16;

    /// <summary>Longest origin line in bytes: the longest that an ML-DSA-44 cosignature can name (c2sp.org/tlog-cosignature).</summary>
    public const int MaxOrigin = VerifierKey.MaxNameSize;

    /// <summary>Reads a file in either form. Any error in it is a refusal, because an operator wrote the file.</summary>
    /// <param name="path">The file.</param>
    /// <param name="witness">The keys of this witness; they share one name.</param>
    /// <exception cref="ConfigurationException">The file cannot be read, a line is wrong, or a log could be mistaken for this witness.</exception>
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

    /// <summary>Reads a text in either form.</summary>
    /// <exception cref="ConfigurationException">A line is wrong, or a log could be mistaken for this witness.</exception>
    public static IReadOnlyList<TrustedLog> Parse(byte[] text, string path, IReadOnlyList<VerifierKey> witness)
    {
        IReadOnlyList<TrustedLog> logs = TlogList.HasHeader(text) ? FromList(text, path, witness) : FromPolicy(text, path, witness);
        return logs.Count > 0 ? logs : throw new ConfigurationException($"logs: {path}: there is no log in it; a witness of nothing would answer 404 to everybody");
    }

    /// <summary>The accepted logs of a list that somebody else maintains, and the reason for each refused log.</summary>
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

    /// <summary>Why a log is refused. Null when it is accepted, and then there is a verifier. The logs of tlog-list have Ed25519 keys alone.</summary>
    private static string? Objection(VerifierKey key, string origin, IReadOnlyList<VerifierKey> witness, byte[] types, out INoteVerifier? verifier)
    {
        verifier = null;
        if (Encoding.UTF8.GetByteCount(origin) > MaxOrigin) return $"an origin has at most {MaxOrigin} bytes";
        // W-10: the name alone has to show whether a line under a checkpoint is the log's or the witness's, and one key must not sign both a note and a
        // cosignature.
        if (witness.Any(own => own.Name == key.Name || own.Name == origin)) return "a log cannot have the name of this witness";
        if (witness.Any(own => own.PublicKey.Span.SequenceEqual(key.PublicKey.Span))) return "a log cannot have the key of this witness";
        if (!types.Contains(key.SignatureType))
        {
            return string.Create(CultureInfo.InvariantCulture, $"the type of the key is 0x{key.SignatureType:x2}; accepted here: {(types.Length == 1 ? "Ed25519 (0x01)" : "Ed25519 (0x01) and ML-DSA-44 (0x06)")}");
        }

        verifier = Verifiers.TryCreate(key);
        return verifier is not null ? null : $"nothing can be verified with its key: {Verifiers.WhyUnusable(key)}";
    }

    /// <summary>Finds the line that a key stands on, for the operator. The parser has already decided which lines are log lines.</summary>
    private static string LineOf(ReadOnlySpan<byte> text, VerifierKey key)
    {
        int at = text.IndexOf(Encoding.UTF8.GetBytes(key.ToString()));
        return string.Create(CultureInfo.InvariantCulture, $"line {text[..Math.Max(at, 0)].Count((byte)'\n') + 1}");
    }
}
