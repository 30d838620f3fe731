// The result of a run: rows, in the order of spec/conformance.md, each with what was sent, what was expected and what came. spec/conformance-tester.md
// defines both forms, text and JSON.

using System.Globalization;
using System.Text;
using System.Text.Json;

namespace TransparencyLog.Cli.Conform;

/// <summary>The result of a row.</summary>
internal enum Verdict
{
    Pass,
    Fail,

    /// <summary>It cannot be observed from outside, or the run lacks something that it needs. Never counted as passed.</summary>
    NotObserved,
}

/// <summary>
/// One row of the matrix and how it is checked. Few rows depend on others. Every row leaves the server under test in a state that the tester knows, or can
/// find out.
/// </summary>
/// <param name="Id">The row of spec/conformance.md.</param>
/// <param name="Level">M, MN, m, D (gates), S, SN or MAY.</param>
/// <param name="Sent">What is sent, in words.</param>
/// <param name="Expected">What is expected, in words.</param>
/// <param name="Check">
/// Returns what came, in words, when the row holds; otherwise throws <see cref="RowFailedException"/> or <see cref="NotObservedException"/>.
/// </param>
internal sealed record Row(string Id, string Level, string Sent, string Expected, Func<Task<string>> Check)
{
    /// <summary>A row that no run can observe, with the reason.</summary>
    public static Row Unseen(string id, string level, string reason) => new(id, level, "", "", () => throw new NotObservedException(reason));

    /// <summary>Rows that no run can observe, for one reason. Each is an ID and a level: <c>"SN-05 M"</c>.</summary>
    public static IEnumerable<Row> UnseenAll(string reason, params string[] rows) => rows.Select(row => Unseen(row.Split(' ')[0], row.Split(' ')[1], reason));
}

/// <summary>The row does not hold.</summary>
/// <param name="came">What came instead.</param>
/// <param name="sent">The request to which it came, where the row sends several; null where it sends one.</param>
/// <param name="note">What else is known about it, such as which deployed implementations do the same.</param>
internal sealed class RowFailedException(string came, string? sent = null, string? note = null) : Exception
{
    public string Came => came;

    public string? Sent => sent;

    public string? Note => note;
}

/// <summary>The row was not observed.</summary>
internal sealed class NotObservedException(string reason) : Exception(reason);

/// <summary>A row and its result.</summary>
internal sealed record RowResult(string Id, string Level, Verdict Verdict, string Sent, string Expected, string Came, string Note)
{
    /// <summary>Whether the row counts for the exit code. spec/conformance.md defines these four levels.</summary>
    public bool IsGate => Level is "M" or "MN" or "m" or "D";

    public string Word => Verdict switch
    {
        Verdict.Pass => "pass",
        Verdict.Fail => "fail",
        _ => "not observed",
    };

    /// <summary>One line for people.</summary>
    public override string ToString()
    {
        StringBuilder line = new();
        line.Append(CultureInfo.InvariantCulture, $"{Word,-12}  {Id}  {Level,-3}  ");
        if (Sent.Length > 0) line.Append(CultureInfo.InvariantCulture, $"sent: {Sent}; ");
        if (Expected.Length > 0) line.Append(CultureInfo.InvariantCulture, $"expected: {Expected}; ");
        if (Came.Length > 0) line.Append(CultureInfo.InvariantCulture, $"came: {Came}; ");
        if (Note.Length > 0) line.Append(Note);
        return line.ToString().TrimEnd(' ', ';');
    }
}

/// <summary>The report of a whole run.</summary>
/// <param name="Role">witness or log.</param>
/// <param name="Url">The URL under test.</param>
/// <param name="Keys">The vkeys that its signatures were verified with.</param>
/// <param name="Rows">In the order of the matrix.</param>
/// <param name="Requests">How many requests were sent.</param>
internal sealed record ConformReport(string Role, string Url, IReadOnlyList<VerifierKey> Keys, IReadOnlyList<RowResult> Rows, int Requests)
{
    private static readonly string[] Sections = ["SN", "CP", "TT", "CO", "TW"];

    /// <summary>Whether every gate that was observed holds.</summary>
    public bool Conforms => !Rows.Any(row => row is { IsGate: true, Verdict: Verdict.Fail });

    /// <summary>
    /// Runs rows in the order given, each after a call of <paramref name="before"/>, and returns the results in the order of the matrix. A failed row does not
    /// stop the run. When the server no longer answers, the remaining rows are not observed.
    /// </summary>
    public static async Task<IReadOnlyList<RowResult>> RunAsync(IEnumerable<Row> rows, Func<Task> before)
    {
        List<RowResult> results = [];
        string? gone = null;
        foreach (Row row in rows)
        {
            RowResult result = new(row.Id, row.Level, Verdict.NotObserved, "", "", "", "");
            try
            {
                if (gone is not null) throw new NotObservedException(gone);
                await before();
                string came = await row.Check();
                result = result with { Verdict = Verdict.Pass, Sent = row.Sent, Expected = row.Expected, Came = came };
            }
            catch (RowFailedException failure)
            {
                result = result with { Verdict = Verdict.Fail, Sent = failure.Sent ?? row.Sent, Expected = row.Expected, Came = failure.Came, Note = failure.Note ?? "" };
            }
            catch (NotObservedException unseen)
            {
                result = result with { Note = unseen.Message };
            }
            catch (GoneException)
            {
                gone = $"there was no answer any more since row {row.Id}";
                result = result with { Verdict = Verdict.Fail, Sent = row.Sent, Expected = row.Expected, Came = "no answer, and none to the requests before" };
            }

            results.Add(result);
        }

        return [.. results.OrderBy(result => Array.IndexOf(Sections, result.Id[..2])).ThenBy(result => result.Id, StringComparer.Ordinal)];
    }

    public int Count(Verdict verdict, bool gates) => Rows.Count(row => row.Verdict == verdict && row.IsGate == gates);

    /// <summary>The last line of the text form.</summary>
    public string Summary => string.Create(
        CultureInfo.InvariantCulture,
        $"gates {Count(Verdict.Pass, true)} pass, {Count(Verdict.Fail, true)} fail, {Count(Verdict.NotObserved, true)} not observed; others {Count(Verdict.Pass, false)} pass, {Count(Verdict.Fail, false)} fail, {Count(Verdict.NotObserved, false)} not observed; {Requests} requests");

    public byte[] ToJson()
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, new JsonWriterOptions { Indented = true, NewLine = "\n" }))
        {
            json.WriteStartObject();
            json.WriteString("format", "tlog-conform/1");
            json.WriteString("role", Role);
            json.WriteString("url", Url);
            json.WriteStartArray("keys");
            foreach (VerifierKey key in Keys) json.WriteStringValue(key.ToString());
            json.WriteEndArray();
            json.WriteBoolean("conforms", Conforms);
            json.WriteNumber("requests", Requests);
            WriteCounts(json, "gates", gates: true);
            WriteCounts(json, "others", gates: false);
            json.WriteStartArray("rows");
            foreach (RowResult row in Rows)
            {
                json.WriteStartObject();
                json.WriteString("id", row.Id);
                json.WriteString("level", row.Level);
                json.WriteString("verdict", row.Word);
                json.WriteString("sent", row.Sent);
                json.WriteString("expected", row.Expected);
                json.WriteString("came", row.Came);
                json.WriteString("note", row.Note);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        bytes.WriteByte((byte)'\n');
        return bytes.ToArray();
    }

    private void WriteCounts(Utf8JsonWriter json, string name, bool gates)
    {
        json.WriteStartObject(name);
        json.WriteNumber("pass", Count(Verdict.Pass, gates));
        json.WriteNumber("fail", Count(Verdict.Fail, gates));
        json.WriteNumber("not observed", Count(Verdict.NotObserved, gates));
        json.WriteEndObject();
    }
}
