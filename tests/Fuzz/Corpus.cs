using System.Security.Cryptography;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Inputs in files: a folder for each target, a file for each input, named by the hash of its bytes.</summary>
internal static class Corpus
{
    /// <summary>What is kept with the tests: inputs that together take every edge that was ever taken.</summary>
    public static string Kept { get; } = Path.Combine(Repository.Root, "tests/Fuzz/corpus");

    /// <summary>What runs on this machine have found.</summary>
    public static string Found { get; } = Path.Combine(Repository.Root, "artifacts/fuzz/corpus");

    public static IReadOnlyList<byte[]> Read(string folder, string target)
    {
        string path = Path.Combine(folder, target);
        return Directory.Exists(path) ? [.. Directory.GetFiles(path).Order(StringComparer.Ordinal).Select(File.ReadAllBytes)] : [];
    }

    /// <summary>Makes the folder hold exactly these.</summary>
    public static void Write(string folder, string target, IEnumerable<byte[]> inputs)
    {
        string path = Directory.CreateDirectory(Path.Combine(folder, target)).FullName;
        Dictionary<string, byte[]> files = inputs.DistinctBy(NameOf).ToDictionary(NameOf, StringComparer.Ordinal);
        foreach (string old in Directory.GetFiles(path).Where(old => !files.ContainsKey(Path.GetFileName(old)))) File.Delete(old);
        foreach ((string name, byte[] input) in files) File.WriteAllBytes(Path.Combine(path, name), input);
    }

    public static string NameOf(byte[] input) => Convert.ToHexStringLower(SHA256.HashData(input))[..16];
}
