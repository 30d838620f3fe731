namespace TransparencyLog.Tests.Cli;

/// <summary>Help, version, usage: what every command has.</summary>
public sealed class ProgramTests
{
    public static TheoryData<string> Commands => ["keygen", "add", "get", "prove", "verify", "fsck", "policy", "policy check"];

    [Theory]
    [MemberData(nameof(Commands))]
    public async Task Every_command_has_help_and_version(string command)
    {
        Tlog help = (await Tlog.RunAsync([.. command.Split(' '), "--help"])).Succeeds();
        Assert.Contains("Usage:", help.Out);
        Assert.Equal("", help.Error);
        Tlog version = (await Tlog.RunAsync([.. command.Split(' '), "--version"])).Succeeds();
        Assert.Matches("^[0-9]+\\.[0-9]+\\.[0-9]+$", Assert.Single(version.Lines));
    }

    [Fact]
    public async Task Tlog_alone_has_help_that_lists_all_commands_and_the_exit_codes()
    {
        Tlog help = (await Tlog.RunAsync("--help")).Succeeds();
        foreach (string command in Commands) Assert.Contains(command.Split(' ')[0], help.Out);
        Assert.Contains("Exit codes", help.Out);
        (await Tlog.RunAsync("--version")).Succeeds();
        Assert.Contains("The index of a file is looked up in the level-0 tiles", (await Tlog.RunAsync("prove", "--help")).Out);
    }

    [Theory]
    [InlineData]
    [InlineData("frobnicate")]
    [InlineData("policy")]
    [InlineData("policy", "check")]
    [InlineData("keygen")]
    [InlineData("keygen", "--origin", "a")]
    [InlineData("keygen", "--origin", "a", "--out")]
    [InlineData("add")]
    [InlineData("add", "http://127.0.0.1:1", "--wait", "forever")]
    [InlineData("get", "http://127.0.0.1:1")]
    [InlineData("get", "http://127.0.0.1:1", "-1")]
    [InlineData("get", "http://127.0.0.1:1", "01")]
    [InlineData("get", "http://127.0.0.1:1", "x")]
    [InlineData("get", "ftp://127.0.0.1:1", "1")]
    [InlineData("prove", "http://127.0.0.1:1", "1")]
    [InlineData("verify", "nothing", "--entry", "nothing")]
    [InlineData("fsck")]
    [InlineData("fsck", "ftp://127.0.0.1/")]
    public async Task Wrong_usage_is_exit_code_2_and_one_line(params string[] args) => (await Tlog.RunAsync(args)).Fails(2, "tlog: ");

    [Fact]
    public async Task An_argument_that_begins_with_at_is_a_name_and_not_a_list_of_arguments() =>
        (await Tlog.RunAsync("add", "http://127.0.0.1:1", "@nothing")).Fails(2, "no such file: @nothing");

    [Theory]
    [InlineData("no such file: --wiat (did you mean the option --wait?)", "add", "http://127.0.0.1:1", "--wiat", "published")]
    [InlineData("no such file: --wiat=published (did you mean the option --wait?)", "add", "http://127.0.0.1:1", "--wiat=published")]
    [InlineData("no such file: --polcy (did you mean the option --policy?)", "prove", "http://127.0.0.1:1", "--polcy", "--out", "proof")]
    [InlineData("(did you mean the option --policy?)", "fsck", "--polciy")]
    [InlineData("not --versoin (did you mean the option --version?)", "get", "http://127.0.0.1:1", "--versoin")]
    [InlineData("unknown option --entri; the nearest is --entry (tlog --help)", "verify", "proof", "--entri", "x", "--entry", "x", "--policy", "x")]
    [InlineData("unknown option --orign; the nearest is --origin (tlog --help)", "keygen", "--orign=a", "--out", "key")]
    [InlineData("--entry lacks its value: --policy is an option (tlog --help)", "verify", "proof", "--entry", "--policy", "p")]
    [InlineData("--origin lacks its value: --out is an option (tlog --help)", "keygen", "--origin", "--out", "key")]
    public async Task An_option_that_is_misspelt_or_lacks_its_value_is_named(string message, params string[] args) => (await Tlog.RunAsync(args)).Fails(2, message);

    [Fact]
    public async Task After_two_dashes_everything_is_a_name() =>
        Assert.Equal("tlog: no such file: --wiat\n", (await Tlog.RunAsync("add", "http://127.0.0.1:1", "--", "--wiat")).Error);

    [Fact]
    public async Task N21_without_standard_input_nothing_is_sent()
    {
        using Scratch scratch = new();
        await File.WriteAllTextAsync(scratch["entry"], "hello");
        foreach (string[] args in (string[][])[["policy", "check", "-"], ["add", "http://127.0.0.1:1"], ["add", "http://127.0.0.1:1", scratch["entry"], "-"], ["add", "http://127.0.0.1:1", "--lines", scratch["entry"], "-"]])
        {
            using StringWriter error = new();
            int code = await TransparencyLog.Cli.Program.RunAsync(args, new TransparencyLog.Cli.Surroundings(null, Stream.Null, error, TimeProvider.System), default);
            Assert.Equal((2, "tlog: standard input is closed or write-only: redirect it from a file or a pipe, or name a file instead of -\n"), (code, error.ToString()));
        }
    }

    [Fact]
    public async Task A_log_that_cannot_be_reached_is_exit_code_4()
    {
        (await Tlog.RunAsync("get", "http://127.0.0.1:1", "1")).Fails(4, "cannot be reached");
        (await Tlog.RunAsync("fsck", "http://127.0.0.1:1")).Fails(4, "cannot be reached");
        (await Tlog.RunAsync("x"u8.ToArray(), ["add", "http://127.0.0.1:1"])).Fails(4, "cannot be reached");
    }

    [Fact]
    public async Task An_error_of_our_own_is_one_line_and_exit_code_4()
    {
        using StringWriter error = new();
        int code = await TransparencyLog.Cli.Program.RunAsync(["policy", "check", "-"], new TransparencyLog.Cli.Surroundings(new Broken(), Stream.Null, error, TimeProvider.System), default);
        Assert.Equal((4, "tlog: an error of tlog itself, please report it: FormatException: two\\nlines\n"), (code, error.ToString()));
    }

    private sealed class Broken : MemoryStream
    {
        public override ValueTask<int> ReadAsync(Memory<byte> buffer, CancellationToken cancellationToken = default) => throw new FormatException("two\nlines");
    }
}
