using System.Diagnostics;
using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Bench;

/// <summary>
/// Many logs that grow, asking one witness to cosign each of their checkpoints: every request is a larger tree with its consistency proof. The logs have keys
/// and origins of their own and the same entries, so that trees and proofs are made once; requests are signed before they are sent, outside the time measured.
/// </summary>
internal sealed class WitnessLoad : IDisposable
{
    /// <summary>Entries by which a tree grows from one checkpoint to the next: odd and not small, so that proofs have several hashes.</summary>
    private const int Step = 37;

    private readonly Ed25519PrivateKey[] _keys;
    private readonly NoteSigner[] _signers;
    private readonly int[] _steps;                 // [log]: how many of its checkpoints were signed
    private readonly Queue<byte[]>[] _requests;    // [log]: bodies that are not sent yet
    private readonly List<(Hash Root, Hash[] Proof)> _trees = [(MerkleHash.Empty, [])];
    private readonly RightEdge _edge = new();
    private readonly List<Hash> _leaves = [];

    public WitnessLoad(int logs)
    {
        _keys = [.. Enumerable.Range(0, logs).Select(_ => Ed25519PrivateKey.Generate())];
        _signers = [.. _keys.Select((key, i) => new NoteSigner(string.Create(CultureInfo.InvariantCulture, $"bench.example/log{i:D4}"), key))];
        _steps = new int[logs];
        _requests = [.. Enumerable.Range(0, logs).Select(_ => new Queue<byte[]>())];
    }

    /// <summary>How many logs.</summary>
    public int Logs => _signers.Length;

    /// <summary>The witness's list of logs.</summary>
    public string LogList => string.Concat(_signers.Select(signer => $"log {signer.Key}\n"));

    /// <summary>Signs checkpoints until each log has so many requests waiting.</summary>
    public void Prepare(int requestsALog)
    {
        int last = _steps.Max() + requestsALog;
        while (_trees.Count <= last) Grow();
        Parallel.For(0, _signers.Length, log =>
        {
            while (_requests[log].Count < requestsALog)
            {
                int step = ++_steps[log];
                (Hash root, Hash[] proof) = _trees[step];
                byte[] text = new Checkpoint(_signers[log].Key.Name, step * Step, root).ToText();
                byte[] note = new Note(text, [_signers[log].Sign(text)]).ToBytes();
                _requests[log].Enqueue(new AddCheckpointRequest((step - 1) * Step, proof, note).ToBytes());
            }
        });
    }

    /// <summary>
    /// Sends what was prepared over some connections, each with logs of its own (two checkpoints of one log are never under way together), until the time is over or
    /// all is sent. Cosignatures a second; every answer is 200, and the last one is verified.
    /// </summary>
    /// <param name="witness">Its URL.</param>
    /// <param name="key">Its vkey.</param>
    /// <param name="connections">How many requests are under way at once.</param>
    /// <param name="time">How long.</param>
    public (double Rate, long Requests) Run(Uri witness, VerifierKey key, int connections, TimeSpan time)
    {
        using Wire wire = new(witness, connections);
        byte[] head = Wire.Request(witness, "POST", "/add-checkpoint", 0);
        string template = Encoding.ASCII.GetString(head);
        byte[] buffer = new byte[AddCheckpointRequest.MaxSize + head.Length + 16];
        int[] turn = [.. Enumerable.Range(0, connections)]; // [connection]: the log that is next
        int[] under = new int[connections];
        byte[] sample = [];
        int sampleLog = -1;
        long answers = 0, underWay = 0, start = Stopwatch.GetTimestamp();
        void Send(int connection)
        {
            int log = turn[connection];
            if (Stopwatch.GetElapsedTime(start) >= time || !_requests[log].TryDequeue(out byte[]? body)) return;
            under[connection] = log;
            turn[connection] = log + connections < _signers.Length ? log + connections : connection;
            int length = Encoding.ASCII.GetBytes(template.Replace("Content-Length: 0", string.Create(CultureInfo.InvariantCulture, $"Content-Length: {body.Length}"), StringComparison.Ordinal), buffer);
            body.CopyTo(buffer, length);
            wire.Send(connection, buffer.AsSpan(0, length + body.Length));
            underWay++;
        }

        void Take(int connection, int status, ReadOnlySpan<byte> body)
        {
            if (status != 200) throw new InvalidOperationException($"add-checkpoint was answered with {status}: {Encoding.UTF8.GetString(body)}");
            answers++;
            underWay--;
            if (sampleLog < 0 || answers % 1000 == 0) (sample, sampleLog) = (body.ToArray(), under[connection]);
            Send(connection);
        }

        for (int connection = 0; connection < connections; connection++) Send(connection);
        while (underWay > 0) wire.Wait(1_000_000_000, Take);
        double seconds = Stopwatch.GetElapsedTime(start).TotalSeconds;
        Verify(sample, sampleLog, key);
        return (answers / seconds, answers);
    }

    public void Dispose()
    {
        foreach (Ed25519PrivateKey key in _keys) key.Dispose();
    }

    /// <summary>The answer is a cosignature of this witness under a checkpoint of this log: of one that was sent.</summary>
    private void Verify(byte[] answer, int log, VerifierKey key)
    {
        if (!AddCheckpointResponse.TryParse(answer, out IReadOnlyList<NoteSignature>? lines) || lines is null || lines.Count == 0) throw new InvalidOperationException("200 without a cosignature");
        INoteVerifier verifier = Verifiers.TryCreate(key)!;
        bool verified = Enumerable.Range(1, _steps[log]).Reverse()
            .Select(step => new Checkpoint(_signers[log].Key.Name, step * Step, _trees[step].Root).ToText())
            .Any(text => verifier.Verify(text, lines[0].Signature.Span));
        if (!verified) throw new InvalidOperationException("a cosignature that verifies under no checkpoint that was sent");
    }

    /// <summary>The next tree: 37 entries more, its root, and the proof that it extends the one before.</summary>
    private void Grow()
    {
        int from = _leaves.Count;
        for (int i = 0; i < Step; i++)
        {
            Hash leaf = MerkleHash.Leaf(BitConverter.GetBytes(_leaves.Count));
            _leaves.Add(leaf);
            _edge.Append(leaf, null);
        }

        Hash[] proof = [];
        if (from > 0)
        {
            ProofPlan plan = ProofPlan.Consistency(from, _leaves.Count);
            if (!plan.TryBuild(Tile, out proof)) throw new UnreachableException("a tile of another width");
        }

        _trees.Add((_edge.Root(), proof));
    }

    private ReadOnlyMemory<byte> Tile(TilePath path)
    {
        byte[] hashes = new byte[path.Width * Hash.Size];
        int below = 1 << (8 * path.Level);
        for (int i = 0; i < path.Width; i++)
        {
            int first = ((int)(path.Index * TilePath.FullWidth) + i) * below;
            Hash hash = path.Level == 0 ? _leaves[first] : MerkleHash.Root(System.Runtime.InteropServices.CollectionsMarshal.AsSpan(_leaves).Slice(first, below));
            hash.CopyTo(hashes.AsSpan(i * Hash.Size));
        }

        return hashes;
    }
}
