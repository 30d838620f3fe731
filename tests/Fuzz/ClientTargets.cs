// What a log or a witness may answer to our clients, over a connection of this machine.

using System.Net;
using System.Net.Sockets;
using System.Text;
using TransparencyLog.Client;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of the clients: whatever the other side answers, they say what is wrong in their own words, and believe only what holds.</summary>
internal static class ClientTargets
{
    /// <summary>The statuses that are tried: each has a meaning of its own for one of the clients, and none is asked again after a pause.</summary>
    private static readonly string[] Statuses = ["200 OK", "202 Accepted", "400 Bad Request", "403 Forbidden", "404 Not Found", "409 Conflict", "422 Unprocessable", "451 Unavailable"];

    /// <summary>Not one of ours to name: it is internal there.</summary>
    private static readonly Type LogHttp = typeof(LogReader).Assembly.GetType("TransparencyLog.Client.LogHttp", throwOnError: true)!;

    private static readonly Checkpoint At = new(World.Origin, World.Entries, World.Tree.Root(World.Entries));

    /// <summary>LogReader: a byte that says what is asked for, one for status, content type, coding and whether the first line is a Retry-After, then the body of the answer.</summary>
    public static Target LogAnswer(string name)
    {
        Stub stub = new();
        LogReader reader = new(stub.Url, new LogReaderOptions { RetryDelay = TimeSpan.Zero });
        return new Target(name, input => Ask(reader, stub, input), typeof(LogReader), LogHttp, typeof(ProofVerifier), typeof(CheckpointCheck))
        {
            Seeds =
            [
                [0, 0, .. World.Note(7)], [1, 0, .. World.Note(8)], [2, 0, .. new byte[44 * Hash.Size]], [3, 0, .. Enumerable.Repeat((byte[])[0, 1, 65], 44).SelectMany(entry => entry)], [4, 0, .. "entry 7"u8],
                [5, 0, .. World.Proof(7, 9)], [6, 0, .. Encoding.ASCII.GetBytes(string.Concat(World.Tree.Proof(1, 3).Select(hash => hash.ToBase64() + "\n")))], [7, 0, .. "12"u8], [8, 0, .. World.Proof(7, 300)], [8, 1, .. "7"u8],
                [9, 0, .. "1\n2\n3\n"u8], [5, 4], [7, 2 + 8, .. """{"title":"Bad","detail":"no","status":400}"""u8], [4, 16, .. Gzip("entry 7"u8.ToArray())], [7, 2 + 32, .. "7\n"u8],
            ],
            Words = ["{\"detail\":\""u8.ToArray(), "\"}"u8.ToArray(), "\\ud800"u8.ToArray(), "\\u0000"u8.ToArray()],
            Allocation = 4 * 1024 * 1024, // of the base library, a request and its connection
            AllocationPerByte = 200,
            MaxLength = 64 * 1024,
            Time = TimeSpan.FromMilliseconds(50),
        };
    }

    /// <summary>WitnessClient: a byte for the status, then the body of the answer.</summary>
    public static Target WitnessAnswer(string name)
    {
        Stub stub = new();
        WitnessClient client = new(stub.Url, [World.Verifiers[1]], new WitnessClientOptions { Time = new Then() });
        AddCheckpointRequest request = new(0, [], World.Note(5));
        return new Target(name, input => Cosign(client, request, stub, input), typeof(WitnessClient), typeof(AddCheckpointResponse), typeof(NoteSignature))
        {
            Seeds =
            [
                [0, .. World.Utf8(World.Witness.Cosign(World.Text(5), 1_700_000_000).ToLine())], [0, .. World.Utf8(World.Witness.Cosign(World.Text(5), 1_700_000_000).ToLine() + World.Log.Sign(World.Text(5)).ToLine())],
                [5, .. "7\n"u8], [5], [4], [3],
            ],
            Words = [World.Utf8("— "), World.Utf8(World.Witness.Cosign(World.Text(5), 1).ToLine()), World.Utf8(World.Witness.Cosign(World.Text(6), 1_700_000_000).ToLine())],
            Allocation = 4 * 1024 * 1024,
            AllocationPerByte = 200,
            MaxLength = 20 * 1024,
            Time = TimeSpan.FromMilliseconds(50),
        };
    }

    private static void Ask(LogReader reader, Stub stub, byte[] input)
    {
        if (input.Length < 2) return;
        string headers = (input[1] & 8) != 0 ? "Content-Type: application/problem+json\r\n" : "Content-Type: text/plain\r\n";
        if ((input[1] & 16) != 0) headers += "Content-Encoding: gzip\r\n";
        ReadOnlySpan<byte> body = input.AsSpan(2);
        if ((input[1] & 32) != 0 && body.IndexOf((byte)'\n') is int end and >= 0)
        {
            headers += $"Retry-After: {Encoding.Latin1.GetString(body[..end]).Replace('\r', ' ')}\r\n";
            body = body[(end + 1)..];
        }

        stub.Answer(Statuses[input[1] % 8], headers, body);
        try
        {
            Ask(reader, input[0] % 10);
        }
        catch (LogReaderException refusal)
        {
            Require(NoteTargets.IsPrintable(refusal.Message), "a refusal that is not one line of printable ASCII");
        }
    }

    private static void Ask(LogReader reader, int what)
    {
        switch (what)
        {
            case 0:
                VerifiedCheckpoint verified = Wait(reader.ReadCheckpointAsync(World.Policy, CancellationToken.None));
                Require(World.Signed.Contains(Encoding.UTF8.GetString(verified.Checkpoint.ToText())), "a checkpoint is believed that was never signed");
                break;
            case 1:
                Require(Wait(reader.ReadUnverifiedCheckpointAsync(CancellationToken.None)).Checkpoint.Size >= 0, "a checkpoint beyond its limits");
                break;
            case 2:
                Require(Wait(reader.ReadTileAsync(0, 1, At, CancellationToken.None)).Length == (World.Entries - 256) * Hash.Size, "a tile of another width");
                break;
            case 3:
                Require(EntryBundle.TryCount(Wait(reader.ReadBundleAsync(1, At, CancellationToken.None)), out int count) && count == World.Entries - 256, "a bundle of another width");
                break;
            case 4:
                Require(Wait(reader.TryReadEntryAsync(7, CancellationToken.None)) is not { Length: > EntryBundle.MaxEntrySize }, "an entry beyond its limit");
                break;
            case 5:
                Require(Wait(reader.TryReadProofAsync(7, CancellationToken.None)) is null or { Index: 7 }, "a proof of another index");
                break;
            case 6:
                Require(Wait(reader.TryReadConsistencyAsync(1, 3, CancellationToken.None)) is not { Length: > TransparencyLog.MerkleProof.MaxLength + 1 }, "a proof beyond its limit");
                break;
            case 7:
                Require(Wait(reader.AddAsync(World.Entry(7), AddWait.Durable, CancellationToken.None)) is { Index: >= 0, Proof: null }, "an index below zero");
                break;
            case 8:
                AddAnswer answer = Wait(reader.AddAsync(World.Entry(7), AddWait.Witnessed, CancellationToken.None));
                Require(answer.Index >= 0 && (answer.Proof is null || answer.Proof.Index == answer.Index), "a proof of another index");
                break;
            default:
                Require(Wait(reader.AddBatchAsync("\0\u0001a\0\u0001b\0\u0001c"u8.ToArray(), 3, CancellationToken.None)) is { Length: 3 } indexes && Array.TrueForAll(indexes, index => index >= 0), "not an index for each entry");
                break;
        }
    }

    private static void Cosign(WitnessClient client, AddCheckpointRequest request, Stub stub, byte[] input)
    {
        if (input.Length < 1) return;
        stub.Answer(Statuses[input[0] % 8], "Content-Type: text/plain\r\n", input.AsSpan(1));
        WitnessAnswer answer = Wait(client.AddCheckpointAsync(request, CancellationToken.None));
        switch (answer)
        {
            case WitnessAnswer.Cosigned cosigned:
                NoteSignature line = cosigned.Lines.Count == 1 ? cosigned.Lines[0] : throw new OracleException("one key, and not one line");
                Require(line.Equals(World.Witness.Cosign(World.Text(5), 1_700_000_000)), "a cosignature is believed that the witness did not make of this checkpoint now");
                break;
            case WitnessAnswer.Conflict conflict:
                Require(conflict.Size >= 0, "a size below zero");
                break;
            case WitnessAnswer.Failed failed:
                Require(NoteTargets.IsPrintable(failed.Reason), "a reason that is not one line of printable ASCII");
                break;
        }
    }

    private static T Wait<T>(Task<T> task) => task.GetAwaiter().GetResult();

    private static byte[] Gzip(byte[] bytes)
    {
        using MemoryStream packed = new();
        using (System.IO.Compression.GZipStream gzip = new(packed, System.IO.Compression.CompressionLevel.Fastest)) gzip.Write(bytes);
        return packed.ToArray();
    }

    /// <summary>The time of the cosignatures here.</summary>
    private sealed class Then : TimeProvider
    {
        public override DateTimeOffset GetUtcNow() => DateTimeOffset.FromUnixTimeSeconds(1_700_000_001);
    }

    /// <summary>A server that answers every request with what it was told last. Lives as long as the process.</summary>
    private sealed class Stub
    {
        private readonly TcpListener _listener = new(IPAddress.Loopback, 0);
        private byte[] _answer = [];

        public Stub()
        {
            _listener.Start();
            new Thread(Accept) { IsBackground = true }.Start();
        }

        public string Url => $"http://{_listener.LocalEndpoint}";

        public void Answer(string status, string headers, ReadOnlySpan<byte> body) =>
            Volatile.Write(ref _answer, [.. Encoding.Latin1.GetBytes(FormattableString.Invariant($"HTTP/1.1 {status}\r\n{headers}Content-Length: {body.Length}\r\n\r\n")), .. body]);

        private void Accept()
        {
            while (true)
            {
                Socket socket = _listener.AcceptSocket();
                socket.NoDelay = true;
                new Thread(() => Serve(socket)) { IsBackground = true }.Start();
            }
        }

        private void Serve(Socket socket)
        {
            byte[] buffer = new byte[64 * 1024];
            int held = 0;
            try
            {
                while (true)
                {
                    int read = socket.Receive(buffer, held, buffer.Length - held, SocketFlags.None);
                    if (read == 0) return;
                    held += read;
                    int head = buffer.AsSpan(0, held).IndexOf("\r\n\r\n"u8);
                    if (head < 0 || held < head + 4 + Length(Encoding.ASCII.GetString(buffer, 0, head))) continue;
                    held = 0;
                    socket.Send(Volatile.Read(ref _answer));
                }
            }
            catch (SocketException)
            {
                // The client has closed: what it was sent was more than it takes.
            }
        }

        private static int Length(string head)
        {
            string? line = head.Split("\r\n").FirstOrDefault(line => line.StartsWith("Content-Length: ", StringComparison.OrdinalIgnoreCase));
            return line is null ? 0 : int.Parse(line.AsSpan(16), System.Globalization.NumberStyles.None, System.Globalization.CultureInfo.InvariantCulture);
        }
    }
}
