// A small log and a witness whose keys are known, for inputs that are right, and the opinion on what a proof may show: of every size of the tree,
// every root and every leaf is known here, from RFC 6962 itself.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using TransparencyLog.Signing;
using TransparencyLog.Tests.Core;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>What the targets have in common.</summary>
internal static class World
{
    /// <summary>Entries of the log: more than a tile, so that proofs have two levels of them.</summary>
    public const int Entries = 300;

    public const string Origin = "log.example/fuzz";

    private static readonly Hash[] Leaves = [.. Enumerable.Range(0, Entries).Select(i => MerkleHash.Leaf(Entry(i)))];

    public static NoteSigner Log { get; } = new(Origin, Key("log"));

    public static Cosigner Witness { get; } = new("witness.example/fuzz", Key("witness"));

    public static Rfc6962 Tree { get; } = new(Leaves);

    public static INoteVerifier[] Verifiers { get; } = [.. new[] { Log.Key, Witness.Key }.Select(key => TransparencyLog.Signing.Verifiers.TryCreate(key)!)];

    /// <summary>The texts that the log has signed; nobody can make a signature on another one.</summary>
    public static HashSet<string> Signed { get; } = new(StringComparer.Ordinal);

    public static string PolicyText => $"log {Log.Key} http://127.0.0.1:2025\nwitness w {Witness.Key} http://127.0.0.1:2026\nquorum w\n";

    public static Policy Policy { get; } = Policy.TryParse(Encoding.UTF8.GetBytes(PolicyText), out Policy? policy, out _) ? policy! : throw new InvalidOperationException();

    public static byte[] Entry(int index) => Encoding.ASCII.GetBytes(string.Create(CultureInfo.InvariantCulture, $"entry {index}"));

    public static Hash Leaf(int index) => Leaves[index];

    public static byte[] Text(int size) => new Checkpoint(Origin, size, Tree.Root(size)).ToText();

    /// <summary>A signed and cosigned checkpoint.</summary>
    public static byte[] Note(int size)
    {
        byte[] text = Text(size);
        Signed.Add(Encoding.UTF8.GetString(text));
        return new Note(text, [Log.Sign(text), Witness.Cosign(text, 1_700_000_000)]).ToBytes();
    }

    public static byte[] Proof(int index, int size) => new TlogProof(index, Tree.Path(index, size), Note(size)).ToBytes();

    public static byte[] Request(int old, int size) => new AddCheckpointRequest(old, Tree.Proof(old, size), Note(size)).ToBytes();

    public static byte[] SubtreeRequest(int start, int end, int size) =>
        new SignSubtreeRequest(start, end, Tree.Subtree(start, end), Tree.SubtreeProof(start, end, size), Note(size)).ToBytes();

    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    /// <summary>Every text anywhere in a file of the vectors.</summary>
    public static IEnumerable<byte[]> Vectors(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Repository.Root, "tests/vectors", file)));
        return [.. Texts(document.RootElement).Where(text => text.Length > 0).Select(Utf8)];
    }

    /// <summary>The same, of texts that are base64.</summary>
    public static IEnumerable<byte[]> VectorsOfBase64(string file) =>
        Vectors(file).Select(text => Strict.TryReadBase64(text, text.Length, out byte[] bytes) ? bytes : []).Where(bytes => bytes.Length > 0);

    private static IEnumerable<string> Texts(JsonElement element) => element.ValueKind switch
    {
        JsonValueKind.String => [element.GetString()!],
        JsonValueKind.Array => element.EnumerateArray().SelectMany(Texts),
        JsonValueKind.Object => element.EnumerateObject().SelectMany(property => Texts(property.Value)),
        _ => [],
    };

    private static Ed25519PrivateKey Key(string name) => Ed25519PrivateKey.FromSeed(SHA256.HashData(Utf8(name)));
}
