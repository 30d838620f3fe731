using System.Globalization;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A file system of a fixed size in memory, that a test can fill to the last byte and empty again.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private const int Block = 1024 * 1024;

    private SmallDisk(string root) => Root = root;

    /// <summary>Where it is mounted.</summary>
    public string Root { get; }

    private string Filler => Path.Combine(Root, "filler");

    /// <summary>Mounts it; null, with the reason in one line, where that cannot be done.</summary>
    public static async Task<(SmallDisk? Disk, string WhyNot)> TryCreateAsync(string root, int megabytes, int inodes = 0)
    {
        if (!Environment.IsPrivilegedProcess || FileSystem.Find("mount") is not string mount) return (null, "a full disk needs root and mount: it is a file system of its own");
        Directory.CreateDirectory(root);
        Ended mounted = await Programs.RunAsync(mount, "-t", "tmpfs", "-o", string.Create(CultureInfo.InvariantCulture, $"size={megabytes}m,mode=0700,nr_inodes={inodes}"), "tlog-soak", root);
        return mounted.ExitCode == 0 ? (new SmallDisk(root), "") : (null, $"a full disk needs a file system that can be mounted here: {mounted.Errors.Trim()}");
    }

    /// <summary>Takes all space but so many bytes; with 0 also the last one.</summary>
    public async Task FillAsync(long leave)
    {
        byte[] zeros = new byte[Block];
        await using FileStream filler = new(Filler, FileMode.Append, FileAccess.Write, FileShare.None, bufferSize: 0);
        try
        {
            for (long free = Free(); free > leave; free = Free()) await filler.WriteAsync(zeros.AsMemory(0, (int)Math.Min(Block, Math.Max(4096, free - leave))));
        }
        catch (IOException)
        {
            // Full.
        }
    }

    /// <summary>Takes every inode, in empty files.</summary>
    public void TakeInodes()
    {
        Directory.CreateDirectory(Path.Combine(Root, "many"));
        try
        {
            for (int file = 0; ; file++) File.WriteAllBytes(Path.Combine(Root, "many", file.ToString(CultureInfo.InvariantCulture)), []);
        }
        catch (IOException)
        {
            // None is left.
        }
    }

    /// <summary>Gives the inodes back.</summary>
    public void GiveInodes() => Directory.Delete(Path.Combine(Root, "many"), recursive: true);

    /// <summary>Gives the space back.</summary>
    public void Empty() => File.Delete(Filler);

    public async ValueTask DisposeAsync()
    {
        bool free = await Until.TrueAsync(async () => (await Programs.RunAsync(FileSystem.Find("umount")!, Root)).ExitCode == 0, TimeSpan.FromSeconds(3));
        if (!free) await Programs.RunAsync(FileSystem.Find("umount")!, "-l", Root);
    }

    private long Free() => new DriveInfo(Root).AvailableFreeSpace;
}
