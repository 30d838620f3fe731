namespace TransparencyLog.Tests.Fuzz;

/// <summary>A directory in memory for parsers that read files; removed when the process ends.</summary>
internal static class Scratch
{
    public static string Folder { get; } = Make();

    private static string Make()
    {
        string folder = Directory.Exists("/dev/shm")
            ? Directory.CreateDirectory($"/dev/shm/tlog-fuzz-{Environment.ProcessId}-{Guid.NewGuid():n}").FullName
            : Directory.CreateTempSubdirectory("tlog-fuzz-").FullName;
        AppDomain.CurrentDomain.ProcessExit += (_, _) => Directory.Delete(folder, recursive: true);
        return folder;
    }
}
