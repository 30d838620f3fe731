using System.Text;
using System.Text.Json;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

/// <summary>The vector files with real signatures, and keys from the texts they give.</summary>
internal static class SigningVectors
{
    public static string Folder { get; } = Path.Combine(Repository.Root, "tests", "vectors");

    public static JsonElement Document(string file)
    {
        using JsonDocument document = JsonDocument.Parse(File.ReadAllBytes(Path.Combine(Folder, file)));
        return document.RootElement.Clone();
    }

    public static JsonElement[] Cases(string file, string property, int count)
    {
        JsonElement[] cases = [.. Document(file).GetProperty(property).EnumerateArray()];
        Assert.Equal(count, cases.Length);
        return cases;
    }

    public static byte[] Utf8(string text) => Encoding.UTF8.GetBytes(text);

    public static string Text(this JsonElement element, string property) => element.GetProperty(property).GetString()!;

    public static VerifierKey Key(string vkey)
    {
        Assert.True(VerifierKey.TryParse(Utf8(vkey), out VerifierKey? key), vkey);
        return key!;
    }

    public static INoteVerifier Verifier(string vkey)
    {
        INoteVerifier? verifier = Verifiers.TryCreate(Key(vkey));
        Assert.NotNull(verifier);
        return verifier;
    }

    public static NoteSigner Signer(string goKey)
    {
        KeyFile file = KeyText.Read(Utf8(goKey), "vector");
        return new NoteSigner(file.Name!, file.Key);
    }
}
