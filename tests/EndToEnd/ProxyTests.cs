using System.Net;
using System.Text.RegularExpressions;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>Both servers after an nginx with its default settings: N-19.</summary>
public sealed partial class ProxyTests
{
    [Fact]
    public async Task N19_links_of_the_pages_stay_under_the_prefix_of_a_proxy()
    {
        if (Nginx.WhyNot is string missing) Assert.Skip(missing);
        await using BothServers servers = await BothServers.StartAsync();
        foreach (HostileTarget target in servers.Both)
        {
            await using Nginx nginx = await Nginx.StartAsync(target.Url, "/some/prefix/");
            using HttpClient http = new();
            string page = await http.GetStringAsync(nginx.Url);
            string[] links = [.. Link().Matches(page).Select(link => link.Groups["target"].Value)];
            Assert.True(links.Length >= 2, page);
            foreach (string link in links)
            {
                Uri resolved = new(nginx.Url, link);
                Assert.True(nginx.Url.IsBaseOf(resolved), $"{target.Name}: {link} leaves {nginx.Url}");
                using HttpResponseMessage answer = await http.GetAsync(resolved);
                Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{target.Name}: {resolved}: {answer.StatusCode}");
            }
        }
    }

    [GeneratedRegex(@"(?:href|src|action)=""(?<target>[^""]*)""", RegexOptions.ExplicitCapture, matchTimeoutMilliseconds: 60_000)]
    private static partial Regex Link();
}
