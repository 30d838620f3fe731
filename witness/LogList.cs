// The logs that a witness witnesses: the `log` lines of a tlog-policy file (c2sp.org/tlog-policy). Other lines are read and mean nothing here.
//
//     log example.com/behind-the-sofa+1c3c6b1e+AZ...  https://example.com/behind-the-sofa

using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Witness;

/// <summary>The keys that are trusted for each origin.</summary>
internal static class LogList
{
    /// <summary>
    /// Most keys of one origin: all lines of a stored note (16 of up to 3.3 kB, ML-DSA-44) have to fit an entry of the journal, 65,535 bytes.
    /// </summary>
    public const int MaxKeysOfOrigin = 16;

    /// <summary>Reads the file.</summary>
    /// <exception cref="UsageException">It cannot be read, a line is wrong, or a log could be mistaken for this witness.</exception>
    public static Dictionary<string, IReadOnlyList<INoteVerifier>> Read(string path, VerifierKey witness)
    {
        byte[] text;
        try
        {
            if (new FileInfo(path).Length > Policy.MaxSize) throw new UsageException($"logs: {path} has more than {Policy.MaxSize} bytes");
            text = File.ReadAllBytes(path);
        }
        catch (Exception e) when (e is IOException or UnauthorizedAccessException)
        {
            throw new UsageException($"logs: {path}: {e.Message}", e);
        }

        if (!Policy.TryParseLogs(text, out Policy? policy, out string error) || policy is null) throw new UsageException($"logs: {path}: {error}");
        if (policy.Logs.Count == 0) throw new UsageException($"logs: {path}: there is no log line; a witness of nothing would answer 404 to everybody");
        return Group(policy.Logs, witness, key => $"logs: {path}: {LineOf(text, key)}");
    }

    private static Dictionary<string, IReadOnlyList<INoteVerifier>> Group(IEnumerable<PolicyLog> logs, VerifierKey witness, Func<VerifierKey, string> place)
    {
        Dictionary<string, IReadOnlyList<INoteVerifier>> origins = new(StringComparer.Ordinal);
        foreach (VerifierKey key in logs.Select(log => log.Key))
        {
            // W-10: a line under a checkpoint must say by its name alone whether it is the log's or the witness's,
            // and one key must not sign both a note and a cosignature.
            if (key.Name == witness.Name) throw new UsageException($"{place(key)}: a log cannot have the name of this witness");
            if (key.PublicKey.Span.SequenceEqual(witness.PublicKey.Span)) throw new UsageException($"{place(key)}: a log cannot have the key of this witness");
            INoteVerifier verifier = Verifiers.TryCreate(key)
                ?? throw new UsageException(string.Create(CultureInfo.InvariantCulture, $"{place(key)}: the type of the key is 0x{key.SignatureType:x2}; this witness verifies Ed25519 (0x01), not of small order, and ML-DSA-44 (0x06)"));

            // SPEC TW-12: state is kept per origin line; all keys of an origin share one state.
            if (!origins.TryGetValue(key.Name, out IReadOnlyList<INoteVerifier>? known)) origins.Add(key.Name, known = new List<INoteVerifier>());
            if (known.Count == MaxKeysOfOrigin) throw new UsageException($"{place(key)}: an origin has at most {MaxKeysOfOrigin} keys");
            ((List<INoteVerifier>)known).Add(verifier);
        }

        return origins;
    }

    /// <summary>The parser has said which lines are log lines; this finds the one that a key stands on, for the operator.</summary>
    private static string LineOf(ReadOnlySpan<byte> text, VerifierKey key)
    {
        int at = text.IndexOf(Encoding.UTF8.GetBytes(key.ToString()));
        return string.Create(CultureInfo.InvariantCulture, $"line {text[..Math.Max(at, 0)].Count((byte)'\n') + 1}");
    }
}
