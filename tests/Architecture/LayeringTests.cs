using System.Xml.Linq;

namespace TransparencyLog.Tests.Architecture;

/// <summary>The arrows of the house: a new project reference has to be drawn here first.</summary>
public sealed class LayeringTests
{
    private static readonly Dictionary<string, string[]> Allowed = new(StringComparer.Ordinal)
    {
        ["TransparencyLog"] = [],
        ["TransparencyLog.Signing"] = ["TransparencyLog"],
        ["TransparencyLog.Storage"] = ["TransparencyLog"],
        ["TransparencyLog.Store"] = ["TransparencyLog"],
        ["TransparencyLog.Outbound"] = [],
        ["TransparencyLog.Client"] = ["TransparencyLog.Outbound", "TransparencyLog.Signing"],
        ["TransparencyLog.Hosting"] = ["TransparencyLog.Outbound", "TransparencyLog.Signing", "TransparencyLog.Storage"],
        ["TransparencyLog.Server"] = ["TransparencyLog.Client", "TransparencyLog.Hosting", "TransparencyLog.Storage"],
        ["TransparencyLog.Cli"] = ["TransparencyLog.Client", "TransparencyLog.Outbound", "TransparencyLog.Storage"],
        ["TransparencyLog.Witness"] = ["TransparencyLog.Hosting", "TransparencyLog.Outbound", "TransparencyLog.Signing", "TransparencyLog.Storage"],
    };

    [Fact]
    public void Project_references_are_the_arrows_of_the_house_and_no_others()
    {
        string root = Repository.Root;
        Dictionary<string, string[]> found = new[] { "src", "witness" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(root, folder), "*.csproj", SearchOption.AllDirectories))
            .ToDictionary(
                project => Path.GetFileNameWithoutExtension(project),
                project => XDocument.Load(project).Descendants("ProjectReference")
                    .Select(reference => Path.GetFileNameWithoutExtension(reference.Attribute("Include")!.Value.Replace('\\', '/')))
                    .Order(StringComparer.Ordinal).ToArray(),
                StringComparer.Ordinal);

        Assert.Equal(Allowed.Keys.Order(StringComparer.Ordinal), found.Keys.Order(StringComparer.Ordinal));
        foreach ((string project, string[] references) in found)
        {
            Assert.Equal(Allowed[project], references);
        }
    }

    [Fact]
    public void Core_uses_the_base_library_alone()
    {
        XDocument core = XDocument.Load(Path.Combine(Repository.Root, "src/Core/TransparencyLog.csproj"));
        Assert.Empty(core.Descendants("PackageReference"));
        Assert.Empty(core.Descendants("FrameworkReference"));

        string[] forbidden = ["System.IO", "System.Net", "System.Threading.Tasks", "Microsoft.Extensions", "RandomNumberGenerator", "TimeProvider", "async "];
        string[] files = Directory.GetFiles(Path.Combine(Repository.Root, "src/Core"), "*.cs", SearchOption.AllDirectories);
        Assert.NotEmpty(files);
        foreach (string file in files)
        {
            foreach (string line in File.ReadLines(file).Where(line => !line.TrimStart().StartsWith("//", StringComparison.Ordinal)))
            {
                Assert.DoesNotContain(forbidden, word => line.Contains(word, StringComparison.Ordinal));
            }
        }
    }

    /// <summary>N-16, N-21: a handler made elsewhere would keep connections for ever, and go to loopback through a proxy.</summary>
    [Fact]
    public void N16_every_HttpClient_has_the_handler_of_Outbound()
    {
        IEnumerable<string> made = new[] { "src", "witness" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => File.ReadAllText(file) is string text && (text.Contains("new HttpClient(", StringComparison.Ordinal) || text.Contains("new SocketsHttpHandler", StringComparison.Ordinal)
                || text.Contains("new HttpClientHandler", StringComparison.Ordinal) || text.Contains("SocketsHttpHandler MakeHandler() => new()", StringComparison.Ordinal)))
            .Select(file => Path.GetRelativePath(Repository.Root, file));
        Assert.Equal(["src/Outbound/Connections.cs"], made);
    }

    [Fact]
    public void Native_code_stays_in_its_named_files()
    {
        string[] allowed = ["src/Hosting/Logging/Descriptor.cs", "src/Signing/LibCrypto.cs", "src/Storage/Posix.cs"];
        IEnumerable<string> native = new[] { "src", "witness" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => File.ReadAllText(file) is string text && (text.Contains("LibraryImport", StringComparison.Ordinal) || text.Contains("DllImport", StringComparison.Ordinal)))
            .Select(file => Path.GetRelativePath(Repository.Root, file))
            .Order(StringComparer.Ordinal);
        Assert.Equal(allowed, native);
    }

    /// <summary>N-08, N-18: what a program says to people is escaped, and never waits for a reader. A line that is written past the doors would be neither.</summary>
    [Theory]
    [InlineData("Console.Error", "src/Cli/Program.cs")]
    [InlineData("Console.Out", "src/Server/Commands.cs witness/Commands.cs")] // the vkeys of create, byte for byte
    [InlineData("Console.Write", "")]
    [InlineData("OpenStandardError", "")]
    [InlineData("AddSimpleConsole", "")]
    [InlineData("CreateSlimBuilder", "")]
    [InlineData("WebApplication.CreateBuilder", "")]
    public void Programs_write_to_standard_streams_and_make_web_servers_at_their_doors_alone(string call, string doors)
    {
        IEnumerable<string> found = new[] { "src", "witness" }
            .SelectMany(folder => Directory.EnumerateFiles(Path.Combine(Repository.Root, folder), "*.cs", SearchOption.AllDirectories))
            .Where(file => File.ReadLines(file).Any(line => line.Contains(call, StringComparison.Ordinal) && !line.TrimStart().StartsWith("//", StringComparison.Ordinal)))
            .Select(file => Path.GetRelativePath(Repository.Root, file))
            .Order(StringComparer.Ordinal);
        Assert.Equal(doors.Split(' ', StringSplitOptions.RemoveEmptyEntries), found);
    }
}
