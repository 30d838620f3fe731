// The edge cases of Ed25519 verification, decided one by one. RFC 8032 leaves them open, and implementations differ; two of ours that differed
// would disagree about a checkpoint. The rule of src/Signing/Ed25519.cs in the words of the vectors' flags, the first that applies:
//
//     non_canonical_A            the key is refused: two encodings of one key would be two keys to whoever compares bytes
//     low_order_A                the key is refused: signatures exist for it that hold for many messages
//     low_order_component_A      the key is refused: implementations with and without the cofactor disagree about its signatures
//     non_canonical_R            the signature is refused: R is compared as bytes
//     low_order_R                the signature is refused by libsodium; libcrypto accepts where the equation holds
//     low_order_residue          the signature is refused: the equation has no cofactor
//     none of these              the signature is accepted
//
// low_order_component_R without a residue would be accepted, but needs a key with such a component. reencoded_k comes with one of the first five.
using System.Text.Json;
using NSec.Cryptography;
using Ed25519 = TransparencyLog.Signing.Ed25519;

namespace TransparencyLog.Tests.Signing;

public sealed class Ed25519EdgeTests
{
    private static readonly string[] Rule = ["non_canonical_A", "low_order_A", "low_order_component_A", "non_canonical_R", "low_order_R", "low_order_residue", "accepted"];

    [Fact]
    public void Every_edge_vector_of_CCTV_is_decided_by_the_stated_rule()
    {
        Dictionary<string, int> decided = Rule.ToDictionary(rule => rule, _ => 0);
        foreach ((int number, byte[] key, byte[] message, byte[] signature, HashSet<string> flags) in Vectors())
        {
            string rule = Rule.FirstOrDefault(flags.Contains) ?? "accepted";
            bool keyIsRefused = rule.EndsWith("_A", StringComparison.Ordinal);
            Assert.True(keyIsRefused != Ed25519.IsAcceptablePublicKey(key), $"vector {number}: the key, {rule}");
            Assert.True((rule == "accepted") == Ed25519.Verify(key, message, signature), $"vector {number}: {rule}");
            decided[rule]++;
        }

        Assert.Equal("non_canonical_A 226, low_order_A 300, low_order_component_A 360, non_canonical_R 12, low_order_R 8, low_order_residue 7, accepted 1", string.Join(", ", decided.Select(one => $"{one.Key} {one.Value}")));
    }

    /// <summary>
    /// What libsodium answers without our rule for keys. A new version that answers otherwise changes what we accept, and is noticed here. The rule for
    /// keys decides more: of these vectors one remains.
    /// </summary>
    [Fact]
    public void Libsodium_alone_refuses_every_small_R_and_every_residue_and_accepts_keys_of_mixed_order()
    {
        int accepted = 0, refusedForR = 0;
        foreach ((int number, byte[] key, byte[] message, byte[] signature, HashSet<string> flags) in Vectors())
        {
            bool holds = PublicKey.TryImport(SignatureAlgorithm.Ed25519, key, KeyBlobFormat.RawPublicKey, out PublicKey? imported) && SignatureAlgorithm.Ed25519.Verify(imported!, message, signature);
            // "ref10" and libcrypto: the equation without the cofactor, and R as it is encoded.
            bool equation = !flags.Contains("low_order_residue") && !flags.Contains("non_canonical_R") && !flags.Contains("reencoded_k");
            bool small = flags.Contains("low_order_R") || flags.Contains("low_order_A") || flags.Contains("non_canonical_A");
            Assert.True(holds == (equation && !small), $"vector {number}: {string.Join(' ', flags)}");
            if (holds) accepted++;
            if (equation && !flags.Contains("low_order_A") && !flags.Contains("non_canonical_A") && flags.Contains("low_order_R")) refusedForR++;
        }

        // libcrypto accepts the second group too: the 43 for which the two libraries differ once keys of small order are refused.
        Assert.Equal((43, 43), (accepted, refusedForR));
    }

    private static IEnumerable<(int Number, byte[] Key, byte[] Message, byte[] Signature, HashSet<string> Flags)> Vectors()
    {
        JsonElement[] all = [.. SigningVectors.Document("cctv/ed25519vectors.json").EnumerateArray()];
        Assert.Equal(914, all.Length);
        foreach (JsonElement one in all)
        {
            JsonElement flags = one.GetProperty("flags");
            yield return (one.GetProperty("number").GetInt32(), Convert.FromHexString(one.Text("key")), SigningVectors.Utf8(one.Text("msg")), Convert.FromHexString(one.Text("sig")),
                flags.ValueKind == JsonValueKind.Null ? [] : [.. flags.EnumerateArray().Select(flag => flag.GetString()!)]);
        }
    }
}
