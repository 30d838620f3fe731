// A disk whose power can be cut: a file system in an image, on a loop device. The shutdown ioctl of ext4 and xfs stops the file system between
// two instructions: what it has given to the device is there, everything else (page cache, running transaction) is gone, and every later call
// fails with EIO. Mounting it again replays its journal, as after a real loss of power.
//
// Not seen: a device that loses what it was given before a flush. The image has no volatile cache.

using System.Globalization;
using System.Runtime.InteropServices;
using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Of what the disk is made.</summary>
/// <param name="Name">As the reports call it.</param>
/// <param name="Make">The program that makes it, with its arguments.</param>
/// <param name="Options">For mount -o.</param>
internal sealed record FileSystem(string Name, string[] Make, string Options)
{
    /// <summary>Those that can be made here. With data=writeback ext4 gives names and lengths to the disk before the bytes they are for.</summary>
    public static FileSystem[] Available { get; } =
    [
        .. new FileSystem[]
        {
            new("ext4", ["mkfs.ext4", "-q", "-F"], "loop"),
            new("ext4/writeback", ["mkfs.ext4", "-q", "-F"], "loop,data=writeback"),
            new("xfs", ["mkfs.xfs", "-q", "-f"], "loop"),
        }.Where(one => Find(one.Make[0]) is not null),
    ];

    /// <summary>Where a program of the system is; those of an administrator need not be on the PATH.</summary>
    public static string? Find(string program) =>
        (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Concat(["/usr/sbin", "/sbin", "/usr/bin", "/bin"])
            .Where(folder => folder.Length > 0).Select(folder => Path.Combine(folder, program)).FirstOrDefault(File.Exists);
}

/// <summary>One such disk. Disposing it leaves neither mount nor loop device behind.</summary>
internal sealed partial class PowerDisk : IAsyncDisposable
{
    /// <summary>Sparse: only what is written takes room. Programs keep a reserve free, and xfs wants 300 MB.</summary>
    private const long ImageBytes = 768L * 1024 * 1024;

    /// <summary>_IOR('X', 125, __u32) of ext4 and xfs alike; 2: without writing their journal out first.</summary>
    private const uint ShutdownRequest = 0x8004587d, WithoutFlush = 2;

    private readonly string _image;
    private bool _mounted;

    private PowerDisk(string image, string mount, FileSystem system)
    {
        _image = image;
        Root = mount;
        System = system;
    }

    /// <summary>Where it is mounted.</summary>
    public string Root { get; }

    public FileSystem System { get; }

    /// <summary>Why there can be no such disk here, in one line; null when there can.</summary>
    public static async Task<string?> WhyNotAsync(Scratch scratch)
    {
        if (!Environment.IsPrivilegedProcess) return "power loss needs root: it mounts a file system of its own";
        if (!File.Exists("/dev/loop-control")) return "power loss needs loop devices: there is no /dev/loop-control";
        foreach (string program in (string[])["mount", "umount", "mkfs.ext4"])
        {
            if (FileSystem.Find(program) is null) return $"power loss needs {program} (packages mount, e2fsprogs)";
        }

        try
        {
            await using PowerDisk disk = await CreateAsync(scratch, "trial", FileSystem.Available[0]);
            disk.Cut();
            return null;
        }
        catch (Exception failure) when (failure is InvalidOperationException or IOException)
        {
            return $"power loss needs a file system that can be mounted and shut down here: {failure.Message.ReplaceLineEndings(" ").Trim()}";
        }
    }

    /// <summary>Makes it, and mounts it.</summary>
    public static async Task<PowerDisk> CreateAsync(Scratch scratch, string name, FileSystem system)
    {
        string image = scratch[$"{name}.img"], mount = scratch[name];
        await using (FileStream file = new(image, FileMode.CreateNew)) file.SetLength(ImageBytes);
        Directory.CreateDirectory(mount);
        PowerDisk disk = new(image, mount, system);
        await RunAsync([.. system.Make, image]);
        await disk.MountAsync();
        return disk;
    }

    public async Task MountAsync()
    {
        await RunAsync("mount", "-o", System.Options, _image, Root);
        _mounted = true;
    }

    /// <summary>The power is gone when it returns.</summary>
    public void Cut()
    {
        using SafeFileHandle root = OpenDirectory(Root);
        uint flag = WithoutFlush;
        if (ioctl(root, ShutdownRequest, ref flag) != 0) throw new IOException($"shutdown of {Root}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    /// <summary>Takes it off, once nobody has it open; if somebody has, it goes when they do.</summary>
    public async Task UnmountAsync()
    {
        if (!_mounted) return;
        _mounted = false;
        bool free = await Until.TrueAsync(async () => (await TryRunAsync("umount", Root)).ExitCode == 0, TimeSpan.FromSeconds(3));
        if (!free) await RunAsync("umount", "-l", Root);
    }

    /// <summary>Keeps the image, as it is now, for who wants to look at it. Returns where.</summary>
    public async Task<string> KeepAsync(string name)
    {
        await UnmountAsync();
        string kept = Path.Combine(Programs.Root, "artifacts/power", name);
        Directory.CreateDirectory(Path.GetDirectoryName(kept)!);
        await RunAsync("cp", "--sparse=always", _image, kept);
        return kept;
    }

    public async ValueTask DisposeAsync()
    {
        await UnmountAsync();
        File.Delete(_image);
        Directory.Delete(Root);
    }

    private static async Task<Ended> TryRunAsync(params string[] command) =>
        await Programs.RunAsync(FileSystem.Find(command[0]) ?? throw new InvalidOperationException($"{command[0]} is not there"), command[1..]);

    private static async Task RunAsync(params string[] command)
    {
        Ended ended = await TryRunAsync(command);
        if (ended.ExitCode != 0) throw new InvalidOperationException(string.Create(CultureInfo.InvariantCulture, $"{string.Join(' ', command)}: {ended}"));
    }

    private static SafeFileHandle OpenDirectory(string path)
    {
        int descriptor = open(path, 0, 0); // O_RDONLY
        return descriptor >= 0 ? new SafeFileHandle(descriptor, ownsHandle: true) : throw new IOException($"open of {path}: {Marshal.GetLastPInvokeErrorMessage()}");
    }

    [LibraryImport("libc", SetLastError = true, StringMarshalling = StringMarshalling.Utf8)]
    private static partial int open(string path, int flags, int mode);

    [LibraryImport("libc", SetLastError = true)]
    private static partial int ioctl(SafeFileHandle file, nuint request, ref uint argument);
}
