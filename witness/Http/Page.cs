// GET /: the state of a witness as a page for people. The page is self-contained: no script, no image, nothing from another site. Text that others have chosen
// (origins) is escaped.

using System.Globalization;
using System.Text;
using System.Text.Encodings.Web;

namespace TransparencyLog.Witness.Http;

/// <summary>The page for people.</summary>
internal sealed class Page(CheckpointWitness witness, WitnessedLogs logs, Evidence evidence, IReadOnlyList<VerifierKey> keys, TimeProvider time)
{
    public const string ContentType = "text/html; charset=utf-8";

    /// <summary>Forbids the browser to load or run anything, whatever the page contains.</summary>
    public const string SecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

    private const string Head = """
        <!doctype html>
        <html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Witness</title>
        <style>body{font:15px/1.5 sans-serif;margin:2em;max-width:80em}code{word-break:break-all}table{border-collapse:collapse}td,th{text-align:left;vertical-align:top;padding:.2em 1em .2em 0;border-bottom:1px solid #ccc}.n{text-align:right}</style></head><body>

        """;

    /// <summary>Logs on one page when the request does not say: as many as a person may scroll through.</summary>
    public const int UsualLimit = 500;

    /// <summary>Makes the page from the present state.</summary>
    public PagedAnswer Write()
    {
        DateTimeOffset now = time.GetUtcNow();
        StringBuilder page = new(Head);
        page.Append(CultureInfo.InvariantCulture, $"<h1>{Escape(keys[0].Name)}</h1>\n<p>A witness of transparency logs (c2sp.org/tlog-witness): it cosigns a checkpoint only of a log that has grown from the one it cosigned before.</p>\n");
        page.Append(CultureInfo.InvariantCulture, $"<p>State: {(witness.Trouble is Unavailability why ? $"{(why == Unavailability.ClockBehind ? "some logs wait" : "nothing is cosigned")}: {Escape(Answers.Describe(why))}" : "ok")}</p>\n<h2>Keys</h2>\n<ul>\n");
        foreach (VerifierKey key in keys) page.Append(CultureInfo.InvariantCulture, $"<li><code>{Escape(key.ToString())}</code></li>\n");
        WitnessedLog[] all = [.. logs.All.OrderBy(log => log.Origin, StringComparer.Ordinal)];
        page.Append(CultureInfo.InvariantCulture, $"</ul>\n<h2>{all.Length} {(all.Length == 1 ? "log" : "logs")}</h2>\n<table><tr><th>Origin</th><th class=\"n\">Size</th><th>Cosigned</th><th class=\"n\">Age</th><th>Refused since the start</th></tr>\n");

        // The end of each row is needed in bytes, so each piece of text is converted to bytes when it is complete.
        using MemoryStream bytes = new();
        int[] ends = new int[all.Length + 1];
        for (int i = 0; i <= all.Length; i++)
        {
            if (i > 0) Row(page, all[i - 1], now);
            bytes.Write(Encoding.UTF8.GetBytes(page.ToString()));
            page.Clear();
            ends[i] = (int)bytes.Length;
        }

        return new PagedAnswer([.. all.Select(log => log.OriginHash)], bytes.ToArray(), ends, 0, next =>
            $"</table>\n{(next is Hash from ? $"<p><a href=\"?from={from.ToHex()}\">more logs</a></p>\n" : "")}<p><a href=\"healthz\">health</a>, <a href=\"status\">state as JSON</a>, <a href=\"metrics\">metrics</a></p>\n</body></html>\n");
    }

    private void Row(StringBuilder page, WitnessedLog log, DateTimeOffset now)
    {
        page.Append(CultureInfo.InvariantCulture, $"<tr><td>{Escape(log.Origin)}{(log.Trust.Keys.Count == 0 ? " (not on the list any more)" : "")}{(evidence.Describe(log.OriginHash) is string proven ? $"<br><strong>{Escape(proven)}</strong>" : "")}</td>");
        if (log.Latest is CosignedCheckpoint latest)
        {
            DateTimeOffset cosigned = DateTimeOffset.FromUnixTimeSeconds((long)latest.Timestamp);
            page.Append(CultureInfo.InvariantCulture, $"<td class=\"n\"><a href=\"{log.OriginHash.ToHex()}/checkpoint\">{latest.Checkpoint.Size}</a></td><td>{cosigned:yyyy-MM-ddTHH:mm:ssZ}</td><td class=\"n\">{Math.Max(0, now.ToUnixTimeSeconds() - (long)latest.Timestamp)} s</td>");
        }
        else
        {
            page.Append("<td class=\"n\"></td><td>never</td><td class=\"n\"></td>");
        }

        page.Append("<td>").AppendJoin(", ", Refusals.Kinds.Where(kind => log.Refusals.Of(kind.Status) > 0).Select(kind => string.Create(CultureInfo.InvariantCulture, $"{log.Refusals.Of(kind.Status)} {kind.Meaning}"))).Append("</td></tr>\n");
    }

    private static string Escape(string text) => HtmlEncoder.Default.Encode(text);
}
