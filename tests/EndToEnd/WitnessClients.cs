using System.Collections.Concurrent;
using System.Globalization;
using System.Net;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Tests.Witness;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>A log in memory that signs checkpoints with one key or several, and a fork of it. Safe for concurrent use.</summary>
internal sealed class FedLog
{
    private readonly Lock _gate = new(); // the trees remember hashes
    private readonly TestLog[] _keys, _forkedKeys;

    public FedLog(string origin, int leaves, int keys)
    {
        TestLog one = new(origin, leaves), other = one.Fork(0);
        _keys = [.. Enumerable.Range(0, keys).Select(one.WithKey)];
        _forkedKeys = [.. Enumerable.Range(0, keys).Select(other.WithKey)];
    }

    public string Origin => _keys[0].Origin;

    public string MonitorPath => _keys[0].MonitorPath;

    public string PolicyLines => string.Concat(_keys.Select(key => key.PolicyLine));

    public IEnumerable<INoteVerifier> Verifiers => _keys.Select(key => Signing.Verifiers.TryCreate(key.NoteSigner.Key)!);

    public string Text(long size)
    {
        lock (_gate) return _keys[0].Text(size);
    }

    /// <summary>An honest request.</summary>
    public string Request(long old, long size)
    {
        lock (_gate) return TestLog.Body(old, _keys[0].Proof(old, size), Signed(_keys, _keys[0].Text(size)));
    }

    /// <summary>The root of another tree, signed by the same keys, without a proof.</summary>
    public string Fork(long old, long size)
    {
        lock (_gate) return TestLog.Body(old, [], Signed(_forkedKeys, _forkedKeys[0].Text(size)));
    }

    private static string Signed(TestLog[] keys, string text) => $"{text}\n{string.Concat(keys.Select(key => key.NoteSigner.Sign(Encoding.UTF8.GetBytes(text)).ToLine()))}";
}

/// <summary>The newest size that was cosigned, and answered, for each origin.</summary>
internal sealed class Cosigned
{
    private readonly ConcurrentDictionary<string, long> _sizes = new(StringComparer.Ordinal);

    public Cosigned()
    {
    }

    public Cosigned(Cosigned before)
    {
        foreach ((string origin, long size) in before._sizes) _sizes[origin] = size;
    }

    /// <summary>-1 before the first.</summary>
    public long this[FedLog log]
    {
        get => _sizes.GetValueOrDefault(log.Origin, -1);
        set => _sizes[log.Origin] = value;
    }
}

/// <summary>The logs of one run. Afterwards the witness has to remember everything it has answered, and to cosign nothing beside it.</summary>
internal sealed class WitnessClients(WitnessScenario scenario) : IClients
{
    private readonly Cosigned _cosigned = new(scenario.Before);
    private volatile bool _refused;
    private int _underWay;

    public bool WasRefused => _refused;

    public IReadOnlyList<FedLog> Logs => scenario.Logs;

    /// <summary>What was answered so far.</summary>
    public Cosigned Cosigned => _cosigned;

    public Action? Promised { get; set; }

    public Task WorkAsync(RunningProgram program, ShimLog log) => scenario.Work(program, this, log);

    /// <summary>Offers the tree so many entries larger, or the same again. False when it was refused.</summary>
    public async Task<bool> FeedAsync(HttpClient http, FedLog log, int more = 1)
    {
        bool before = _refused;
        Interlocked.Increment(ref _underWay);
        long old = Math.Max(0, _cosigned[log]), size = old + more;
        (HttpStatusCode? status, string body) = await PostAsync(http, log.Request(old, size));
        if (status == HttpStatusCode.Conflict)
        {
            // It may remember what it did not live to answer; never less than it has answered.
            long known = long.Parse(body.TrimEnd('\n'), CultureInfo.InvariantCulture);
            if (known < _cosigned[log]) throw new CheckFailedException($"LOST: {log.Origin[..20]} was cosigned at size {old}, and the witness says {known}");
            size = known + more;
            (status, body) = await PostAsync(http, log.Request(known, size));
        }

        bool alone = Interlocked.Decrement(ref _underWay) == 0;
        if (status is null or HttpStatusCode.ServiceUnavailable)
        {
            _refused = true;
            return false;
        }

        if (status != HttpStatusCode.OK) throw new CheckFailedException($"WRONG answer to an honest request from size {old} to {size}: {status} {body}");
        CheckCosignature(log, size, body);
        _cosigned[log] = size;

        // A witness that has failed stays so until it is started again.
        if (before) throw new CheckFailedException($"IGNORED: size {size} was cosigned after a request had been refused");
        if (alone) Promised?.Invoke();
        return true;
    }

    /// <summary>Offers a fork, which has to be refused. Evidence of it is kept.</summary>
    public async Task ForkAsync(HttpClient http, FedLog log)
    {
        long size = _cosigned[log];
        if (size < 1) return;
        (HttpStatusCode? status, string body) = await PostAsync(http, log.Fork(size, size));
        if (status == HttpStatusCode.OK) throw new CheckFailedException($"FORKED: {log.Origin[..20]} was cosigned with two roots at size {size}");
        if (status is null or HttpStatusCode.ServiceUnavailable) _refused = true;
        else if (status != HttpStatusCode.UnprocessableEntity) throw new CheckFailedException($"WRONG answer to a fork at size {size}: {status} {body}");
    }

    /// <summary>A call that failed has to stop the witness, perhaps a moment later: a snapshot comes behind the answer.</summary>
    public async Task RefusesAsync(HttpClient http, ShimLog log)
    {
        bool failed = log.Hit() is ShimCall hit && Fault.Of(hit).Meaning == Meaning.Error && !Scenario.IsHarmless(log);
        if (!failed || _refused) return;
        bool refused = await Until.TrueAsync(async () => !await FeedAsync(http, scenario.Logs[0]), TimeSpan.FromSeconds(2));
        if (!refused) throw new CheckFailedException($"IGNORED: requests were cosigned after {log.Hit()} had failed");
    }

    public async Task CheckAsync(string folder, Func<RunningProgram> start)
    {
        await using RunningProgram witness = start();
        if (await witness.ListensAsync() is not Uri url)
        {
            Ended refused = await witness.EndAsync();
            throw new CheckFailedException($"{(refused.Errors.Contains(folder, StringComparison.Ordinal) ? "REFUSED" : "REFUSED-NAMELESS")} {refused}");
        }

        using HttpClient http = new() { BaseAddress = url };
        foreach (FedLog log in scenario.Logs)
        {
            long promised = _cosigned[log], size = await ShownAsync(http, log);
            if (size < promised) throw new CheckFailedException($"LOST: {log.Origin[..20]} was cosigned at size {promised}, and monitors are shown {size}");

            // What add-checkpoint says is the same: an old size that is not the newest gets that one.
            (HttpStatusCode? status, string body) = await PostAsync(http, log.Request(Math.Max(0, size) + 1, Math.Max(0, size) + 1));
            if (status != HttpStatusCode.Conflict || body != string.Create(CultureInfo.InvariantCulture, $"{Math.Max(0, size)}\n"))
            {
                throw new CheckFailedException($"LOST: monitors are shown size {size} of {log.Origin[..20]}, and add-checkpoint answers {status} {body}");
            }

            for (long forked = 1; forked <= Math.Min(2, size); forked++)
            {
                foreach (string request in new[] { log.Fork(0, forked), log.Fork(size, size), log.Fork(size, size + 1) })
                {
                    (status, body) = await PostAsync(http, request);
                    if (status is not (HttpStatusCode.Conflict or HttpStatusCode.UnprocessableEntity)) throw new CheckFailedException($"FORKED: {log.Origin[..20]} is at size {size}, and a fork of it was answered with {status} {body}");
                }
            }

            (status, body) = await PostAsync(http, log.Request(Math.Max(0, size), Math.Max(0, size) + 1));
            if (status != HttpStatusCode.OK) throw new CheckFailedException($"REFUSED a checkpoint after the restart: {status} {body}");
            CheckCosignature(log, size < 0 ? 1 : size + 1, body);
        }

        witness.Kill();
    }

    /// <summary>The size that monitors are shown, its tree checked; -1 for none.</summary>
    private async Task<long> ShownAsync(HttpClient http, FedLog log)
    {
        using HttpResponseMessage answer = await http.GetAsync(log.MonitorPath);
        if (answer.StatusCode == HttpStatusCode.NotFound) return -1;
        byte[] bytes = await answer.Content.ReadAsByteArrayAsync();
        if (answer.StatusCode != HttpStatusCode.OK || !Note.TryParse(bytes, out Note? note)
            || !Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint)
            || note.Verify([.. log.Verifiers, .. scenario.Verifiers]).Verified.Count != log.Verifiers.Count() + scenario.Verifiers.Count)
        {
            throw new CheckFailedException($"UNSIGNED checkpoint for monitors: {answer.StatusCode} {Encoding.UTF8.GetString(bytes)}");
        }

        return Encoding.UTF8.GetString(note.Text.Span) == log.Text(checkpoint.Size)
            ? checkpoint.Size
            : throw new CheckFailedException($"FORKED: monitors are shown {Encoding.UTF8.GetString(bytes)}, which the log never signed");
    }

    private void CheckCosignature(FedLog log, long size, string lines)
    {
        if (!AddCheckpointResponse.TryParse(Encoding.UTF8.GetBytes(lines), out IReadOnlyList<NoteSignature> signatures)
            || new Note(Encoding.UTF8.GetBytes(log.Text(size)), signatures).Verify(scenario.Verifiers).Verified.Count != scenario.Verifiers.Count)
        {
            throw new CheckFailedException($"UNSIGNED answer at size {size}: {lines}");
        }
    }

    /// <summary>Without a status there was no answer: the witness has gone.</summary>
    private static async Task<(HttpStatusCode? Status, string Body)> PostAsync(HttpClient http, string request)
    {
        try
        {
            using ByteArrayContent content = new(Encoding.UTF8.GetBytes(request));
            using HttpResponseMessage answer = await http.PostAsync("add-checkpoint", content);
            return (answer.StatusCode, await answer.Content.ReadAsStringAsync());
        }
        catch (Exception gone) when (gone is HttpRequestException or System.Net.Sockets.SocketException) // the second where the program ends between connecting and sending
        {
            return (null, gone.Message);
        }
    }
}
