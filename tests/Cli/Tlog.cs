using System.Text;
using TransparencyLog.Cli;

namespace TransparencyLog.Tests.Cli;

/// <summary>One run of tlog in this process: what it wrote, and its exit code.</summary>
internal sealed record Tlog(int Code, byte[] Bytes, string Error)
{
    public string Out => Encoding.UTF8.GetString(Bytes);

    public string[] Lines => Out.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public static Task<Tlog> RunAsync(params string[] args) => RunAsync([], args);

    public static async Task<Tlog> RunAsync(byte[] input, string[] args, TimeProvider? time = null)
    {
        using MemoryStream stdin = new(input);
        using MemoryStream stdout = new();
        using StringWriter stderr = new();
        int code = await TransparencyLog.Cli.Program.RunAsync(args, new Surroundings(stdin, stdout, stderr, time ?? TimeProvider.System), TestContext.Current.CancellationToken);
        Tlog run = new(code, stdout.ToArray(), stderr.ToString());

        // Whatever happens: lines for people, no stack trace.
        Assert.DoesNotContain("   at ", run.Error);
        Assert.All(run.Error.Split('\n', StringSplitOptions.RemoveEmptyEntries), line => Assert.StartsWith("tlog: ", line));
        return run;
    }

    /// <summary>Requires a failure: the code, one line on standard error that holds a text, nothing on standard output.</summary>
    public void Fails(int code, string because)
    {
        Assert.Equal((code, ""), (Code, Out));
        Assert.Contains(because, Assert.Single(Error.Split('\n', StringSplitOptions.RemoveEmptyEntries)));
    }

    public Tlog Succeeds()
    {
        Assert.Equal((0, ""), (Code, Code == 0 ? "" : Error + Out));
        return this;
    }
}
