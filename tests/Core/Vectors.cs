using System.Text.Json;

namespace TransparencyLog.Tests.Core;

/// <summary>Where the foreign vectors are: <c>tests/vectors</c> below the folder that holds the solution.</summary>
internal static class Vectors
{
    public static string Folder { get; } = Path.Combine(Repository.Root, "tests", "vectors");

    public static byte[] Bytes(string path) => File.ReadAllBytes(Path.Combine(Folder, path));

    public static JsonElement Json(string path)
    {
        using JsonDocument document = JsonDocument.Parse(Bytes(path));
        return document.RootElement.Clone();
    }
}
