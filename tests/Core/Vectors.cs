using System.Text.Json;

namespace TransparencyLog.Tests.Core;

/// <summary>Where the foreign vectors are: <c>tests/vectors</c> below the folder that holds the solution.</summary>
internal static class Vectors
{
    public static string Folder { get; } = Path.Combine(FindRoot(), "tests", "vectors");

    public static byte[] Bytes(string path) => File.ReadAllBytes(Path.Combine(Folder, path));

    public static JsonElement Json(string path)
    {
        using JsonDocument document = JsonDocument.Parse(Bytes(path));
        return document.RootElement.Clone();
    }

    private static string FindRoot()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "TransparencyLog.sln"))) return folder.FullName;
        }

        throw new InvalidOperationException($"no TransparencyLog.sln above {AppContext.BaseDirectory}");
    }
}
