// The checkpoint that a witness shows to monitors: section 5.4 of spec/conformance.md. A witness should offer it (TW-70, a SHOULD); if it does not, the other
// rows are not observed.

using System.Globalization;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Cli.Conform;

/// <summary>GET ORIGIN-HASH/checkpoint, row by row.</summary>
internal sealed class MonitorRows(WitnessTester witness)
{
    private bool _offered;

    public IEnumerable<Row> All()
    {
        WitnessTester w = witness;
        yield return new Row("TW-70", "S", "GET ORIGIN-HASH/checkpoint", "200", async () =>
        {
            if (w.Cosigned.Count == 0) throw new NotObservedException("nothing was cosigned");
            Reply reply = await w.Monitoring.GetAsync(w.MonitorPath);
            _offered = reply.Status == 200;
            return _offered ? "200" : throw new RowFailedException(reply.ToString(), null, Deviations.Of("TW-70", reply.Status));
        });
        yield return new Row("TW-71", "M", "the hash of the origin in lower-case hex; the same in upper case", "200; 404, or another 4xx", async () =>
        {
            Offered();
            Reply upper = await w.Monitoring.GetAsync($"{w.MonitorPath[..64].ToUpperInvariant()}/checkpoint");
            return upper.Status is >= 400 and < 500 ? $"200; {upper.Status.ToString(CultureInfo.InvariantCulture)}" : throw new RowFailedException(upper.ToString(), "upper-case hex");
        });
        yield return new Row("TW-72", "M", "HEAD, POST, PUT and DELETE ORIGIN-HASH/checkpoint", "200 without a body; 405, or another 4xx, to the others", async () =>
        {
            Offered();
            Reply head = await w.Monitoring.SendAsync(HttpMethod.Head, w.MonitorPath);
            if (head.Status != 200 || head.Body.Length > 0) throw new RowFailedException(head.ToString(), "HEAD");
            foreach (HttpMethod method in (HttpMethod[])[HttpMethod.Post, HttpMethod.Put, HttpMethod.Delete])
            {
                Reply reply = await w.Monitoring.SendAsync(method, w.MonitorPath, method == HttpMethod.Delete ? null : [(byte)'\n']);
                if (reply.Status is not ((>= 400 and < 500) or 501)) throw new RowFailedException(reply.ToString(), method.ToString());
            }

            return "200; 4xx to the others";
        });
        yield return new Row("TW-73", "M", "an honest request, and then GET ORIGIN-HASH/checkpoint", "a checkpoint with the log's line and the lines that were answered", async () =>
        {
            Offered();
            await w.CosignedAsync("TW-73", "an honest request");
            (Reply reply, Note note) = await ShownAsync();
            string text = Encoding.UTF8.GetString(note.Text.Span);
            if (note.Verify([Verifiers.TryCreate(w.Signer.Key)!]).Status != NoteStatus.Verified) throw new RowFailedException($"no valid line of the log: {Names(note)}");
            Cosigned[] answers = [.. w.Cosigned.Where(one => one.Text == text)];
            if (answers.Length == 0) throw new RowFailedException($"a checkpoint that was never sent: {reply}");
            if (!answers.Any(one => one.Lines().Any())) throw new NotObservedException("the lines that were answered cannot be read");
            if (!answers.Any(one => one.Lines().Any() && one.Lines().All(line => note.Signatures.Contains(line)))) throw new RowFailedException($"without a line that was answered: {Names(note)}");
            return $"lines of {Names(note)}";
        });
        yield return new Row("TW-74", "M", "the hash of an origin that it has never cosigned", "404", async () =>
        {
            Offered();
            Reply reply = await w.Monitoring.GetAsync($"{Checkpoint.HashOrigin($"unknown.{w.Origin}").ToHex()}/checkpoint");
            if (reply.Status != 404) throw new RowFailedException(reply.ToString());
            if (!w.WasFresh) return "404";
            return w.Before.Status == 404 ? "404; the same for the log before the first cosignature" : throw new RowFailedException(w.Before.ToString(), "the log's hash, before it had cosigned anything");
        });
        yield return new Row("TW-76", "D", "GET ORIGIN-HASH/checkpoint", "Content-Type: text/plain; charset=utf-8", async () =>
        {
            Offered();
            Reply reply = await w.Monitoring.GetAsync(w.MonitorPath);
            return MediaTypes.IsPlainUtf8(reply.ContentType) ? reply.ContentType! : throw new RowFailedException(reply.ContentType is null ? "no Content-Type" : $"Content-Type: {reply.ContentType}");
        });
        yield return new Row("TW-77", "D", "an honest request with lines of a stranger, and a forged one of the witness, and then GET ORIGIN-HASH/checkpoint", "none of these lines", async () =>
        {
            Offered();
            VerifierKey own = w.Keys[0].Key;
            NoteSignature[] foreign =
            [
                new("stranger.example", 0x5eed0002, new byte[64]), new(w.Origin, w.Signer.Key.KeyId ^ 2, new byte[64]),
                new(own.Name, own.KeyId, new byte[own.SignatureType == VerifierKey.MlDsa44Cosignature ? Cosignature.MlDsa44Size : Cosignature.Ed25519Size]),
            ];
            await w.CosignedAsync("TW-77", "an honest request with such lines", 1, text => w.Sign(text) + string.Concat(foreign.Select(line => line.ToLine())));
            (_, Note note) = await ShownAsync();
            return note.Signatures.Any(line => foreign.Contains(line)) ? throw new RowFailedException($"lines of {Names(note)}") : $"lines of {Names(note)}";
        });
        yield return new Row("TW-78", "D", "three honest requests, each followed by GET ORIGIN-HASH/checkpoint at once", "the size that was cosigned each time", async () =>
        {
            Offered();
            for (int round = 0; round < 3; round++)
            {
                await w.CosignedAsync("TW-78", "an honest request");
                (Reply reply, Note note) = await ShownAsync();
                if (Encoding.UTF8.GetString(note.Text.Span) != w.Text(w.Size)) throw new RowFailedException($"after a 200 for size {w.Size.ToString(CultureInfo.InvariantCulture)}: {reply}");
            }

            return "the size that was cosigned";
        });
        yield return new Row("TW-75", "S", "GET ORIGIN-HASH/checkpoint at the end", "the checkpoint that was cosigned last (an hour late at most)", async () =>
        {
            Offered();
            (_, Note note) = await ShownAsync();
            return Encoding.UTF8.GetString(note.Text.Span) == w.Text(w.Size) ? "it is" : throw new NotObservedException("it shows an earlier one, and the tester does not wait for an hour");
        });
        yield return new Row("SN-01", "M", "GET ORIGIN-HASH/checkpoint", "text, an empty line, signature lines", async () =>
        {
            Offered();
            (_, Note note) = await ShownAsync();
            return string.Create(CultureInfo.InvariantCulture, $"a note with {note.Signatures.Count} lines");
        });
    }

    private void Offered()
    {
        if (!_offered) throw new NotObservedException("nothing is shown to monitors (TW-70)");
    }

    private async Task<(Reply, Note)> ShownAsync()
    {
        Reply reply = await witness.Monitoring.GetAsync(witness.MonitorPath);
        return reply.Status == 200 && Note.TryParse(reply.Body, out Note? note) ? (reply, note) : throw new RowFailedException($"no signed note: {reply}");
    }

    private static string Names(Note note) => string.Join(", ", note.Signatures.Select(line => string.Create(CultureInfo.InvariantCulture, $"{line.Name} ({line.KeyId:x8})")));
}

/// <summary>Media types as RFC 9110 section 8.3.1 compares them.</summary>
internal static class MediaTypes
{
    public static bool IsPlainUtf8(string? contentType) => contentType?.Split(';') is [string type, string parameter]
        && type.Trim().Equals("text/plain", StringComparison.OrdinalIgnoreCase) && parameter.Trim().Replace("\"", "", StringComparison.Ordinal).Equals("charset=utf-8", StringComparison.OrdinalIgnoreCase);

    public static bool IsOctets(string? contentType) => contentType is not null && contentType.Trim().Equals("application/octet-stream", StringComparison.OrdinalIgnoreCase);
}
