// The log that the tester plays towards a witness: its key, its tree, and the known state of the witness. Every row begins from a known state: when a witness
// has answered 200 to a request that it should have refused, the tester finds out which tree the witness follows before the next row.

using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Cli.Conform;

/// <summary>A checkpoint and the response that cosigned it.</summary>
/// <param name="Text">The text of the checkpoint.</param>
/// <param name="Answer">The body of the 200.</param>
internal sealed record Cosigned(string Text, byte[] Answer)
{
    /// <summary>The lines of the response with their newlines; the last line may lack one.</summary>
    public IEnumerable<byte[]> RawLines()
    {
        for (int at = 0; at < Answer.Length;)
        {
            int end = Array.IndexOf(Answer, (byte)'\n', at) + 1;
            if (end == 0) end = Answer.Length;
            yield return Answer[at..end];
            at = end;
        }
    }

    /// <summary>The lines that can be parsed.</summary>
    public IEnumerable<NoteSignature> Lines()
    {
        foreach (byte[] raw in RawLines())
        {
            if (NoteSignature.TryParseLine(raw, out NoteSignature line)) yield return line;
        }
    }
}

/// <summary>The tree and size that a witness follows if it accepted a request.</summary>
internal sealed record Claim(TesterTree Tree, long Size);

/// <summary>Sends a witness correct and incorrect requests for cosignatures.</summary>
internal sealed class WitnessTester(Prefix submission, Prefix monitoring, NoteSigner signer, NoteSigner? second, IReadOnlyList<INoteVerifier> keys, TimeProvider time)
{
    private readonly Lock _lock = new();
    private readonly List<Cosigned> _cosigned = []; // guarded by _lock
    private readonly List<Reply> _refusals = []; // guarded by _lock
    private readonly List<Claim> _doubts = [];
    private bool _lost;

    public Prefix Submission => submission;

    public Prefix Monitoring => monitoring;

    /// <summary>The log's key.</summary>
    public NoteSigner Signer => signer;

    /// <summary>Another key of the same origin that the witness also trusts; null when none was given.</summary>
    public NoteSigner? Second => second;

    /// <summary>The keys of the witness that were given.</summary>
    public IReadOnlyList<INoteVerifier> Keys => keys;

    public TimeProvider Time => time;

    public string Origin => signer.Key.Name;

    public TesterTree Tree { get; private set; } = new(signer.Key.ToString());

    /// <summary>The size that the witness cosigned last.</summary>
    public long Size { get; private set; }

    /// <summary>Whether the witness had cosigned nothing of this origin before the run.</summary>
    public bool WasFresh { get; private set; }

    /// <summary>Its response to the first request, which has an old size that it most likely never cosigned, and a proof that cannot hold.</summary>
    public Reply First { get; private set; } = null!; // set by StartAsync

    /// <summary>Its response at the start of the run to a request for the checkpoint that it shows to monitors.</summary>
    public Reply Before { get; private set; } = null!; // set by StartAsync

    public IReadOnlyList<Cosigned> Cosigned
    {
        get
        {
            lock (_lock) return [.. _cosigned];
        }
    }

    public IReadOnlyList<Reply> Refusals
    {
        get
        {
            lock (_lock) return [.. _refusals];
        }
    }

    public string MonitorPath => $"{Checkpoint.HashOrigin(Origin).ToHex()}/checkpoint";

    public string Text(long size) => Text(size, Tree.Root(size));

    public string Text(long size, Hash root) => string.Create(CultureInfo.InvariantCulture, $"{Origin}\n{size}\n{root.ToBase64()}\n");

    /// <summary>The log's signature line on a text.</summary>
    public string Line(string text) => signer.Sign(Encoding.UTF8.GetBytes(text)).ToLine();

    /// <summary>The signed note of a text, with one line of the log.</summary>
    public string Sign(string text) => $"{text}\n{Line(text)}";

    public static byte[] Body(string first, IEnumerable<string> proof, string note) => Encoding.UTF8.GetBytes($"{first}\n{string.Concat(proof.Select(line => line + "\n"))}\n{note}");

    public static byte[] Body(long old, IEnumerable<Hash> proof, string note) =>
        Body(string.Create(CultureInfo.InvariantCulture, $"old {old}"), proof.Select(hash => hash.ToBase64()), note);

    /// <summary>The consistency proof from the size that is cosigned.</summary>
    public List<Hash> Proof(long to) => Tree.Consistency(Size, to);

    /// <summary>The claim for a request with the tree at a size.</summary>
    public Claim At(long size) => new(Tree, size);

    /// <summary>
    /// Finds out which state of this origin the witness has. The first request has old size 2 and a proof that cannot hold; a 409 names the size. If the
    /// witness is not known to be fresh, an honest request then shows whether it follows the tester's tree.
    /// </summary>
    /// <exception cref="GoneException">There is no answer.</exception>
    /// <exception cref="CliException">There is nothing to test: no usable answer, an unknown origin or key, another tree.</exception>
    public async Task StartAsync()
    {
        Before = await monitoring.GetAsync(MonitorPath);
        First = await submission.SendAsync(HttpMethod.Post, "add-checkpoint", Body(2, [MerkleHash.Leaf("no proof"u8)], Sign(Text(3))));
        switch (First.Status)
        {
            case 0:
                throw new GoneException();
            case 409 when Strict.TryReadSize(Encoding.ASCII.GetBytes(Encoding.Latin1.GetString(First.Body).Trim()), out long size):
                if (size >= TesterTree.MaxSize) throw new CliException(ExitCode.Usage, $"the witness has cosigned size {size.ToString(CultureInfo.InvariantCulture)} of {Origin}, which is not the tester's tree: {NewKey}");
                (Size, WasFresh) = (size, size == 0);
                break;
            case 409:
                break; // without a size; perhaps it has cosigned nothing
            case 200:
                Size = 3; // first contact, and it checked nothing
                break;
            case 422:
                Size = 2; // it has this size by chance, or it checks the proof first
                break;
            case 404:
                throw new CliException(ExitCode.Usage, $"the witness does not know the origin {Origin} (404): its list of logs needs the line `log {signer.Key}`");
            case 403:
                throw new CliException(ExitCode.Usage, $"the witness trusts no such key for {Origin}, or knows no such log (403): its list of logs needs the line `log {signer.Key}`");
            default:
                throw new CliException(ExitCode.Trouble, $"the first question, old size 2 and a checkpoint of size 3, has an answer that says nothing of the witness's state: {First}");
        }

        if (WasFresh) return;
        Reply reply = await AdvanceAsync(Size + 1);
        if (reply.Status != 200 && Size == 2) reply = await AdvanceFromAsync(new Claim(Tree, 0));
        if (reply.Status is not (200 or 409 or 422)) throw new CliException(ExitCode.Trouble, $"an honest request is answered {reply}");
        if (reply.Status != 200) throw new CliException(ExitCode.Usage, $"the witness has cosigned a tree of {Origin} that is not the tester's ({reply}): {NewKey}");
    }

    private const string NewKey = "use a key and an origin that nothing else has used (tlog keygen)";

    /// <summary>Runs before every row. Makes sure that the state is known; if it is not, the row is not observed.</summary>
    public async Task SettleAsync()
    {
        if (_doubts.Count > 0)
        {
            Claim[] candidates = [new Claim(Tree, Size), .. _doubts];
            _doubts.Clear();
            _lost = true;
            foreach (Claim candidate in candidates)
            {
                if (!_lost) break;
                _lost = (await AdvanceFromAsync(candidate)).Status != 200;
            }
        }

        if (_lost) throw new NotObservedException("after a 200 that should have been a refusal it follows no tree that the tester knows");
    }

    /// <summary>Sends a body. Records a 200 as a cosignature on <paramref name="text"/>, and anything else as a refusal.</summary>
    public async Task<Reply> PostAsync(byte[] body, string? text)
    {
        Reply reply = await submission.SendAsync(HttpMethod.Post, "add-checkpoint", body);
        lock (_lock)
        {
            if (reply.Status != 200) _refusals.Add(reply);
            else if (text is not null) _cosigned.Add(new Cosigned(text, reply.Body));
        }

        return reply;
    }

    /// <summary>Sends an honest request, for a larger tree or again for the same. After a 200 the witness has that size.</summary>
    /// <param name="to">The size.</param>
    /// <param name="sign">Makes the note from the text; null for a note with one line of the log.</param>
    public async Task<Reply> AdvanceAsync(long to, Func<string, string>? sign = null)
    {
        string text = Text(to);
        Reply reply = await PostAsync(Body(Size, Proof(to), (sign ?? Sign)(text)), text);
        if (reply.Status == 200) Size = to;
        return reply;
    }

    /// <summary>The same for a row, which fails on anything but a 200.</summary>
    public async Task<string> CosignedAsync(string row, string sent, long by = 1, Func<string, string>? sign = null)
    {
        Reply reply = await AdvanceAsync(Size + by, sign);
        return reply.Status == 200 ? "200" : throw new RowFailedException(reply.ToString(), sent, Deviations.Of(row, reply.Status));
    }

    /// <summary>Sends a request that the witness has to refuse with one of these statuses, if the row is to hold.</summary>
    /// <param name="row">The row.</param>
    /// <param name="sent">What is sent, in words.</param>
    /// <param name="body">The body.</param>
    /// <param name="claim">What the witness may follow if it answers 200.</param>
    /// <param name="expected">The statuses that are accepted.</param>
    public async Task<Reply> RefusedAsync(string row, string sent, byte[] body, Claim claim, params int[] expected)
    {
        Reply reply = await PostAsync(body, null);
        if (reply.Status == 200) Doubt(claim);
        return expected.Contains(reply.Status) ? reply : throw new RowFailedException(reply.ToString(), sent, Deviations.Of(row, reply.Status));
    }

    /// <summary>Records that the witness may follow this claim now. The next row finds out whether it does.</summary>
    public void Doubt(Claim claim) => _doubts.Add(claim);

    /// <summary>Records that the witness has cosigned this size of the tree.</summary>
    public void Follow(long size) => Size = size;

    private async Task<Reply> AdvanceFromAsync(Claim claim)
    {
        (TesterTree tree, long size) = (Tree, Size);
        (Tree, Size) = (claim.Tree, claim.Size);
        Reply reply = await AdvanceAsync(claim.Size + 1);
        if (reply.Status != 200) (Tree, Size) = (tree, size);
        return reply;
    }
}

/// <summary>
/// Deployed implementations that are known to answer the same (spec/conformance.md, section 9). The report names them, so that its reader knows that the
/// deviation is not unique.
/// </summary>
internal static class Deviations
{
    public const string FirstContact = "as omniwitness does at first contact";

    public static string? Of(string row, int status) => (row, status) switch
    {
        ("TW-04", 200) => "as omniwitness does",
        ("TW-10", 413) => "as omniwitness does, which takes 16 KiB",
        ("TW-20", 403) => "as litewitness does",
        ("TW-24", 500) => "as omniwitness does with a malformed checkpoint",
        ("TW-28", 200) => FirstContact,
        ("TW-29", 200) => $"as litewitness does; {FirstContact}",
        ("TW-31", 409) => "as omniwitness and Azul's witness do, and as the text was before 2026-07-06",
        ("TW-70", 404) => "as omniwitness, litewitness and Azul's witness do",
        _ => null,
    };
}
