using System.Buffers.Binary;
using System.Net.Security;
using System.Security.Cryptography;
using System.Security.Cryptography.X509Certificates;
using System.Text;
using Microsoft.AspNetCore.Http;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

public sealed class HostileWitnessTests
{
    private const string LogName = "example.com/log";
    private static readonly ulong Now = (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();
    private static readonly Ed25519PrivateKey LogKey = Ed25519PrivateKey.Generate(), Foreign = Ed25519PrivateKey.Generate();
    private static readonly NoteSigner Log = new(LogName, LogKey);
    private static readonly byte[] Text = TextOf(LogName, 7);

    public static TheoryData<string> Byzantine => [.. BadLines.Keys];

    /// <summary>Lines that a byzantine witness may answer: each is dropped. The cosigner is the one that the log knows, the text and the signer are the log's.</summary>
    internal static readonly Dictionary<string, Func<ICosigner, byte[], INoteSigner, string>> BadLines = new()
    {
        ["a cosignature on another size"] = (known, text, _) => known.Cosign(Resized(text), Now).ToLine(),
        ["a cosignature on another origin"] = (known, _, _) => known.Cosign(TextOf("example.com/other", 7), Now).ToLine(),
        ["a key that nobody knows"] = (_, text, _) => new Cosigner("example.com/foreign", Foreign).Cosign(text, Now).ToLine(),
        ["another key under the known name"] = (known, text, _) => new Cosigner(known.Key.Name, Foreign).Cosign(text, Now).ToLine(),
        ["another key's signature under the known name and ID"] = (known, text, _) => Relabel(new Cosigner(known.Key.Name, Foreign).Cosign(text, Now), known.Key.Name, known.Key.KeyId),
        ["the known ID under another name"] = (known, text, _) => Relabel(known.Cosign(text, Now), "example.com/other", known.Key.KeyId),
        ["a flipped bit in the signature"] = (known, text, _) => Change(known.Cosign(text, Now), bytes => bytes[40] ^= 1),
        ["a flipped bit in the timestamp"] = (known, text, _) => Change(known.Cosign(text, Now), bytes => bytes[7] ^= 2),
        ["a timestamp of 1970"] = (known, text, _) => known.Cosign(text, 1).ToLine(),
        ["a timestamp in two days"] = (known, text, _) => known.Cosign(text, Now + (2 * 86_400)).ToLine(),
        ["a timestamp of two days ago"] = (known, text, _) => known.Cosign(text, Now - (2 * 86_400)).ToLine(),
        ["timestamp 0"] = (known, text, _) => Change(known.Cosign(text, Now), bytes => BinaryPrimitives.WriteUInt64BigEndian(bytes, 0)),
        ["timestamp 2^63"] = (known, text, _) => Change(known.Cosign(text, Now), bytes => BinaryPrimitives.WriteUInt64BigEndian(bytes, 1UL << 63)),
        ["no timestamp: a plain note signature"] = (known, text, _) => new NoteSignature(known.Key.Name, known.Key.KeyId, known.Cosign(text, Now).Signature[8..]).ToLine(),
        ["a signature that is cut"] = (known, text, _) => new NoteSignature(known.Key.Name, known.Key.KeyId, known.Cosign(text, Now).Signature[..^1]).ToLine(),
        ["a signature with a byte more"] = (known, text, _) => new NoteSignature(known.Key.Name, known.Key.KeyId, (byte[])[.. known.Cosign(text, Now).Signature.Span, 0]).ToLine(),
        ["an ML-DSA sized blob under the Ed25519 ID"] = (known, _, _) => new NoteSignature(known.Key.Name, known.Key.KeyId, new byte[2428]).ToLine(),
        ["the log's own line"] = (_, text, log) => log.Sign(text).ToLine(),
        ["the log's own name and ID over rubbish"] = (_, _, log) => new NoteSignature(log.Key.Name, log.Key.KeyId, new byte[64]).ToLine(),
    };

    [Theory]
    [MemberData(nameof(Byzantine))]
    public async Task G04_G05_a_line_that_is_not_a_cosignature_of_a_known_key_is_dropped(string what)
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        ICosigner known = witness.Cosigners[0];
        string bad = BadLines[what](known, Text, Log), good = known.Cosign(Text, Now).ToLine();

        witness.Behave = StubWitness.Says(200, bad);
        WitnessAnswer answer = await AskAsync(witness);
        Assert.Contains("none of its 1 lines", Assert.IsType<WitnessAnswer.Failed>(answer).Reason);

        foreach (string both in (string[])[bad + good, good + bad])
        {
            witness.Behave = StubWitness.Says(200, both);
            WitnessAnswer.Cosigned cosigned = Assert.IsType<WitnessAnswer.Cosigned>(await AskAsync(witness));
            Assert.Equal((good, 1), (Assert.Single(cosigned.Lines).ToLine(), cosigned.Dropped));
        }
    }

    public static TheoryData<string> ByzantineMlDsa => [.. BadMlDsaLines.Keys];

    /// <summary>The same of a key of type 0x06, whose signatures may be about subtrees.</summary>
    private static readonly Dictionary<string, Func<MlDsa44Cosigner, Checkpoint, string>> BadMlDsaLines = new()
    {
        ["a subtree with start 4"] = (known, checkpoint) => known.CosignSubtree(LogName, 4, checkpoint.Size, checkpoint.Root).ToLine(),
        ["the whole tree without a time"] = (known, checkpoint) => known.CosignSubtree(LogName, 0, checkpoint.Size, checkpoint.Root).ToLine(),
        ["a subtree that claims a time"] = (known, checkpoint) => Change(known.CosignSubtree(LogName, 4, checkpoint.Size, checkpoint.Root), bytes => BinaryPrimitives.WriteUInt64BigEndian(bytes, Now)),
        ["a cosignature on another size"] = (known, _) => known.Cosign(TextOf(LogName, 8), Now).ToLine(),
        ["a cosignature on another origin"] = (known, _) => known.Cosign(TextOf("example.com/other", 7), Now).ToLine(),
        ["a timestamp of 1970"] = (known, _) => known.Cosign(Text, 1).ToLine(),
        ["a timestamp in two days"] = (known, _) => known.Cosign(Text, Now + (2 * 86_400)).ToLine(),
        ["a changed timestamp"] = (known, _) => Change(known.Cosign(Text, Now), bytes => bytes[7] ^= 2),
        ["a flipped bit in the signature"] = (known, _) => Change(known.Cosign(Text, Now), bytes => bytes[2000] ^= 1),
        ["a signature with a byte more"] = (known, _) => new NoteSignature(known.Key.Name, known.Key.KeyId, (byte[])[.. known.Cosign(Text, Now).Signature.Span, 0]).ToLine(),
        ["an Ed25519 sized blob under the ML-DSA ID"] = (known, _) => new NoteSignature(known.Key.Name, known.Key.KeyId, new byte[72]).ToLine(),
    };

    [Theory]
    [MemberData(nameof(ByzantineMlDsa))]
    public async Task G04_CO15_a_line_of_an_ML_DSA_key_that_is_not_about_this_checkpoint_now_is_dropped(string what)
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness", postQuantum: true);
        MlDsa44Cosigner known = (MlDsa44Cosigner)witness.Cosigners[1];
        Assert.True(Checkpoint.TryParse(Text, out Checkpoint? checkpoint));
        string bad = BadMlDsaLines[what](known, checkpoint!), good = witness.Cosigners[0].Cosign(Text, Now).ToLine();
        witness.Behave = StubWitness.Says(200, bad + good);
        WitnessAnswer.Cosigned cosigned = Assert.IsType<WitnessAnswer.Cosigned>(await AskAsync(witness));
        Assert.Equal((good, 1), (Assert.Single(cosigned.Lines).ToLine(), cosigned.Dropped));

        // And the good one of the same key is taken.
        string both = known.Cosign(Text, Now).ToLine();
        witness.Behave = StubWitness.Says(200, good + both);
        Assert.Equal([good, both], Assert.IsType<WitnessAnswer.Cosigned>(await AskAsync(witness)).Lines.Select(line => line.ToLine()));
    }

    [Fact]
    public async Task G04_a_byzantine_line_is_never_published_nor_counted()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(2, "group g 2 a b\nquorum g\n");
        witnessed[1].Behave = (context, body) => StubWitness.SayAsync(
            context, 200, AddCheckpointResponse.ToBytes(witnessed[1].Cosigners[0].Cosign(TextOf(TestLog.Origin, 1), Now) is { } line ? [line, Relabelled(line, witnessed[0].Cosigners[0].Key)] : []));
        await witnessed.Log.AddAsync("one");
        await witnessed.Log.Logged.WaitAsync(4, "none of its 2 lines");
        await witnessed.Log.CheckLog(0);
        witnessed[1].Behave = witnessed[1].HonestlyAsync;
        await witnessed.Log.CheckLog(1);
    }

    [Fact]
    public async Task G05_a_hundred_thousand_lines_are_not_read()
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        byte[] line = Encoding.UTF8.GetBytes(witness.Cosigners[0].Cosign(Text, Now).ToLine());
        long sent = 0;
        witness.Behave = async (context, _) =>
        {
            for (int i = 0; i < 100_000; i++)
            {
                await context.Response.Body.WriteAsync(line, context.RequestAborted);
                sent += line.Length;
            }
        };
        Assert.Contains("more than 16384 bytes", Assert.IsType<WitnessAnswer.Failed>(await AskAsync(witness)).Reason);
        await Eventually.TrueAsync(() => sent > 0, "it has begun");
    }

    [Fact]
    public async Task G03_an_answer_that_drips_or_never_ends_is_cut_by_time()
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        byte[] good = Encoding.UTF8.GetBytes(witness.Cosigners[0].Cosign(Text, Now).ToLine());
        int cut = 0;
        witness.Behave = async (context, _) =>
        {
            try
            {
                foreach (byte one in good)
                {
                    await context.Response.Body.WriteAsync(new[] { one }, context.RequestAborted);
                    await context.Response.Body.FlushAsync(context.RequestAborted);
                    await Task.Delay(50, context.RequestAborted);
                }
            }
            catch (OperationCanceledException)
            {
                Interlocked.Increment(ref cut);
            }
        };
        Assert.Equal("no whole answer within 1 s", Assert.IsType<WitnessAnswer.Failed>(await AskAsync(witness)).Reason);
        await Eventually.TrueAsync(() => Volatile.Read(ref cut) == 1, "the connection was given up");
    }

    [Fact]
    public async Task G02_one_that_accepts_and_never_answers_is_cut_by_time()
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        witness.Behave = StubWitness.HangAsync;
        Assert.Equal("no whole answer within 1 s", Assert.IsType<WitnessAnswer.Failed>(await AskAsync(witness)).Reason);
    }

    [Theory]
    [InlineData(301)]
    [InlineData(302)]
    [InlineData(307)]
    [InlineData(308)]
    public async Task G09_a_redirect_is_not_followed(int status)
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        await using StubWitness other = await StubWitness.StartAsync(Log.Key, "example.com/other");
        foreach (string target in (string[])[other.Url + "add-checkpoint", "file:///etc/passwd", "http://169.254.169.254/", "nonsense\u0001"])
        {
            witness.Behave = (context, _) =>
            {
                context.Response.StatusCode = status;
                if (!target.Contains('\u0001')) context.Response.Headers.Location = target;
                return Task.CompletedTask;
            };
            Assert.Equal($"status {status}", Assert.IsType<WitnessAnswer.Failed>(await AskAsync(witness)).Reason);
        }

        Assert.Equal(0, other.RequestCount);
    }

    [Theory]
    [InlineData(400)]
    [InlineData(403)]
    [InlineData(404)]
    [InlineData(422)]
    [InlineData(429)]
    [InlineData(500)]
    [InlineData(503)]
    [InlineData(204)]
    public async Task Any_other_status_is_an_error_that_names_it_even_with_good_lines(int status)
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        string good = status == 204 ? "" : witness.Cosigners[0].Cosign(Text, Now).ToLine();
        witness.Behave = (context, _) =>
        {
            context.Response.StatusCode = status;
            return good.Length == 0 ? Task.CompletedTask : context.Response.WriteAsync(good);
        };
        Assert.Contains($"{status}", Assert.IsType<WitnessAnswer.Failed>(await AskAsync(witness)).Reason);
    }

    [Theory]
    [InlineData("")]
    [InlineData("\n")]
    [InlineData("ok\n")]
    [InlineData("<html></html>")]
    [InlineData("— example.com/witness AAAAAAAA")]
    public async Task A_200_that_is_not_signature_lines_is_an_error(string answer)
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        witness.Behave = StubWitness.Says(200, answer);
        Assert.Contains("200", Assert.IsType<WitnessAnswer.Failed>(await AskAsync(witness)).Reason);
    }

    [Fact]
    public async Task G11_two_keys_at_one_prefix_give_two_lines()
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness", keys: 2);
        string[] lines = [.. witness.Cosigners.Select(cosigner => cosigner.Cosign(Text, Now).ToLine())];
        witness.Behave = StubWitness.Says(200, lines[1] + lines[0] + lines[0]);
        WitnessAnswer.Cosigned cosigned = Assert.IsType<WitnessAnswer.Cosigned>(await AskAsync(witness));
        Assert.Equal(lines.Order(StringComparer.Ordinal), cosigned.Lines.Select(line => line.ToLine()).Order(StringComparer.Ordinal));
        Assert.Equal(1, cosigned.Dropped);
    }

    [Theory]
    [InlineData("http://127.0.0.1:1", "^the connection was refused$")]
    [InlineData("http://witness.invalid", "^its name cannot be resolved( now)?$")]
    [InlineData("https://127.0.0.1:1", "^the connection was refused$")]
    public async Task G01_one_that_cannot_be_reached_is_an_error_in_our_own_words(string url, string words)
    {
        using WitnessClient client = new(url, [Verifiers.TryCreate(new Cosigner("example.com/witness", Foreign).Key)!], new WitnessClientOptions());
        WitnessAnswer answer = await client.AddCheckpointAsync(Request(), CancellationToken.None);
        string reason = Assert.IsType<WitnessAnswer.Failed>(answer).Reason;
        Assert.StartsWith("no answer: ", reason);
        Assert.Matches(words, reason["no answer: ".Length..]);
    }

    [Fact]
    public async Task G10_a_certificate_that_nobody_vouches_for_is_refused()
    {
        using ECDsa key = ECDsa.Create(ECCurve.NamedCurves.nistP256);
        DateTimeOffset now = TimeProvider.System.GetUtcNow();
        using X509Certificate2 certificate = new CertificateRequest("CN=127.0.0.1", key, HashAlgorithmName.SHA256).CreateSelfSigned(now.AddDays(-1), now.AddDays(1));
        using System.Net.Sockets.TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        Task serving = Task.Run(async () =>
        {
            using System.Net.Sockets.TcpClient peer = await listener.AcceptTcpClientAsync();
            using SslStream tls = new(peer.GetStream());
            await Assert.ThrowsAnyAsync<Exception>(async () =>
            {
                await tls.AuthenticateAsServerAsync(certificate);

                // Whoever has shaken hands all the same is answered, and would be believed.
                await tls.ReadExactlyAsync(new byte[1]);
            });
        });
        using WitnessClient client = new($"https://{listener.LocalEndpoint}", [Verifiers.TryCreate(new Cosigner("example.com/witness", Foreign).Key)!], new WitnessClientOptions());
        WitnessAnswer answer = await client.AddCheckpointAsync(Request(), CancellationToken.None);
        Assert.Matches("^no answer: TLS: .*certificate", Assert.IsType<WitnessAnswer.Failed>(answer).Reason);
        await serving;
    }

    [Fact]
    public async Task An_answer_that_is_not_HTTP_is_an_error_that_repeats_none_of_it()
    {
        using System.Net.Sockets.TcpListener listener = new(System.Net.IPAddress.Loopback, 0);
        listener.Start();
        Task serving = Task.Run(async () =>
        {
            using System.Net.Sockets.TcpClient peer = await listener.AcceptTcpClientAsync();
            _ = await peer.GetStream().ReadAtLeastAsync(new byte[1], 1);
            await peer.GetStream().WriteAsync("EVIL 200 \u001b[31m\r\n\r\n"u8.ToArray());
        });
        using WitnessClient client = new($"http://{listener.LocalEndpoint}", [Verifiers.TryCreate(new Cosigner("example.com/witness", Foreign).Key)!], new WitnessClientOptions());
        WitnessAnswer answer = await client.AddCheckpointAsync(Request(), CancellationToken.None);
        Assert.DoesNotContain("EVIL", Assert.IsType<WitnessAnswer.Failed>(answer).Reason);
        await serving;
    }

    [Fact]
    public async Task Being_asked_to_stop_is_a_cancellation_and_not_an_answer()
    {
        await using StubWitness witness = await StubWitness.StartAsync(Log.Key, "example.com/witness");
        witness.Behave = StubWitness.HangAsync;
        using CancellationTokenSource stop = new();
        Task<WitnessAnswer> asking = AskAsync(witness, TimeSpan.FromSeconds(20), stop.Token);
        await Eventually.TrueAsync(() => witness.RequestCount == 1, "it is asked");
        await stop.CancelAsync();
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => asking);
    }

    private static async Task<WitnessAnswer> AskAsync(StubWitness witness, TimeSpan? limit = null, CancellationToken stop = default)
    {
        using WitnessClient client = new(
            witness.Url.ToString(), [.. witness.Cosigners.Select(cosigner => Verifiers.TryCreate(cosigner.Key)!)], new WitnessClientOptions { AttemptTimeout = limit ?? TimeSpan.FromSeconds(1) });
        return await client.AddCheckpointAsync(Request(), stop);
    }

    private static AddCheckpointRequest Request() => new(0, [], new Note(Text, [Log.Sign(Text)]).ToBytes());

    private static byte[] TextOf(string origin, long size) => new Checkpoint(origin, size, new Hash(Rfc6962.Leaf([(byte)size]))).ToText();

    /// <summary>The same checkpoint of another size.</summary>
    private static byte[] Resized(byte[] text) => Checkpoint.TryParse(text, out Checkpoint? checkpoint) ? new Checkpoint(checkpoint!.Origin, checkpoint.Size + 1, checkpoint.Root).ToText() : throw new FormatException("no checkpoint");

    private static string Relabel(NoteSignature line, string name, uint keyId) => new NoteSignature(name, keyId, line.Signature).ToLine();

    private static NoteSignature Relabelled(NoteSignature line, VerifierKey key) => new(key.Name, key.KeyId, line.Signature);

    private static string Change(NoteSignature line, Action<byte[]> change)
    {
        byte[] bytes = line.Signature.ToArray();
        change(bytes);
        return new NoteSignature(line.Name, line.KeyId, bytes).ToLine();
    }
}
