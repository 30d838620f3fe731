using System.Net;
using System.Net.Sockets;
using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Client;

/// <summary>A peer that resets connections as they are made: whatever the base library throws at that moment, it is the peer's trouble and named as such.</summary>
public sealed class ResetTests
{
    private const int Attempts = 200;

    [Fact]
    public async Task G01_a_witness_that_resets_every_connection_gives_a_failed_answer_each_time()
    {
        using TcpListener listener = new(IPAddress.Loopback, 0);
        listener.Start();
        using CancellationTokenSource end = new();
        Task resetting = ResetAsync(listener, end.Token);
        using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
        INoteVerifier verifier = Verifiers.TryCreate(VerifierKey.Create("witness.example", VerifierKey.Ed25519Cosignature, key.PublicKey.Span))!;
        using WitnessClient witness = new($"http://{listener.LocalEndpoint}/", [verifier], new WitnessClientOptions { AttemptTimeout = TimeSpan.FromSeconds(5) });
        AddCheckpointRequest request = new(0, [], "log.example\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n— log.example AAAAAAAA\n"u8.ToArray());
        for (int i = 0; i < Attempts; i++) Assert.IsType<WitnessAnswer.Failed>(await witness.AddCheckpointAsync(request, CancellationToken.None));
        await end.CancelAsync();
        await resetting;
    }

    private static async Task ResetAsync(TcpListener listener, CancellationToken stop)
    {
        try
        {
            while (true)
            {
                using Socket socket = await listener.AcceptSocketAsync(stop);
                socket.LingerState = new LingerOption(true, 0);
            }
        }
        catch (OperationCanceledException)
        {
            // The test is over.
        }
    }
}
