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

    /// <summary>A number that was closed at the start is that of a file of the runtime when the tool looks at it.</summary>
    [Theory]
    [InlineData("policy check - <&-", 2, "standard input is closed or write-only: redirect it from a file or a pipe, or name a file instead of -")]
    [InlineData("policy check - 0>/dev/null", 2, "standard input is closed or write-only: redirect it from a file or a pipe, or name a file instead of -")]
    [InlineData("add http://127.0.0.1:1 <&-", 2, "standard input is closed or write-only: redirect it from a file or a pipe, or name a file instead of -")]
    [InlineData("policy check /dev/stdin <&-", 2, "/dev/stdin is closed or write-only: redirect it from a file or a pipe")]
    [InlineData("policy check /dev/fd/3", 2, "/dev/fd/3 is closed or write-only: redirect it from a file or a pipe")]
    [InlineData("prove http://127.0.0.1:1 0 --out /dev/fd/3", 2, "/dev/fd/3 cannot be written: it is closed or read-only; redirect it, or name a file")]
    [InlineData("--version >&-", 2, "standard output is closed or read-only: it carries the lines that programs read. Redirect it, to /dev/null if nothing reads it")]
    [InlineData("policy check - 1</dev/null", 2, "standard output is closed or read-only: it carries the lines that programs read. Redirect it, to /dev/null if nothing reads it")]
    [InlineData("--version 2>&-", 2, null)]
    [InlineData("policy check missing <&-", 2, "no such file: missing")]
    [InlineData("policy check - <&- >&- 2>&-", 2, null)]
    public async Task N21_a_standard_stream_that_is_closed_is_named_where_it_is_needed(string command, int code, string? message)
    {
        Ended ended = await Programs.RunAsync("/bin/sh", "-c", $"exec \"$0\" {command}", Programs.Tool);
        Assert.Equal(new Ended(code, "", message is null ? "" : $"tlog: {message}\n"), ended);
    }

    [Fact]
    public async Task N21_a_standard_stream_that_is_not_needed_may_be_closed_and_others_may_be_passed_on()
    {
        using Scratch scratch = new();
        await File.WriteAllTextAsync(scratch["policy"], "quorum none\n");
        foreach (string command in (string[])["policy check \"$1\" <&-", "policy check - < \"$1\"", "policy check /dev/fd/3 3< \"$1\"", "policy check /dev/stdin < \"$1\"", "policy check - <> \"$1\""])
        {
            Ended ended = await Programs.RunAsync("/bin/sh", "-c", $"exec \"$0\" {command}", Programs.Tool, scratch["policy"]);
            Assert.True(ended is { ExitCode: 0, Output: "quorum none: no witness is needed\n" }, $"{command}: {ended}");
        }
    }
}
