// sign-subtree: section 5.3 of spec/conformance.md. A witness need not offer it (TW-64); if it does not, the other rows are not observed.

using System.Buffers.Binary;
using System.Globalization;
using System.Text;

namespace TransparencyLog.Cli.Conform;

/// <summary>sign-subtree, row by row.</summary>
internal sealed class SubtreeRows(WitnessTester witness)
{
    private readonly List<Signed> _signed = [];
    private bool _offered, _refers;

    /// <summary>The checkpoint to which the requests refer, the last one that the witness cosigned, and its size.</summary>
    private (Cosigned Cosigned, long Size) _reference;

    /// <summary>A subtree and the answer that signed it.</summary>
    private sealed record Signed(long Start, long End, Cosigned Answer);

    public IEnumerable<Row> All()
    {
        WitnessTester w = witness;
        yield return new Row("TW-64", "D", "an honest sign-subtree", "404 or 405 where it is not offered", async () =>
        {
            const int Few = 14; // room for subtrees that begin after 0 and are not whole nodes
            if (w.Size < Few) await w.CosignedAsync("TW-64", "an honest request", Few - w.Size);
            else await w.CosignedAsync("TW-64", "an honest request");
            _reference = (w.Cosigned[^1], w.Size);
            Reply reply = await PostAsync(Body(0, 8));
            _offered = reply.Status is not (404 or 405);
            _refers = Note.TryParse(Encoding.UTF8.GetBytes(Reference()), out Note? note) && note.Verify(w.Keys).Status == NoteStatus.Verified;
            return _offered ? throw new NotObservedException("it is offered") : reply.Status.ToString(CultureInfo.InvariantCulture);
        });
        yield return new Row("TW-59", "M", "subtrees from the beginning and from elsewhere, whole nodes and others, one leaf, the whole tree, each with its proof", "200 and signature lines for the subtree to each", async () =>
        {
            Offered();
            foreach ((long start, long end) in ((long, long)[])[(0, 8), (4, 8), (8, 13), (8, 14), (12, 13), (0, _reference.Size - 1), (0, _reference.Size)]) await SignAsync(start, end);
            return "200 to each";
        });
        yield return new Row("TW-60", "S", "all of these", "ML-DSA-44", () => EachAsync(one => one.Answer.Lines().All(line => line.Signature.Length == Cosignature.MlDsa44Size) ? null : "a line of another type"));
        yield return new Row("TW-61", "M", "all of these", "no line of a type that has no subtrees", () => EachAsync(one => one.Answer.Lines().Any(line => w.Keys.Any(key => Matches(key, line) && key is not ISubtreeVerifier)) ? "an Ed25519 line" : null));
        yield return new Row("TW-62", "M", "all of these", "the time 0", () => EachAsync(one => TimeFault(one)));
        yield return new Row("CO-15", "M", "those of them that do not begin at 0", "the time 0", () => EachAsync(one => one.Start == 0 ? null : TimeFault(one)));
        yield return new Row("TW-50", "M", "GET, PUT and DELETE sign-subtree", "405, or another 4xx", async () =>
        {
            Offered();
            foreach (HttpMethod method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Put, HttpMethod.Delete])
            {
                Reply reply = await w.Submission.SendAsync(method, "sign-subtree", method == HttpMethod.Put ? Body(0, 8) : null);
                if (reply.Status is not ((>= 400 and < 500) or 501)) throw new RowFailedException(reply.ToString(), $"{method} sign-subtree");
            }

            return "4xx";
        });
        yield return new Row("TW-52", "M", "a right range, written in other ways", "400 to each", async () =>
        {
            Offered();
            foreach (string first in (string[])["subtree 08 13", "subtree 8 013", "subtree +8 13", "subtree 8  13", "subtree 8 13 ", "subtree 8", "subtree 8 13 14", "Subtree 8 13", "8 13"])
            {
                await RefusedAsync($"\"{first}\"", Body(first, w.Tree.Range(8, 13), Lines(8, 13), Reference()), 400);
            }

            return "400 to each";
        });
        yield return new Row("TW-53", "MN", "64 proof lines", "400", async () =>
        {
            Offered();
            await RefusedAsync("64 proof lines", Body("subtree 8 13", w.Tree.Range(8, 13), [.. Enumerable.Range(0, 64).Select(i => MerkleHash.Leaf([(byte)i]).ToBase64())], Reference()), 400);
            return "400";
        });
        yield return new Row("TW-55", "M", "ranges that are empty, backwards, not aligned, or end behind the checkpoint", "400 to each", async () =>
        {
            Offered();
            long beyond = _reference.Size + 1;
            foreach ((long start, long end) in ((long, long)[])[(8, 8), (0, 0), (8, 4), (3, 5), (4, 9), (0, beyond), (beyond - 1, beyond)])
            {
                await RefusedAsync(string.Create(CultureInfo.InvariantCulture, $"[{start}, {end}) of {_reference.Size}"), Body(First(start, end), w.Tree.Range(4, 8), Lines(4, 8), Reference()), 400);
            }

            return "400 to each";
        });
        yield return new Row("TW-63", "D", "ranges whose ends are near and above 2^63", "400 to each", async () =>
        {
            Offered();
            foreach (string first in (string[])["subtree 0 18446744073709551615", "subtree 9223372036854775808 18446744073709551615", "subtree 1 9223372036854775809", "subtree 4611686018427387904 9223372036854775807"])
            {
                await RefusedAsync($"\"{first}\"", Body(first, w.Tree.Range(4, 8), Lines(4, 8), Reference()), 400);
            }

            return "400 to each";
        });
        yield return new Row("TW-56", "M", "proofs that do not hold: a bit flipped, a hash short, a hash long, none; another hash of the subtree", "422 to each", async () =>
        {
            Offered();
            string[] proof = Lines(8, 13);
            byte[] bits = w.Tree.Subtree(8, 13, _reference.Size)[0].ToArray();
            bits[7] ^= 1;
            (string What, Hash Hash, string[] Proof)[] wrong =
            [
                ("a proof with one bit flipped", w.Tree.Range(8, 13), [new Hash(bits).ToBase64(), .. proof[1..]]),
                ("a proof without its last hash", w.Tree.Range(8, 13), proof[..^1]),
                ("a proof with a hash too many", w.Tree.Range(8, 13), [.. proof, proof[0]]),
                ("no proof", w.Tree.Range(8, 13), []),
                ("the hash of another subtree", w.Tree.Range(4, 8), proof),
            ];
            foreach ((string what, Hash hash, string[] lines) in wrong) await RefusedAsync(what, Body("subtree 8 13", hash, lines, Reference()), 422);
            return "422 to each";
        });
        yield return new Row("TW-57", "M", "a checkpoint of an unknown origin", "404", async () =>
        {
            Offered();
            string text = $"unknown.{_reference.Cosigned.Text}";
            Reply reply = await RefusedAsync("a checkpoint of an unknown origin", Body(First(8, 13), w.Tree.Range(8, 13), Lines(8, 13), $"{text}\n{Own()}"), 404, 403);
            return reply.Status == 404 ? "404" : throw new NotObservedException("a checkpoint of an unknown origin has no cosignature either, and 403 is the answer to that (TW-58)");
        });
        yield return new Row("TW-58", "M", "checkpoints without a valid cosignature of the witness: the log's line alone, and with a cosignature with a bit flipped, and with one of another checkpoint", "403 to each", async () =>
        {
            Offered();
            string text = _reference.Cosigned.Text, other = w.Text(_reference.Size - 1);
            await RefusedAsync("the log's line alone", Body(First(8, 13), w.Tree.Range(8, 13), Lines(8, 13), w.Sign(text)), 403);
            await RefusedAsync("a cosignature with a bit flipped", Body(First(8, 13), w.Tree.Range(8, 13), Lines(8, 13), $"{text}\n{string.Concat(_reference.Cosigned.Lines().Select(Flipped))}"), 403);
            string[] proof = [.. w.Tree.Subtree(8, 13, _reference.Size - 1).Select(hash => hash.ToBase64())];
            await RefusedAsync("a cosignature of another checkpoint", Body(First(8, 13), w.Tree.Range(8, 13), proof, $"{other}\n{Own()}"), 403);
            return "403 to each";
        });
        yield return Row.Unseen("TW-51", "M", "asked of clients; that such a body is read, TW-59 shows");
        yield return Row.Unseen("TW-54", "S", "asked of clients; the tester keeps to it");
    }

    private void Offered()
    {
        if (!_offered) throw new NotObservedException("sign-subtree is not offered (TW-64)");
        if (!_refers) throw new NotObservedException("the witness's answer to the last honest request is no valid cosignature, so there is no checkpoint to refer to");
    }

    private Task<Reply> PostAsync(byte[] body) => witness.Submission.SendAsync(HttpMethod.Post, "sign-subtree", body);

    private async Task SignAsync(long start, long end)
    {
        string sent = string.Create(CultureInfo.InvariantCulture, $"[{start}, {end}) of {_reference.Size}");
        Reply reply = await PostAsync(Body(start, end));
        if (reply.Status != 200) throw new RowFailedException(reply.ToString(), sent);
        Signed signed = new(start, end, new Cosigned(_reference.Cosigned.Text, reply.Body));
        _signed.Add(signed);
        if (!AddCheckpointResponse.TryParse(reply.Body, out IReadOnlyList<NoteSignature> lines)) throw new RowFailedException($"no signature lines: {reply}", sent);
        ISubtreeVerifier[] keys = [.. witness.Keys.OfType<ISubtreeVerifier>()];
        if (keys.Length == 0) throw new NotObservedException("200, but no vkey of type 0x06 was given to verify it with");
        Hash hash = witness.Tree.Range(start, end);
        foreach (NoteSignature line in lines)
        {
            if (keys.FirstOrDefault(key => Matches(key, line)) is ISubtreeVerifier key && !key.VerifySubtree(witness.Origin, start, end, hash, line.Signature.Span)) throw new RowFailedException($"a line of {line.Name} that does not verify on it", sent);
        }

        if (!lines.Any(line => keys.Any(key => Matches(key, line)))) throw new RowFailedException("no line of an ML-DSA-44 key that was given", sent);
    }

    private async Task<Reply> RefusedAsync(string what, byte[] body, params int[] expected)
    {
        Reply reply = await PostAsync(body);
        return expected.Contains(reply.Status) ? reply : throw new RowFailedException(reply.ToString(), what);
    }

    private Task<string> EachAsync(Func<Signed, string?> fault)
    {
        Offered();
        if (_signed.Count == 0) throw new NotObservedException("no subtree was signed (TW-59)");
        foreach (Signed one in _signed)
        {
            if (fault(one) is string found) throw new RowFailedException(found, string.Create(CultureInfo.InvariantCulture, $"[{one.Start}, {one.End})"));
        }

        return Task.FromResult(string.Create(CultureInfo.InvariantCulture, $"so in {_signed.Count} answers"));
    }

    private static string? TimeFault(Signed one) =>
        one.Answer.Lines().Where(line => line.Signature.Length > 8).Select(line => BinaryPrimitives.ReadUInt64BigEndian(line.Signature.Span)).FirstOrDefault(time => time != 0) is > 0 and ulong time
            ? string.Create(CultureInfo.InvariantCulture, $"the time {time}")
            : null;

    private byte[] Body(long start, long end) => Body(First(start, end), witness.Tree.Range(start, end), Lines(start, end), Reference());

    private static byte[] Body(string first, Hash hash, string[] proof, string checkpoint) => WitnessTester.Body(first, [hash.ToBase64(), .. proof], checkpoint);

    private static string First(long start, long end) => string.Create(CultureInfo.InvariantCulture, $"subtree {start} {end}");

    private string[] Lines(long start, long end) => [.. witness.Tree.Subtree(start, end, _reference.Size).Select(hash => hash.ToBase64())];

    /// <summary>The checkpoint with the witness's own lines and no other (TW-54).</summary>
    private string Reference() => $"{_reference.Cosigned.Text}\n{Own()}";

    private string Own() => Encoding.UTF8.GetString(_reference.Cosigned.Answer);

    private static bool Matches(INoteVerifier key, NoteSignature line) => line.KeyId == key.Key.KeyId && line.Name == key.Key.Name;

    private static string Flipped(NoteSignature line)
    {
        byte[] bytes = line.Signature.ToArray();
        bytes[40] ^= 1; // after the time (8 bytes) and the first half of an Ed25519 signature; in the middle of an ML-DSA-44 one
        return new NoteSignature(line.Name, line.KeyId, bytes).ToLine();
    }
}
