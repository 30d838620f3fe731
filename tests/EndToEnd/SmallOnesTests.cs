namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The root of a fresh volume, and a backup in the wrong place, with the real programs (N-21).</summary>
public sealed class SmallOnesTests
{
    [Fact]
    public async Task N21_lost_and_found_does_not_hinder_create_and_a_backup_inside_of_the_log_is_refused()
    {
        using Scratch scratch = new();
        string log = scratch["log"], witness = scratch["witness"], inside = Path.Combine(log, "backup");
        foreach (string root in (string[])[log, witness]) Directory.CreateDirectory(Path.Combine(root, "lost+found"));
        await Programs.CreateLogAsync(log);
        Ended created = await Programs.RunAsync(Programs.Witness, "create", "--data", witness, "--name", "witness.example/w");
        Assert.True(created.ExitCode == 0, created.ToString());

        Ended refused = await Programs.RunAsync(Programs.Tool, "backup", log, inside);
        Assert.True(refused.ExitCode == 3, refused.ToString());
        Assert.Contains($"{inside} is inside of {log}", refused.Errors, StringComparison.Ordinal);
        Assert.False(Directory.Exists(inside));
        Ended fsck = await Programs.RunAsync(Programs.Tool, "fsck", log);
        Assert.True(fsck.ExitCode == 0, fsck.ToString());
    }
}
