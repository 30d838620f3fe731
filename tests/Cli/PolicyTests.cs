using System.Text;

namespace TransparencyLog.Tests.Cli;

public sealed class PolicyTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly MemoryLog _log = new(1, witnesses: 3);

    public void Dispose()
    {
        _log.Dispose();
        _scratch.Dispose();
    }

    [Fact]
    public async Task A_policy_is_said_in_words()
    {
        string[] keys = [.. _log.PolicyText().Split('\n').Where(line => line.StartsWith("witness ", StringComparison.Ordinal)).Select(line => line.Split(' ')[2])];
        string text = $"# ours\nlog {_log.Signer.Key} https://example.com/log\nwitness w0 {keys[0]} https://w0.example\n\twitness w1  {keys[1]}\nwitness w2 {keys[2]}\ngroup some any w0 w1\ngroup top 2 some w2\nquorum top\n";
        Tlog run = (await Tlog.RunAsync("policy", "check", _scratch.Write("policy", text))).Succeeds();
        Assert.Equal("", run.Error);
        Assert.Equal(
            [
                $"log example.com/log, key {_log.Signer.Key}, at https://example.com/log",
                $"witness w0, key {keys[0]}, at https://w0.example",
                $"witness w1, key {keys[1]}, no URL",
                $"witness w2, key {keys[2]}, no URL",
                "group some: at least 1 of w0, w1",
                "group top: at least 2 of some, w2",
                "quorum top: a checkpoint is believed once top cosigned it",
            ],
            run.Lines);
    }

    [Fact]
    public async Task A_quorum_of_none_is_warned_of()
    {
        Tlog run = (await Tlog.RunAsync(Encoding.UTF8.GetBytes($"log {_log.Signer.Key}\nquorum none\n"), ["policy", "check", "-"])).Succeeds();
        Assert.Contains("quorum none: no witness is needed", run.Lines);
        Assert.Contains("warning: the quorum is none", run.Error);
        run = (await Tlog.RunAsync("quorum none\n"u8.ToArray(), ["policy", "check", "-"])).Succeeds();
        Assert.Contains("accepts no checkpoint", run.Error);
    }

    [Theory]
    [InlineData("")]
    [InlineData("quorum\n")]
    [InlineData("log nonsense\nquorum none\n")]
    [InlineData("quorum none\r\n")]
    [InlineData("quorum later\n")]
    public async Task A_file_that_is_no_policy_is_exit_code_1(string text) =>
        (await Tlog.RunAsync("policy", "check", _scratch.Write("policy", text))).Fails(1, "policy: ");

    [Fact]
    public async Task A_missing_file_is_exit_code_2() => (await Tlog.RunAsync("policy", "check", _scratch["nothing"])).Fails(2, "nothing is not there");

    [Fact]
    public async Task Names_from_a_file_reach_the_terminal_without_control_characters()
    {
        string key = _log.PolicyText().Split('\n')[1].Split(' ')[2];
        byte[] text = [.. Encoding.UTF8.GetBytes($"log {_log.Signer.Key}\nwitness "), 0x9b, (byte)'2', (byte)'J', .. Encoding.UTF8.GetBytes($" {key}\nquorum none\n")];
        Tlog run = (await Tlog.RunAsync(text, ["policy", "check", "-"])).Succeeds();
        Assert.Contains("witness ?2J, key", run.Out);
    }
}
