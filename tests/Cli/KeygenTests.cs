using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Cli;

public sealed class KeygenTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    [Fact]
    public async Task A_key_is_written_for_its_owner_alone_and_its_vkey_printed()
    {
        Tlog run = (await Tlog.RunAsync("keygen", "--origin", "example.com/log", "--out", _scratch["key.pem"])).Succeeds();
        Assert.Equal("", run.Error);
        Assert.True(VerifierKey.TryParse(Encoding.UTF8.GetBytes(Assert.Single(run.Lines)), out VerifierKey? key));
        Assert.Equal(("example.com/log", VerifierKey.Ed25519), (key!.Name, key.SignatureType));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_scratch["key.pem"]));
        KeyFile file = KeyFile.Read(_scratch["key.pem"], "example.com/log");
        using Ed25519PrivateKey secret = file.Key;
        Assert.Equal(key.PublicKey, new NoteSigner("example.com/log", secret).Key.PublicKey);
        Assert.DoesNotContain("PRIVATE", run.Out);
    }

    [Fact]
    public async Task A_second_key_for_ML_DSA_is_made_with_the_type_of_cosignatures()
    {
        Tlog run = (await Tlog.RunAsync("keygen", "--origin", "example.com/log", "--out", _scratch["key.pem"], "--type", "ml-dsa-44")).Succeeds();
        Assert.True(VerifierKey.TryParse(Encoding.UTF8.GetBytes(Assert.Single(run.Lines)), out VerifierKey? key));
        Assert.Equal(("example.com/log", VerifierKey.MlDsa44Cosignature), (key!.Name, key.SignatureType));
        Assert.Equal(UnixFileMode.UserRead | UnixFileMode.UserWrite, File.GetUnixFileMode(_scratch["key.pem"]));
        using MlDsa44PrivateKey secret = KeyFile.ReadMlDsa44(_scratch["key.pem"], "example.com/log").Key;
        Assert.Equal(key, new MlDsa44Cosigner("example.com/log", secret).Key);
        (await Tlog.RunAsync("keygen", "--origin", "example.com/log", "--out", _scratch["other.pem"], "--type", "rsa")).Fails(2, "");
        Assert.False(File.Exists(_scratch["other.pem"]));
    }

    [Fact]
    public async Task A_key_is_never_overwritten()
    {
        _scratch.Write("key.pem", "precious");
        (await Tlog.RunAsync("keygen", "--origin", "example.com/log", "--out", _scratch["key.pem"])).Fails(2, "exists already");
        Assert.Equal("precious", File.ReadAllText(_scratch["key.pem"]));
    }

    [Theory]
    [InlineData("")]
    [InlineData("two words")]
    [InlineData("a+b")]
    [InlineData("a\nb")]
    public async Task A_name_that_no_key_can_have_is_refused(string origin)
    {
        (await Tlog.RunAsync("keygen", "--origin", origin, "--out", _scratch["key.pem"])).Fails(2, "");
        Assert.False(File.Exists(_scratch["key.pem"]));
    }

    [Fact]
    public async Task A_place_where_nothing_can_be_written_is_refused() =>
        (await Tlog.RunAsync("keygen", "--origin", "a", "--out", _scratch["no/such/folder"])).Fails(2, "cannot be written");
}
