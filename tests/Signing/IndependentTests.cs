using System.Diagnostics;
using System.Security.Cryptography;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Signing;

/// <summary>Our ML-DSA-44 and an implementation of other people (tests/noble), each judging what the other made.</summary>
public sealed class IndependentTests
{
    private static readonly string Folder = Path.GetFullPath(Path.Combine(SigningVectors.Folder, "..", "..", "artifacts", "noble"));

    [Fact]
    public async Task K17_random_keys_and_messages_verify_in_both_directions()
    {
        // The second run of the tests, in another culture, takes fewer.
        int count = Environment.GetEnvironmentVariable("DEVTLOG_TEST_CULTURE") is null ? 1000 : 100;
        if (!Directory.Exists(Path.Combine(Folder, "node_modules"))) Assert.Skip("artifacts/noble has no packages: they need node and npm (make deps)");
        using Process node = Process.Start(new ProcessStartInfo("node", ["ml-dsa.mjs", $"{count}"])
        {
            WorkingDirectory = Folder,
            UseShellExecute = false,
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
        })!;
        List<(string Line, bool Expected)> ours = [];
        for (int i = 0; i < count; i++)
        {
            string line = await node.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken) ?? throw new InvalidOperationException("node ended early");
            byte[][] fields = [.. line.Split(' ').Select(Convert.FromHexString)];
            using MlDsa44PrivateKey key = MlDsa44PrivateKey.FromSeed(fields[0]);
            byte[] message = fields[3];

            // Theirs: the same key of the seed, the same deterministic signature, and the hedged one verifies.
            Assert.True(key.PublicKey.Span.SequenceEqual(fields[1]), line);
            Assert.True(key.IsExpandedTo(fields[2]), line);
            Assert.False(key.IsExpandedTo(Flipped(fields[2])), line);
            Assert.True(key.SignDeterministic(message).AsSpan().SequenceEqual(fields[4]), line);
            Assert.True(MlDsa44.Verify(fields[1], message, fields[5]), line);
            Assert.False(MlDsa44.Verify(fields[1], message, Flipped(fields[5])), line);
            if (i < 20) ReadBothForms(fields[0], fields[2]);

            // Ours, for them: a hedged one, and every tenth of them damaged.
            using MlDsa44PrivateKey own = MlDsa44PrivateKey.Generate();
            byte[] signature = own.Sign(message);
            bool whole = i % 10 != 0;
            ours.Add((string.Join(' ', Hex(own.PublicKey.Span), Hex(message), Hex(whole ? signature : Flipped(signature))), whole));
        }

        // Written and read at once: neither side waits for room in a pipe that the other does not empty.
        Task writing = Task.Run(async () =>
        {
            foreach ((string line, _) in ours) await node.StandardInput.WriteLineAsync(line);
            node.StandardInput.Close();
        });
        foreach ((string line, bool expected) in ours) Assert.True((expected ? "1" : "0") == await node.StandardOutput.ReadLineAsync(TestContext.Current.CancellationToken), line);
        await writing;
        await node.WaitForExitAsync(TestContext.Current.CancellationToken);
        Assert.Equal(0, node.ExitCode);
    }

    // RFC 9881 section 6: seed and expanded key, in a file.
    private static void ReadBothForms(byte[] seed, byte[] expanded)
    {
        using (MlDsa44PrivateKey key = KeyText.ReadAny(Pem(seed, expanded), "both").MlDsa44("both").Key)
        {
            byte[] same = new byte[32];
            key.ExportSeed(same);
            Assert.Equal(seed, same);
        }

        Assert.Contains("not that of its seed", Assert.Throws<KeyFileException>(() => KeyText.ReadAny(Pem(seed, Flipped(expanded)), "both")).Message);
        Assert.Contains("not that of its seed", Assert.Throws<KeyFileException>(() => KeyText.ReadAny(Pem(Flipped(seed), expanded), "both")).Message);

        static byte[] Pem(byte[] seed, byte[] expanded)
        {
            byte[] der =
            [
                .. Convert.FromHexString("30820a3e020100300b060960864801650304031104820a2a" + "30820a26" + "0420"), .. seed, .. Convert.FromHexString("04820a00"), .. expanded,
            ];
            return SigningVectors.Utf8($"-----BEGIN PRIVATE KEY-----\n{Convert.ToBase64String(der)}\n-----END PRIVATE KEY-----\n");
        }
    }

    private static string Hex(ReadOnlySpan<byte> bytes) => Convert.ToHexStringLower(bytes);

    private static byte[] Flipped(byte[] signature)
    {
        byte[] flipped = [.. signature];
        flipped[RandomNumberGenerator.GetInt32(flipped.Length)] ^= (byte)(1 << RandomNumberGenerator.GetInt32(8));
        return flipped;
    }
}
