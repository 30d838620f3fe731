namespace TransparencyLog.Tests;

/// <summary>Where the tests find the repository: the folder above them that holds the solution.</summary>
internal static class Repository
{
    public static string Root { get; } = Find();

    private static string Find()
    {
        for (DirectoryInfo? folder = new(AppContext.BaseDirectory); folder is not null; folder = folder.Parent)
        {
            if (File.Exists(Path.Combine(folder.FullName, "TransparencyLog.sln"))) return folder.FullName;
        }

        throw new InvalidOperationException($"no TransparencyLog.sln above {AppContext.BaseDirectory}");
    }
}
