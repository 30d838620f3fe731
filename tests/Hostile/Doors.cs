// Every place where text of strangers comes in, asked the same question: accept, refuse, or (for a line) ignore.
//
//     core       the parsers of src/Core, and verification
//     witness    tlog-witness over HTTP: add-checkpoint; its list of logs at the start
//     log        what tlog-server does with a witness's answer; its policy at the start
//     reader     LogReader, the client of a log
//     verify     tlog verify, offline
//     check      tlog policy check

using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Signing;
using TransparencyLog.Storage;
using TransparencyLog.Tests.Cli;
using TransparencyLog.Tests.Client;
using TransparencyLog.Tests.Witness;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Hostile;

/// <summary>All doors, with the servers behind them.</summary>
internal sealed class Doors : IAsyncDisposable
{
    private const string Accept = "accept", Refuse = "refuse", Ignore = "ignore";

    private readonly string _root = Directory.CreateTempSubdirectory("tlog-doors-").FullName;
    private readonly TestWitness _witness = TestWitness.Create();
    private readonly StubLog _stub;
    private readonly WitnessClient _client;

    private Doors()
    {
        _stub = new StubLog(Words.Log.Files);
        _client = new WitnessClient(_stub.Url, [Verifiers.TryCreate(Words.Witness.Key)!], new WitnessClientOptions { AttemptTimeout = TimeSpan.FromSeconds(20) });
    }

    public Words Words { get; } = new();

    public static async Task<Doors> OpenAsync()
    {
        Doors doors = new();
        await File.WriteAllTextAsync(doors._witness.LogsFile, $"log {doors.Words.Log.Signer.Key}\n");
        await doors._witness.StartAsync();
        await File.WriteAllBytesAsync(doors.PathOf("entry"), doors.Words.Log.Entries[0]);
        await File.WriteAllTextAsync(doors.PathOf("policy"), doors.Words.Policy(witnessed: false));
        await File.WriteAllTextAsync(doors.PathOf("witnessed"), doors.Words.Policy(witnessed: true));
        Assert.Equal(200, (await doors._witness.PostAsync($"old 0\n\n{Encoding.UTF8.GetString(doors.Words.Note)}")).Status);
        return doors;
    }

    /// <summary>What each door says, by its name.</summary>
    public async Task<Dictionary<string, string>> AskAsync(TextCase one)
    {
        byte[] text = Words.Expand(one.Text);
        return one.Kind switch
        {
            "note" => new()
            {
                ["core"] = Said(Note.TryParse(text, out Note? note) && note!.Verify([Verifiers.TryCreate(Words.Log.Signer.Key)!]).Status == NoteStatus.Verified && Checkpoint.TryParse(note.Text.Span, out _)),
                ["witness"] = await WitnessAsync([.. "old 5\n\n"u8, .. text]),
                ["reader"] = await ReaderAsync(text),
                ["verify"] = await VerifyAsync(Words.ProofWith(text), "policy") == Accept ? Accept : Refuse,
            },
            "line" => new()
            {
                ["core"] = !AddCheckpointResponse.TryParse(text, out IReadOnlyList<NoteSignature> lines) ? Refuse
                    : new Note(Words.Text, lines).Verify([Verifiers.TryCreate(Words.Witness.Key)!]).Status == NoteStatus.Verified ? Accept : Ignore,
                ["log"] = await LogAsync(text),
                ["witness"] = await WitnessAsync([.. "old 5\n\n"u8, .. Words.Note, .. text]),
                ["reader"] = await ReaderAsync([.. Words.Note, .. text]),
                ["verify"] = await VerifyAsync(Words.ProofWith([.. Words.Note, .. text]), "witnessed"),
            },
            "number" => await NumberAsync(text),
            "hash" => await HashAsync(text),
            "body" => new()
            {
                ["core"] = Said(AddCheckpointRequest.TryParse(text, out AddCheckpointRequest? request, out _) && Note.TryParse(request!.Checkpoint.Span, out Note? sent) && Checkpoint.TryParse(sent!.Text.Span, out _)),
                ["witness"] = await WitnessAsync(text),
            },
            "vkey" => new()
            {
                ["core"] = Said(VerifierKey.TryParse(text, out VerifierKey? key) && Verifiers.TryCreate(key!) is not null),
                ["witness"] = WitnessList([.. "log "u8, .. text, (byte)'\n']),
                ["check"] = await CheckAsync([.. "log "u8, .. text, .. "\nquorum none\n"u8]),
                ["verify"] = await PolicyVerifyAsync([.. "log "u8, .. text, .. "\nquorum none\n"u8]),
            },
            "policy" => new()
            {
                ["core"] = Said(Policy.TryParse(text, out _, out _)),
                ["check"] = await CheckAsync(text),
                ["verify"] = await PolicyVerifyAsync(text),
                ["log"] = LogPolicy(text),
            },
            "proof" => new()
            {
                ["core"] = Said(TlogProof.TryParse(text, out TlogProof? proof) && Note.TryParse(proof!.Checkpoint.Span, out Note? of) && Checkpoint.TryParse(of!.Text.Span, out Checkpoint? at)
                    && MerkleProof.VerifyInclusion(MerkleHash.Leaf(Words.Log.Entries[0]), proof.Index, at!.Size, [.. proof.Hashes], at.Root)),
                ["reader"] = ProofVerifierSays(text),
                ["verify"] = (await Tlog.RunAsync("verify", Write("proof", text), "--entry", PathOf("entry"), "--policy", PathOf("policy"))).Code == 0 ? Accept : Refuse,
            },
            _ => throw new InvalidDataException(one.Kind),
        };
    }

    /// <summary>A size wherever one stands: in a checkpoint, before a proof, in a refusal, in a proof.</summary>
    private async Task<Dictionary<string, string>> NumberAsync(byte[] number)
    {
        byte[] note = Words.Expand("{origin}\\n" + Escape(number) + "\\n{root}\\n\\n{line}");
        _stub.Planted["add-checkpoint"] = _ => new StubAnswer(409, [.. number, (byte)'\n'], AddCheckpointResponse.SizeContentType);
        return new()
        {
            ["core"] = Said(Note.TryParse(note, out Note? parsed) && Checkpoint.TryParse(parsed!.Text.Span, out _)),
            ["witness"] = await WitnessAsync([.. "old 5\n\n"u8, .. note]),
            ["old"] = await WitnessAsync([.. "old "u8, .. number, .. "\n\n"u8, .. note]),
            ["log"] = Said(await _client.AddCheckpointAsync(new AddCheckpointRequest(0, [], Words.Note), default) is WitnessAnswer.Conflict),
            ["reader"] = await ReaderAsync(note),
            ["verify"] = await VerifyAsync([.. "c2sp.org/tlog-proof@v1\nindex "u8, .. number, .. "\n\n"u8, .. Words.Note], "policy"),
        };
    }

    /// <summary>A hash wherever one stands: the root of a checkpoint, a line of a consistency proof, a line of an inclusion proof.</summary>
    private async Task<Dictionary<string, string>> HashAsync(byte[] hash)
    {
        byte[] note = Words.Expand("{origin}\\n5\\n" + Escape(hash) + "\\n\\n{line}");
        return new()
        {
            ["core"] = Said(Note.TryParse(note, out Note? parsed) && Checkpoint.TryParse(parsed!.Text.Span, out _)),
            ["witness"] = await WitnessAsync([.. "old 5\n\n"u8, .. note]),
            ["proof"] = await WitnessAsync([.. "old 5\n"u8, .. hash, .. "\n\n"u8, .. Words.Note]),
            ["reader"] = await ReaderAsync(note),
            ["verify"] = await VerifyAsync([.. "c2sp.org/tlog-proof@v1\nindex 0\n"u8, .. hash, .. "\n\n"u8, .. Words.Note], "policy"),
        };
    }

    /// <summary>What the witness has read it has judged: cosigned, behind, or inconsistent. What it has not read, or whose signatures it does not believe, is 400, 403, 404 or 413.</summary>
    private async Task<string> WitnessAsync(byte[] body)
    {
        using HttpClient http = new();
        using HttpResponseMessage answer = await http.PostAsync(new Uri(_witness.Url, "/add-checkpoint"), new ByteArrayContent(body));
        return (int)answer.StatusCode switch
        {
            200 or 409 or 422 => Accept,
            400 or 403 or 404 or 413 => Refuse,
            int status => $"{status}",
        };
    }

    /// <summary>What tlog-server does with it when a witness answers so.</summary>
    private async Task<string> LogAsync(byte[] answer)
    {
        _stub.Planted["add-checkpoint"] = _ => new StubAnswer(200, answer, "text/plain");
        return await _client.AddCheckpointAsync(new AddCheckpointRequest(0, [], Words.Note), default) switch
        {
            WitnessAnswer.Cosigned => Accept,
            WitnessAnswer.Failed failed when failed.Reason.Contains("none of its", StringComparison.Ordinal) => Ignore,
            WitnessAnswer.Failed => Refuse,
            WitnessAnswer other => other.ToString(),
        };
    }

    private async Task<string> ReaderAsync(byte[] note)
    {
        _stub.Plant("checkpoint", note);
        using LogReader reader = new(_stub.Url, new LogReaderOptions { AttemptTimeout = TimeSpan.FromSeconds(20), RetryDelay = TimeSpan.FromMilliseconds(1) }); // one remembers what it saw
        Assert.True(Policy.TryParse(Encoding.UTF8.GetBytes(Words.Policy(witnessed: false)), out Policy? policy, out _));
        try
        {
            await reader.ReadCheckpointAsync(policy!, default);
            return Accept;
        }
        catch (LogReaderException)
        {
            return Refuse;
        }
    }

    /// <summary>Accept is also what does not hold for no other reason than the tree: everything was read then, and every signature believed. Ignore: the witness is missing.</summary>
    private async Task<string> VerifyAsync(byte[] proof, string policy)
    {
        Tlog run = await Tlog.RunAsync("verify", Write("proof", proof), "--entry", PathOf("entry"), "--policy", PathOf(policy));
        if (run.Code == 0) return Accept;
        if (run.Code != 1) return run.Error;
        if (run.Error.Contains("does not lead to the root", StringComparison.Ordinal) || run.Error.Contains("is not below the size", StringComparison.Ordinal) || run.Error.Contains("hashes; for index", StringComparison.Ordinal)) return Accept;
        return run.Error.Contains("quorum", StringComparison.Ordinal) || run.Error.Contains("does not verify", StringComparison.Ordinal) ? Ignore : Refuse;
    }

    private string ProofVerifierSays(byte[] text)
    {
        Assert.True(Policy.TryParse(Encoding.UTF8.GetBytes(Words.Policy(witnessed: false)), out Policy? policy, out _));
        return Said(TlogProof.TryParse(text, out TlogProof? proof) && ProofVerifier.TryVerify(Words.Log.Entries[0], proof!, policy!, out _, out _));
    }

    private async Task<string> CheckAsync(byte[] policy)
    {
        Tlog run = await Tlog.RunAsync("policy", "check", Write("checked", policy));
        return run.Code switch { 0 => Accept, 1 => Refuse, _ => run.Error };
    }

    /// <summary>A proof judged by this policy: 2 is what a policy that is none ends with.</summary>
    private async Task<string> PolicyVerifyAsync(byte[] policy)
    {
        Tlog run = await Tlog.RunAsync("verify", Write("proof", Words.ProofWith(Words.Note)), "--entry", PathOf("entry"), "--policy", Write("used", policy));
        return run.Code is 0 or 1 && !run.Error.Contains("used:", StringComparison.Ordinal) ? Accept : Refuse;
    }

    private string WitnessList(byte[] logs)
    {
        try
        {
            LogList.Read(Write("list", logs), [Words.Witness.Key]);
            return Accept;
        }
        catch (ConfigurationException)
        {
            return Refuse;
        }
    }

    private string LogPolicy(byte[] policy)
    {
        try
        {
            WitnessPolicy.Read(Write("of-log", policy), new LogIdentity(Words.Log.Origin, Words.Log.Signer.Key.ToString(), "key"));
            return Accept;
        }
        catch (ConfigurationException)
        {
            return Refuse;
        }
    }

    private static string Said(bool accepted) => accepted ? Accept : Refuse;

    private static string Escape(byte[] bytes) => string.Concat(bytes.Select(one => $"\\x{one:x2}"));

    private string PathOf(string name) => Path.Combine(_root, name);

    private string Write(string name, byte[] bytes)
    {
        File.WriteAllBytes(PathOf(name), bytes);
        return PathOf(name);
    }

    public async ValueTask DisposeAsync()
    {
        _client.Dispose();
        _stub.Dispose();
        await _witness.DisposeAsync();
        Words.Dispose();
        Directory.Delete(_root, recursive: true);
    }
}
