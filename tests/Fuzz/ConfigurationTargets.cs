// What an operator gives: policies, lists of logs, configuration files, key files. Written by hand, copied from strangers, cut by an editor.

using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Witness;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of c2sp.org/tlog-policy, of the settings and of key files.</summary>
internal static class ConfigurationTargets
{
    /// <summary>Policy.TryParse and TryParseLogs: no quorum that is always met, or never; and the witness's list of logs.</summary>
    public static Target Policy(string name) => new(name, Rules, typeof(Policy), typeof(PolicyParser), typeof(PolicyGroup), typeof(VerifierKey), typeof(LogList))
    {
        Seeds =
        [
            World.Utf8(World.PolicyText), World.Utf8($"log {World.Log.Key}\nquorum none\n"),
            World.Utf8($"# comment\n\nwitness a {World.Witness.Key}\nwitness b {Key(2)}\nwitness c {Key(3)} http://c\ngroup g 2 a b\ngroup h any g c\nquorum h\n"),
            World.Utf8($"\twitness a {World.Witness.Key}\ngroup g all a\nquorum g\n"),
        ],
        Words = ["log "u8.ToArray(), "witness "u8.ToArray(), "group "u8.ToArray(), "quorum "u8.ToArray(), "none"u8.ToArray(), " any"u8.ToArray(), " all"u8.ToArray(), "#"u8.ToArray(), World.Utf8($" {Key(4)}"), " a"u8.ToArray(), " b"u8.ToArray(), " g"u8.ToArray()],
        FixUp = FixUps.KeyIds,
        MaxLength = 24 * 1024,

        // A line of n items is n arrays and a list of them, and a vkey is parsed into its parts and made a verifier of.
        AllocationPerByte = 100,
    };

    /// <summary>TlogList.TryParse and ToBytes: what is read is written to a text that says the same, and again to the same text; and what a witness takes of it.</summary>
    public static Target LogsV0(string name) => new(name, List, typeof(TlogList), typeof(VerifierKey), typeof(LogList))
    {
        Seeds =
        [
            "logs/v0\n"u8.ToArray(), World.Utf8($"# comment\n\n\tlogs/v0 \nvkey {World.Log.Key}\norigin go.sum database tree\nqpd 86400\ncontact a (at) b\n \t# more\nvkey {Key(2)}\n qpd 2147483647\n contact c"),
        ],
        Words = ["logs/v0\n"u8.ToArray(), "vkey "u8.ToArray(), "origin "u8.ToArray(), "qpd 1\n"u8.ToArray(), "contact c\n"u8.ToArray(), "#"u8.ToArray(), World.Utf8($"vkey {Key(4)}\nqpd 1\ncontact c\n")],
        FixUp = FixUps.KeyIds,
        AllocationPerByte = 100, // as for a policy
    };

    /// <summary>The configuration files of the witness and of the log.</summary>
    public static Target Settings(string name) => new(name, Configuration, typeof(Witness.Settings), typeof(Server.Settings), typeof(SettingTable), typeof(SettingFile), typeof(Setting), typeof(NumberSetting), typeof(SettingValues), typeof(Strict))
    {
        Seeds =
        [
            """{ "data": "/var/lib/witness", "logs": "/etc/logs", "listen": "http://127.0.0.1:2026", "guard": "/mnt/guard", "max-connections": 1024, "body-limit-s": 15, "commit-limit-s": 10, /* comment */ "log-level": "Information" }"""u8.ToArray(),
            """{ "data": "log", "listen": "http://[::1]:2025", "policy": "p", "publish-gap-ms": 5, "duplicate-index": "full", "duplicate-table-bytes": 2000000, "max-connections": 8 }"""u8.ToArray(),
            """{ "name": "witness.example/w1", "listen": "http://localhost:1" }"""u8.ToArray(),
        ],
        Words = ["\"data\":"u8.ToArray(), "\"listen\":"u8.ToArray(), "\"logs\":"u8.ToArray(), "\""u8.ToArray(), "{"u8.ToArray(), "}"u8.ToArray(), ","u8.ToArray(), "null"u8.ToArray(), "[1]"u8.ToArray(), "\\ud800"u8.ToArray(), "http://"u8.ToArray()],
        MaxLength = 4096,
        AllocationPerByte = 200, // of the base library's reader, its tree and its dictionary
    };

    /// <summary>KeyText.Read, and what it read written and read again. No message repeats a line of the file.</summary>
    public static Target KeyFile(string name) => new(name, File, typeof(KeyText), typeof(Strict))
    {
        Seeds = [Text(VerifierKey.Ed25519), Text(VerifierKey.Ed25519Cosignature), WithPublicKey(), MlDsaText(), "PRIVATE+KEY+PeterNeumann+c74f20a3+AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz\n"u8.ToArray()],
        Words = ["-----BEGIN PRIVATE KEY-----\n"u8.ToArray(), "-----END PRIVATE KEY-----\n"u8.ToArray(), "Name: "u8.ToArray(), "Type: note\n"u8.ToArray(), "MC4CAQAwBQYDK2VwBCIEI"u8.ToArray(), "MFECAQEwBQYDK2Vw"u8.ToArray()],
        FixUp = MendPem,
        MaxLength = TransparencyLog.Signing.KeyFile.MaxSize,
    };

    private static void Rules(byte[] input)
    {
        foreach (bool list in new[] { false, true })
        {
            bool parsed = list ? TransparencyLog.Policy.TryParseLogs(input, out Policy? policy, out string error) : TransparencyLog.Policy.TryParse(input, out policy, out error);
            Require(parsed == policy is not null && parsed == (error.Length == 0), "a policy: the answer, the value and the error say different things");
            Require(NoteTargets.IsPrintable(error), "an error that is not printable ASCII");
            if (policy is null) continue;
            Require(policy.QuorumIsNone == policy.IsQuorumMet(_ => false), "a quorum that is met by nobody");
            Require(policy.IsQuorumMet(_ => true), "a quorum that all together do not meet");
            foreach (PolicyWitness witness in policy.Witnesses)
            {
                Require(witness.Key.SignatureType is VerifierKey.Ed25519Cosignature or VerifierKey.MlDsa44Cosignature, "a witness whose key makes no cosignatures");
                Require(!policy.IsQuorumMet(one => one == witness) || policy.IsQuorumMet(one => one == witness || one == policy.Witnesses[0]), "one more witness takes the quorum away");
            }

            Require(policy.Witnesses.Select(witness => Convert.ToHexString(witness.Key.PublicKey.Span)).Distinct(StringComparer.Ordinal).Count() == policy.Witnesses.Count, "one key is two witnesses");
            if (!list) continue;
            string path = Path.Combine(Scratch.Folder, "logs");
            System.IO.File.WriteAllBytes(path, input);
            try
            {
                IReadOnlyList<TrustedLog> logs = LogList.Read(path, [World.Witness.Key]);
                Require(logs.Count > 0 && logs.Sum(log => log.Keys.Count) == policy.Logs.Count, "a log without its keys");
            }
            catch (ConfigurationException)
            {
            }
        }
    }

    private static void List(byte[] input)
    {
        bool parsed = TlogList.TryParse(input, out TlogList? list, out string error);
        Require(parsed == list is not null && parsed == (error.Length == 0), "a list: the answer, the value and the error say different things");
        Require(NoteTargets.IsPrintable(error), "an error that is not printable ASCII");
        Require(!parsed || TlogList.HasHeader(input), "a list without its header");
        if (list is null) return;
        byte[] written = list.ToBytes();
        Require(TlogList.TryParse(written, out TlogList? again, out _) && again!.Logs.SequenceEqual(list.Logs), "a list that is written to another");
        RequireSame(written, again!.ToBytes(), "a list");
        Require(list.Logs.All(log => log.QueriesPerDay > 0 && log.Origin.Length > 0 && log.Contact.Length > 0), "a log of which something is missing");
        IReadOnlyList<TrustedLog> taken = LogList.Take(list.Logs, [World.Witness.Key], out IReadOnlyList<string> refused);
        Require(taken.Count + refused.Count == list.Logs.Count, "a log is neither taken nor refused");
        Require(taken.All(log => log.Keys[0].Key.SignatureType == VerifierKey.Ed25519 && log.Origin != World.Witness.Key.Name), "a log that could be mistaken for the witness");
    }

    private static readonly Dictionary<string, string> NoEnvironment = [];

    private static void Configuration(byte[] input)
    {
        string path = Path.Combine(Scratch.Folder, "config.json");
        System.IO.File.WriteAllBytes(path, input);
        Dictionary<string, string> commandLine = new(StringComparer.Ordinal) { ["config"] = path };
        foreach (bool create in new[] { false, true })
        {
            try
            {
                SettingValues values = WitnessSettings.Table.Read(commandLine, NoEnvironment);
                if (create)
                {
                    Require(VerifierKey.IsKeyName(Witness.Settings.ReadCreate(values).Name), "a name that is no key name");
                    continue;
                }

                Witness.Settings settings = Witness.Settings.Read(values);
                Require(settings.Data.Length > 0 && settings.Logs.Count > 0 && settings.RatePerDay > 0 && settings.RateBurst > 0 && settings.Guard is not "" && settings.MaxConnections is > 0 and <= 100_000, "settings beyond their limits");
                Require(settings.BodyTime > TimeSpan.Zero && settings.CommitTime > TimeSpan.Zero && Enum.IsDefined(settings.LogLevel), "settings beyond their limits");
            }
            catch (ConfigurationException)
            {
            }
        }

        try
        {
            Server.Settings settings = Server.Settings.Read(LogSettings.Table.Read(commandLine, NoEnvironment));
            Require(settings.Data.Length > 0 && settings.MaxConnections is >= 8 and <= 65_536 && settings.WaitLimit >= TimeSpan.FromMilliseconds(100), "settings beyond their limits");
            Require(Enum.IsDefined(settings.DuplicateIndex) && settings.Policy is not "" && settings.Guard is not "", "settings beyond their limits");
        }
        catch (ConfigurationException)
        {
        }
    }

    private static void File(byte[] input)
    {
        byte[] bytes = [.. input];
        try
        {
            KeyText.Found file = KeyText.ReadAny(bytes, "key.pem");
            using IDisposable key = file.Key;
            Require(file.Name is null || VerifierKey.IsKeyName(file.Name), "a name that is no key name");
            byte[] text = new byte[TransparencyLog.Signing.KeyFile.MaxSize];
            int length = key is MlDsa44PrivateKey pq
                ? KeyText.Write(text, file.Name ?? "name", pq)
                : KeyText.Write(text, file.Name ?? "name", file.SignatureType ?? VerifierKey.Ed25519, (Ed25519PrivateKey)key);
            KeyText.Found again = KeyText.ReadAny(text.AsMemory(0, length), "key.pem");
            using IDisposable same = again.Key;
            Require(PublicKey(same).SequenceEqual(PublicKey(key)) && again.Name == (file.Name ?? "name"), "a key is written as another");
        }
        catch (KeyFileException refusal)
        {
            // Whoever reads the log of a failed start does not get a line of the key with it.
            foreach (string line in Encoding.Latin1.GetString(input).Split('\n').Where(line => line.Length >= 24 && line.All(letter => char.IsAsciiLetterOrDigit(letter) || letter is '+' or '/' or '=')))
            {
                Require(!refusal.Message.Contains(line, StringComparison.Ordinal), "a message repeats a line of a key file");
            }
        }
    }

    private static ReadOnlySpan<byte> PublicKey(IDisposable key) => key is MlDsa44PrivateKey pq ? pq.PublicKey.Span : ((Ed25519PrivateKey)key).PublicKey.Span;

    private static VerifierKey Key(int number) => new Cosigner($"w{number}", Ed25519PrivateKey.FromSeed(System.Security.Cryptography.SHA256.HashData([(byte)number]))).Key;

    private static byte[] Text(byte type)
    {
        byte[] text = new byte[TransparencyLog.Signing.KeyFile.MaxSize];
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(System.Security.Cryptography.SHA256.HashData([1]));
        return text[..KeyText.Write(text, "log.example/fuzz", type, key)];
    }

    private static byte[] MlDsaText()
    {
        byte[] text = new byte[TransparencyLog.Signing.KeyFile.MaxSize];
        using MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(System.Security.Cryptography.SHA256.HashData([1]));
        return text[..KeyText.Write(text, "log.example/fuzz", key)];
    }

    /// <summary>A key as RFC 5958 has it: version 1, with attributes and the public key.</summary>
    private static byte[] WithPublicKey()
    {
        byte[] seed = System.Security.Cryptography.SHA256.HashData([1]);
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(seed);
        byte[] inner = [2, 1, 1, 48, 5, 6, 3, 43, 101, 112, 4, 34, 4, 32, .. seed, 0xa0, 4, 1, 2, 3, 4, 0x81, 33, 0, .. key.PublicKey.Span];
        return World.Utf8($"-----BEGIN PRIVATE KEY-----\n{Convert.ToBase64String([48, (byte)inner.Length, .. inner])}\n-----END PRIVATE KEY-----\n");
    }

    /// <summary>Takes the block between the first two lines of dashes as bytes, if it is base64 but for its end, and changes one of them: so changes reach the structure and not only its text.</summary>
    private static byte[] MendPem(byte[] input)
    {
        ReadOnlySpan<byte> begin = "-----BEGIN PRIVATE KEY-----\n"u8;
        int from = input.AsSpan().IndexOf(begin);
        if (from < 0) return input;
        from += begin.Length;
        int length = input.AsSpan(from).IndexOf("\n-----END"u8);
        if (length < 4) return input;
        string text = Encoding.ASCII.GetString(input.AsSpan(from, length / 4 * 4)).Replace("\n", "", StringComparison.Ordinal);
        byte[] der = new byte[text.Length];
        if (!Convert.TryFromBase64String(text, der, out int size) || size == 0) return input;

        // What is changed follows from the input itself, so that a run can be repeated.
        int sum = input.Sum(one => one);
        der[sum % size] = (byte)(sum >> 3);
        return [.. input.AsSpan(0, from), .. Encoding.ASCII.GetBytes(Convert.ToBase64String(der, 0, size)), .. input.AsSpan(from + length)];
    }
}
