using System.Globalization;

namespace TransparencyLog.Tests.Architecture;

/// <summary>
/// The suites run under a Turkish culture, where "i" has another capital. Without ICU, or under a misspelt name,
/// .NET takes the invariant culture without a word, and the run would prove nothing of it.
/// </summary>
public sealed class CultureTests
{
    [Fact]
    public void The_culture_is_the_one_the_runner_asked_for()
    {
        if (Environment.GetEnvironmentVariable("DEVTLOG_TEST_CULTURE") is not { Length: > 0 } asked) return;
        Assert.Equal(asked, CultureInfo.CurrentCulture.Name);
        Assert.Equal("\u0130", "i".ToUpper(CultureInfo.CurrentCulture));
    }
}
