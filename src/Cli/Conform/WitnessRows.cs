// The rows of spec/conformance.md that a witness answers for in add-checkpoint (sections 1, 4, 5.1 and 5.2), in the order in which they run: first the rows
// that need a witness that has never cosigned the origin, then growth, then everything that is to be refused, and last the checks of all answers together.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Cli.Conform;

/// <summary>add-checkpoint, row by row.</summary>
internal sealed class WitnessRows(WitnessTester witness)
{
    /// <summary>
    /// Bytes of a large signature. 15 lines with one each and 63 hashes are the body that TW-10 is about. A line of ML-DSA-44 has about 3.3 kB, and
    /// specifications speak of "nearly 5 kB each".
    /// </summary>
    private const int LargeSignature = 2750;

    private const string AFirstTime = "it takes a witness that has never cosigned the origin: run with a new key and origin";

    public IEnumerable<Row> First()
    {
        WitnessTester w = witness;
        yield return new Row("TW-28", "M", "old 0, a checkpoint of size 0 with another root than that of the empty tree", "422", async () =>
            await FirstAsync("TW-28", "old 0, a checkpoint of size 0 with another root", WitnessTester.Body(0, [], w.Sign(w.Text(0, MerkleHash.Leaf("not empty"u8)))), w.At(0)));
        yield return new Row("TW-29", "M", "old 0, one proof line, a checkpoint of size 3", "422", async () =>
            await FirstAsync("TW-29", "old 0, one proof line", WitnessTester.Body(0, [w.Tree.Root(2)], w.Sign(w.Text(3))), w.At(3)));
        yield return new Row("TW-33", "M", "honest requests from size to size, the empty tree first, then by 1, 1, 1, 4, 1, 5", "200 to each", async () =>
        {
            if (w.WasFresh) await w.CosignedAsync("TW-33", "old 0 and the empty tree", 0);
            foreach (int by in (int[])[1, 1, 1, 4, 1, 5])
            {
                await w.CosignedAsync("TW-33", string.Create(CultureInfo.InvariantCulture, $"old {w.Size}, the proof and the checkpoint of size {w.Size + by}"), by);
            }

            return "200 to each";
        });
    }

    public IEnumerable<Row> Requests()
    {
        WitnessTester w = witness;
        yield return new Row("TW-01", "M", "GET, HEAD, PUT and DELETE add-checkpoint", "405, or another 4xx", async () =>
        {
            List<string> came = [];
            foreach (HttpMethod method in (HttpMethod[])[HttpMethod.Get, HttpMethod.Head, HttpMethod.Put, HttpMethod.Delete])
            {
                Reply reply = await w.Submission.SendAsync(method, "add-checkpoint", method == HttpMethod.Put ? WitnessTester.Body(w.Size, [], w.Sign(w.Text(w.Size))) : null);
                if (reply.Status is not ((>= 400 and < 500) or 501)) throw new RowFailedException(reply.ToString(), $"{method} add-checkpoint");
                came.Add(reply.Status.ToString(CultureInfo.InvariantCulture));
            }

            return string.Join(", ", came);
        });
        yield return new Row("TW-03", "M", "an honest request with CR LF for each newline; one without the newline at its end", "400 (403 where the note alone is malformed)", async () =>
        {
            string body = Encoding.UTF8.GetString(Next());
            await RefusedAsync("TW-03", "CR LF for each newline", body.Replace("\n", "\r\n", StringComparison.Ordinal), 400);
            await RefusedAsync("TW-03", "no newline at the end", body[..^1], 400, 403);
            return "400 or 403";
        });
        yield return new Row("TW-04", "M", "the right old size, written in other ways", "400 to each", async () =>
        {
            foreach (string format in (string[])["old 0{0}", "old +{0}", "old  {0}", "old {0} ", "old {0} 1", "old {0}.0", "old -{0}", "Old {0}", "{0}", "old", "old 18446744073709551616"])
            {
                string first = string.Format(CultureInfo.InvariantCulture, format, w.Size);
                await RefusedAsync("TW-04", $"\"{first}\"", Encoding.UTF8.GetString(Next(first)), 400);
            }

            return "400 to each";
        });
        yield return new Row("TW-05", "M", "a right proof with one line that is not the one base64 of 32 bytes", "400 to each; trailing bits are told only", async () =>
        {
            await AheadAsync("TW-05");
            List<string> proof = [.. w.Proof(w.Size + 1).Select(hash => hash.ToBase64())];
            string good = proof[0];
            (string What, string Line)[] lines =
            [
                ("a hash of 31 bytes", Convert.ToBase64String(w.Tree.Root(1).ToArray().AsSpan(1))),
                ("a hash of 33 bytes", Convert.ToBase64String([.. w.Tree.Root(1).ToArray(), 0])),
                ("a hash without its padding", good.TrimEnd('=')),
                ("a hash with a space behind it", good + " "),
                ("a hash in hex", w.Proof(w.Size + 1)[0].ToHex()),
                ("two hashes in one line", good + good),
            ];
            foreach ((string what, string line) in lines)
            {
                await RefusedAsync("TW-05", what, Encoding.UTF8.GetString(WitnessTester.Body(OldLine, [line, .. proof.Skip(1)], w.Sign(w.Text(w.Size + 1)))), 400);
            }

            return $"400 to each; trailing bits {Status(await LenientAsync("TW-05", "a hash with its trailing bits set", [WithTrailingBits(good), .. proof.Skip(1)], w.Sign(w.Text(w.Size + 1)), 400))}";
        });
        yield return new Row("TW-06", "MN", "64 proof lines; 63 proof lines (none of which proves anything)", "400 or 422; 422", async () =>
        {
            string[] lines = [.. Enumerable.Range(0, 64).Select(i => MerkleHash.Leaf([(byte)i]).ToBase64())];
            string note = w.Sign(w.Text(w.Size + 1));
            Reply tooMany = await RefusedAsync("TW-06", "64 proof lines", Encoding.UTF8.GetString(WitnessTester.Body(OldLine, lines, note)), 400, 422);
            return $"{Status(tooMany)}; " + Status(await RefusedAsync("TW-06", "63 proof lines", Encoding.UTF8.GetString(WitnessTester.Body(OldLine, lines[1..], note)), 422, 200)); // either status shows that the lines were read; TW-30 fails a 200
        });
        yield return new Row("TW-08", "S", "two requests, one after the other", "both over one connection", async () =>
        {
            await w.AdvanceAsync(w.Size + 1);
            int before = w.Submission.Connections;
            await w.AdvanceAsync(w.Size + 1);
            return w.Submission.Connections == before ? "both over one connection" : throw new RowFailedException("another connection for the second");
        });
        yield return new Row("TW-09", "D", "an honest request with a second empty line before the note", "400, 403 or 404", async () =>
        {
            byte[] body = WitnessTester.Body(w.Size, w.Proof(w.Size + 1), "\n" + w.Sign(w.Text(w.Size + 1)));
            return Status(await w.RefusedAsync("TW-09", "a second empty line before the note", body, w.At(w.Size + 1), 400, 403, 404));
        });
        yield return new Row("TW-10", "D", "an honest request of 56 KiB: 15 lines of unknown keys, as long as post-quantum signatures are", "200", async () =>
            await w.CosignedAsync("TW-10", "56 KiB", 1, text => w.Sign(text) + string.Concat(Enumerable.Range(0, 15).Select(i => StrangerLine($"stranger{i}.example", LargeSignature)))));
        yield return new Row("SN-11", "M", "a note with 16 signature lines, 15 of them of unknown keys", "200", async () =>
            await w.CosignedAsync("SN-11", "16 lines", 1, text => w.Sign(text) + string.Concat(Enumerable.Range(0, 15).Select(i => StrangerLine($"stranger{i}.example", 72)))));
        yield return new Row("TW-22", "M", "lines of unknown keys before and behind the log's; one of them with the witness's own name and key ID", "200", async () =>
        {
            await w.CosignedAsync("TW-22", "a stranger's line before the log's", 1, text => $"{text}\n{StrangerLine("stranger.example", 64)}{w.Line(text)}");
            await w.CosignedAsync("TW-22", "strangers' lines behind the log's", 1, text => w.Sign(text) + StrangerLine("stranger.example", 64) + StrangerLine("another.example/x", 5));
            VerifierKey own = w.Keys[0].Key;
            await w.CosignedAsync("TW-22", "a line with the witness's name and key ID that does not verify", 1, text => w.Sign(text) + new NoteSignature(own.Name, own.KeyId, new byte[own.SignatureType == VerifierKey.MlDsa44Cosignature ? Cosignature.MlDsa44Size : Cosignature.Ed25519Size]).ToLine());
            return "200 to each";
        });
        yield return new Row("SN-13", "M", "a line with the log's name and another key ID; one with its key ID and another name", "200", async () =>
        {
            VerifierKey log = w.Signer.Key;
            await w.CosignedAsync("SN-13", "the log's name, another key ID", 1, text => w.Sign(text) + new NoteSignature(log.Name, log.KeyId ^ 1, new byte[64]).ToLine());
            await w.CosignedAsync("SN-13", "the log's key ID, another name", 1, text => w.Sign(text) + new NoteSignature("stranger.example", log.KeyId, new byte[64]).ToLine());
            return "200 to each";
        });
        yield return new Row("TW-12", "D", "the next checkpoint, signed by the origin's second key; then the one behind it by the first key, from the old size before both", "200; 409 with the size of the former", async () =>
        {
            if (w.Second is null) throw new NotObservedException("it takes a second key of the origin that the witness trusts (--second-key)");
            long old = w.Size;
            await w.CosignedAsync("TW-12", "signed by the second key", 1, text => $"{text}\n{w.Second.Sign(Encoding.UTF8.GetBytes(text)).ToLine()}");
            Reply reply = await w.RefusedAsync("TW-12", "the old size before it, signed by the first key", WitnessTester.Body(old, w.Tree.Consistency(old, old + 2), w.Sign(w.Text(old + 2))), w.At(old + 2), 409);
            return $"200; {Status(reply)}";
        });
    }

    public IEnumerable<Row> Refusals()
    {
        WitnessTester w = witness;
        yield return new Row("TW-20", "M", "a checkpoint of an unknown origin, signed by an unknown key; the same signed by the log's key", "404 to each", async () =>
        {
            using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
            string text = string.Create(CultureInfo.InvariantCulture, $"unknown.{w.Origin}\n1\n{w.Tree.Root(1).ToBase64()}\n");
            string stranger = new NoteSigner($"unknown.{w.Origin}", key).Sign(Encoding.UTF8.GetBytes(text)).ToLine();
            await w.RefusedAsync("TW-20", "an unknown origin, signed by an unknown key", WitnessTester.Body(0, [], $"{text}\n{stranger}"), w.At(w.Size), 404);
            await w.RefusedAsync("TW-20", "an unknown origin, signed by the log's key", WitnessTester.Body(0, [], w.Sign(text)), w.At(1), 404);
            return "404 to each";
        });
        yield return new Row("TW-21", "M", "honest requests but for the signature: another key; the log's, with a bit flipped; both the right line and such a one, in either order", "403 to each", async () =>
        {
            using Ed25519PrivateKey key = Ed25519PrivateKey.Generate();
            NoteSigner stranger = new(w.Origin, key);
            string text = w.Text(w.Size + 1), good = w.Line(text), bad = Flipped(w.Signer.Sign(Encoding.UTF8.GetBytes(text)));
            (string What, string Lines)[] notes =
            [
                ("signed by another key of the same name", stranger.Sign(Encoding.UTF8.GetBytes(text)).ToLine()),
                ("the log's signature with a bit flipped", bad),
                ("the right line, and a second one with its name and key ID that does not verify", good + bad),
                ("the same in the other order", bad + good),
            ];
            foreach ((string what, string lines) in notes) await w.RefusedAsync("TW-21", what, Request($"{text}\n{lines}"), w.At(w.Size + 1), 403);
            return "403 to each";
        });
        yield return new Row("TW-23", "M", "the right old size and a checkpoint of a smaller one", "400", async () =>
        {
            await AheadAsync("TW-23");
            Reply reply = await w.RefusedAsync(
                "TW-23", string.Create(CultureInfo.InvariantCulture, $"old {w.Size} and a checkpoint of size {w.Size - 1}"), WitnessTester.Body(w.Size, [], w.Sign(w.Text(w.Size - 1))), w.At(w.Size - 1), 400);
            return Status(reply);
        });
        yield return new Row("TW-24", "D", "bodies, notes and checkpoints that are malformed, the last ones rightly signed", "400 to each (403 where it is the note's signature lines); trailing bits are told only", async () =>
        {
            foreach ((string what, byte[] body, bool ofLines) in Malformed()) await w.RefusedAsync("TW-24", what, body, w.At(w.Size + 1), ofLines ? [400, 403] : [400]);

            // A witness may accept or reject trailing bits (RFC 4648, section 3.5).
            string text = w.Text(w.Size + 1), signature = w.Line(text)[..^1];
            Reply line = await LenientAsync("TW-24", "the log's signature line with its trailing bits set", w.Proof(w.Size + 1).Select(hash => hash.ToBase64()), $"{text}\n{WithTrailingBits(signature)}\n", 400, 403);
            string[] lines = w.Text(w.Size + 1).Split('\n');
            Reply root = await LenientAsync("TW-24", "a root with its trailing bits set", w.Proof(w.Size + 1).Select(hash => hash.ToBase64()), w.Sign($"{lines[0]}\n{lines[1]}\n{WithTrailingBits(lines[2])}\n"), 400);
            return $"400, or 403 for signature lines; trailing bits in a signature {Status(line)}, in the root {Status(root)}";
        });
        yield return new Row("TW-25", "M", "other old sizes than the last one cosigned: 0, one less, one more, each with the right proof", "409 to each", async () =>
        {
            if (w.First.Status == 200) throw new RowFailedException(w.First.ToString(), "old 2 and a proof that holds nowhere, before anything was cosigned", Deviations.FirstContact);
            await AheadAsync("TW-25");
            foreach (long old in (long[])[0, w.Size - 1, w.Size + 1])
            {
                await w.RefusedAsync(
                    "TW-25", string.Create(CultureInfo.InvariantCulture, $"old {old} where {w.Size} is cosigned"), WitnessTester.Body(old, w.Tree.Consistency(old, w.Size + 2), w.Sign(w.Text(w.Size + 2))), w.At(w.Size + 2), 409);
            }

            return w.WasFresh ? "409 to each, and to old 2 before anything was cosigned" : "409 to each";
        });
        yield return new Row("TW-26", "M", "another old size than the last one cosigned", "the body of the 409 is that size in decimal and a newline", async () =>
        {
            Reply reply = await ConflictAsync();
            string expected = string.Create(CultureInfo.InvariantCulture, $"{w.Size}\n");
            return Encoding.Latin1.GetString(reply.Body) == expected ? reply.ToString() : throw new RowFailedException($"{reply}, and not \"{expected.TrimEnd()}\\n\"");
        });
        yield return new Row("TW-27", "M", "another old size than the last one cosigned", $"Content-Type: {AddCheckpointResponse.SizeContentType}, exactly", async () =>
        {
            Reply reply = await ConflictAsync();
            return reply.ContentType == AddCheckpointResponse.SizeContentType ? reply.ContentType : throw new RowFailedException(reply.ContentType is null ? "no Content-Type" : $"Content-Type: {reply.ContentType}");
        });
        yield return new Row("TW-30", "M", "a larger tree with proofs that do not hold: a bit flipped, a hash short, a hash long, none; a second branch with its own proof", "422 to each", async () =>
        {
            await AheadAsync("TW-30");
            Hash[] proof = [.. w.Proof(w.Size + 2)];
            TesterTree fork = w.Tree.Fork(w.Size - 1);
            (string What, Hash[] Proof, TesterTree Tree)[] proofs =
            [
                ("a proof with one bit flipped", [Flipped(proof[0]), .. proof[1..]], w.Tree),
                ("a proof without its last hash", proof[..^1], w.Tree),
                ("a proof with a hash too many", [.. proof, proof[0]], w.Tree),
                ("no proof", [], w.Tree),
                ("a tree that is another from the last cosigned entry on, with its own proof", [.. fork.Consistency(w.Size, w.Size + 2)], fork),
            ];
            foreach ((string what, Hash[] hashes, TesterTree tree) in proofs)
            {
                await w.RefusedAsync("TW-30", what, WitnessTester.Body(w.Size, hashes, w.Sign(w.Text(w.Size + 2, tree.Root(w.Size + 2)))), new Claim(tree, w.Size + 2), 422);
            }

            return "422 to each";
        });
        yield return new Row("TW-31", "M", "the size that is cosigned with another root", "422", async () =>
        {
            await AheadAsync("TW-31");
            TesterTree fork = w.Tree.Fork(w.Size - 1);
            return Status(await w.RefusedAsync("TW-31", "the size that is cosigned with another root", WitnessTester.Body(w.Size, [], w.Sign(w.Text(w.Size, fork.Root(w.Size)))), new Claim(fork, w.Size), 422));
        });
        yield return new Row("TW-39", "M", "three times four requests at once, from one size to four larger ones", "one 200 each time, 409 to the others", async () =>
        {
            await AheadAsync("TW-39");
            for (int round = 0; round < 3; round++)
            {
                long old = w.Size;
                long[] sizes = [old + 1, old + 2, old + 3, old + 4];
                byte[][] bodies = [.. sizes.Select(size => WitnessTester.Body(old, w.Proof(size), w.Sign(w.Text(size))))];
                Reply[] replies = await Task.WhenAll(sizes.Select((size, i) => w.PostAsync(bodies[i], w.Text(size))));
                long[] taken = [.. sizes.Where((_, i) => replies[i].Status == 200)];
                if (taken.Length == 1) w.Follow(taken[0]);
                else foreach (long size in taken) w.Doubt(w.At(size));
                if (taken.Length != 1 || replies.Any(reply => reply.Status is not (200 or 409))) throw new RowFailedException(string.Join(", ", replies.Select(Status)));
            }

            return "one 200 each time, 409 to the others";
        });
        yield return new Row("TW-42", "D", "the checkpoint that is cosigned again, no proof, more than a second later; the same with a proof line", "200 with a later time; 422", async () =>
        {
            await w.CosignedAsync("TW-42", "the same again", 0);
            ulong[] before = Times(w.Cosigned[^1]);
            await Task.Delay(TimeSpan.FromMilliseconds(1100), w.Time);
            await w.CosignedAsync("TW-42", "the same again", 0);
            ulong[] after = Times(w.Cosigned[^1]);
            if (before.Length == 0 || after.Length == 0) throw new NotObservedException("no line of a known key, so no time");
            if (after.Min() <= before.Max()) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"the time {after.Min()} after {before.Max()}"), "the same again, more than a second later");
            await w.RefusedAsync("TW-42", "the same with a proof line", WitnessTester.Body(w.Size, [w.Tree.Root(1)], w.Sign(w.Text(w.Size))), w.At(w.Size), 422);
            return "200 with a later time; 422";
        });
        yield return new Row("CO-11", "M", "a larger tree, its checkpoint with an extension line", "200 and Ed25519 signatures over the extension line too, or a refusal", async () =>
        {
            string text = w.Text(w.Size + 1) + "an extension line\n";
            Reply reply = await w.PostAsync(WitnessTester.Body(w.Size, w.Proof(w.Size + 1), w.Sign(text)), null);
            if (reply.Status != 200) throw new NotObservedException($"it takes no extension lines ({Status(reply)}), as Sunlight's witness");
            w.Follow(w.Size + 1);
            return Check(new Cosigned(text, reply.Body), VerifierKey.Ed25519Cosignature) ?? "200, and the signatures cover it";
        });
        yield return new Row("CO-20", "D", "a larger tree, its checkpoint with an extension line", "a refusal, or no ML-DSA-44 signature shown beside the extension line", async () =>
        {
            _ = Of(VerifierKey.MlDsa44Cosignature);
            Reply reply = await w.PostAsync(WitnessTester.Body(w.Size, w.Proof(w.Size + 1), w.Sign(w.Text(w.Size + 1) + "an extension line\n")), null);
            if (reply.Status != 200) return Status(reply);
            w.Follow(w.Size + 1);
            if (!new Cosigned("", reply.Body).Lines().Any(line => line.Signature.Length == Cosignature.MlDsa44Size)) return "200 without one";
            Reply shown = await w.Monitoring.GetAsync(w.MonitorPath);
            if (shown.Status != 200 || !Note.TryParse(shown.Body, out Note? note)) throw new NotObservedException("nothing is shown to monitors (TW-70)");
            bool beside = Encoding.UTF8.GetString(note!.Text.Span).Contains("\nan extension line\n", StringComparison.Ordinal) && note.Signatures.Any(line => line.Signature.Length == Cosignature.MlDsa44Size);
            return beside ? throw new RowFailedException("one is shown beside it") : "200, and the extension line is not shown";
        });
        yield return new Row("CO-23", "M", "requests that were cosigned before, once more; all times of all answers", "409 to each; times that do not go back and are of today", async () =>
        {
            await AheadAsync("CO-23");
            foreach (long back in (long[])[1, 3])
            {
                long old = Math.Max(0, w.Size - back - 1), size = w.Size - back;
                byte[] body = WitnessTester.Body(old, w.Tree.Consistency(old, size), w.Sign(w.Text(size)));
                await w.RefusedAsync("CO-23", string.Create(CultureInfo.InvariantCulture, $"old {old} and size {size} again, where {w.Size} is cosigned"), body, w.At(size), 409);
            }

            double now = w.Time.GetUtcNow().ToUnixTimeSeconds();
            ulong last = 0;
            foreach (ulong moment in w.Cosigned.SelectMany(Times))
            {
                if (moment != 0 && moment < last) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"the time {moment} after {last}"), "honest requests, one after the other");
                if (moment != 0 && Math.Abs(now - moment) > TimeSpan.FromDays(1).TotalSeconds) throw new RowFailedException(string.Create(CultureInfo.InvariantCulture, $"the time {moment}, where the tester has {now}"), "an honest request");
                last = Math.Max(last, moment);
            }

            return "409 to each; times that do not go back";
        });
        yield return new Row("TW-32", "MN", "everything above that was refused", "no signature line in any refusal, and the state is that of the last 200", async () =>
        {
            if (w.Refusals.FirstOrDefault(reply => Encoding.UTF8.GetString(reply.Body).Split('\n').Any(line => line.StartsWith('—'))) is Reply leak) throw new RowFailedException(leak.ToString());
            await AheadAsync("TW-32");
            byte[] wrong = WitnessTester.Body(w.Size, [], w.Sign(w.Text(w.Size + 1)));
            if ((await w.PostAsync(wrong, null)).Status == 200)
            {
                w.Doubt(w.At(w.Size + 1));
                throw new NotObservedException("a larger tree without a proof was cosigned (TW-30)");
            }

            await w.CosignedAsync("TW-32", "the next honest request after a refused one");
            return string.Create(CultureInfo.InvariantCulture, $"none in {w.Refusals.Count} refusals, and the next honest request is cosigned");
        });
        yield return new Row("TW-11", "D", "all of this without credentials", "never 401 or 407", () => w.Refusals.FirstOrDefault(reply => reply.Status is 401 or 407) is Reply asked
            ? throw new RowFailedException(asked.ToString())
            : Task.FromResult("never"));
    }

    /// <summary>Checks of all the answers together; run last.</summary>
    public IEnumerable<Row> Answers()
    {
        const string Honest = "all honest requests";
        yield return new Row("TW-34", "M", Honest, "a 200 has signature lines and nothing else, each by a key of the witness", () => EachAsync(one =>
        {
            if (one.Answer.Length == 0) return "an empty body";
            foreach (byte[] raw in one.RawLines())
            {
                string line = Encoding.UTF8.GetString(raw);
                if (!line.StartsWith("— ", StringComparison.Ordinal) || !line.EndsWith('\n')) return $"a line that is none: \"{Short(line)}\"";
                string name = line.Split(' ')[1];
                if (!witness.Keys.Any(key => key.Key.Name == name)) return $"a line of {Short(name)}";
            }

            return null;
        }));
        yield return new Row("TW-35", "S", Honest, "a cosignature by an ML-DSA-44 key", () => EachAsync(one => one.Lines().Any(line => line.Signature.Length == Cosignature.MlDsa44Size) ? null : "none"));
        yield return new Row("CO-21", "S", Honest, "a cosignature by an ML-DSA-44 key", () => EachAsync(one => one.Lines().Any(line => line.Signature.Length == Cosignature.MlDsa44Size) ? null : "none"));
        yield return new Row("TW-37", "MN", Honest, "no time of 0", () => EachAsync(one => Times(one).Contains(0ul) ? "the time 0" : null));
        yield return new Row("CO-01", "M", Honest, "a cosignature is a signature line under the checkpoint that was sent", () => EachAsync(one =>
            Note.TryParse(Encoding.UTF8.GetBytes($"{one.Text}\n{Encoding.UTF8.GetString(one.Answer)}"), out _) ? null : "checkpoint and answer together are no note"));
        yield return new Row("CO-02", "S", "the keys that were given", "names without a scheme", () => Task.FromResult(
            witness.Keys.FirstOrDefault(key => key.Key.Name.Contains("://", StringComparison.Ordinal)) is INoteVerifier named ? throw new RowFailedException(named.Key.Name) : witness.Keys[0].Key.Name));
        yield return new Row("CO-03", "M", Honest, "a line with the name and key ID of each Ed25519 key that was given", () => HasAsync(VerifierKey.Ed25519Cosignature));
        yield return new Row("CO-04", "M", Honest, "a line with the name and key ID of each ML-DSA-44 key that was given", () => HasAsync(VerifierKey.MlDsa44Cosignature));
        yield return new Row("CO-05", "M", Honest, "behind the key ID an 8 byte time and the signature", () => EachAsync(WrongLength));
        yield return new Row("CO-06", "D", Honest, "72 bytes behind the key ID for Ed25519, 2,428 for ML-DSA-44", () => EachAsync(WrongLength));
        yield return new Row("CO-07", "MN", Honest, "no time above 2^63-1", () => EachAsync(one => Times(one).Any(moment => moment > long.MaxValue) ? "a time above 2^63-1" : null));
        foreach ((string id, string level, string expected) in ((string, string, string)[])
            [("CO-09", "M", "Ed25519 signatures on a header line, a time line and the whole text that was sent"), ("CO-10", "M", "the time in that message in decimal without leading zeros")])
        {
            yield return new Row(id, level, Honest, expected, () => VerifyAsync(VerifierKey.Ed25519Cosignature));
        }

        foreach ((string id, string level, string expected) in ((string, string, string)[])
            [
                ("CO-13", "M", "ML-DSA-44 signatures on the cosigned_message of the checkpoint that was sent"), ("CO-16", "M", "start 0, end the tree size, hash the root in it"), ("TW-36", "M", "start 0, end the tree size in it"),
                ("CO-17", "M", "the origin without its newline in it"), ("CO-19", "D", "FIPS 204 pure mode with empty context"),
            ])
        {
            yield return new Row(id, level, Honest, expected, () => VerifyAsync(VerifierKey.MlDsa44Cosignature));
        }

        byte[] types = [.. witness.Keys.Select(key => key.Key.SignatureType).Distinct()];
        yield return new Row("CO-18", "D", Honest, "the time in the message is the one before the signature", () => VerifyAsync(types));
        yield return new Row("SN-09", "M", Honest, "a key ID of 4 bytes and the algorithm's bytes", () => VerifyAsync(types));
        yield return new Row("SN-02", "M", Honest, "em dash, space, key name, space, base64, newline", () => EachAsync(one =>
            one.RawLines().Select(Encoding.UTF8.GetString).FirstOrDefault(line => line.Split(' ') is not ["—", _, { Length: > 1 }] || !line.EndsWith('\n')) is string bad ? $"\"{Short(bad)}\"" : null));
        yield return new Row("SN-03", "M", Honest, "UTF-8", () => EachAsync(one => Strict.IsUtf8(one.Answer) ? null : "bytes that are no UTF-8"));
        yield return new Row("SN-04", "MN", Honest, "no control character but newline", () => EachAsync(one => one.Answer.Any(character => character is < 0x20 and not (byte)'\n') ? "a control character" : null));
        yield return new Row("SN-07", "M", Honest, "key names that are not empty", () => EachAsync(one => Names(one).Any(name => name.Length == 0) ? "an empty name" : null));
        yield return new Row("SN-08", "MN", Honest, "no space and no plus in a key name", () => EachAsync(one => Names(one).FirstOrDefault(name => name.Length > 0 && !VerifierKey.IsKeyName(name)) is string bad ? Short(bad) : null));
        yield return new Row("SN-10", "M", Honest, "base64 of RFC 4648 section 4 in its one form", () => EachAsync(one =>
            one.RawLines().Select(raw => Encoding.UTF8.GetString(raw).TrimEnd('\n').Split(' ')[^1]).FirstOrDefault(text => !Strict.TryReadBase64(Encoding.UTF8.GetBytes(text), Note.MaxSize, out _)) is string bad ? $"\"{Short(bad)}\"" : null));
        yield return new Row("SN-18", "S", "the keys that were given", "names without a scheme", () => Task.FromResult(
            witness.Keys.FirstOrDefault(key => key.Key.Name.Contains("://", StringComparison.Ordinal)) is INoteVerifier named ? throw new RowFailedException(named.Key.Name) : witness.Keys[0].Key.Name));
        yield return new Row("SN-27", "SN", "the keys that were given", "no public key under two types", () => Task.FromResult(
            witness.Keys.Select(key => Convert.ToHexString(key.Key.PublicKey.Span)).Distinct(StringComparer.Ordinal).Count() == witness.Keys.Count ? "none" : throw new RowFailedException("one public key twice")));
    }

    /// <summary>Rows that no request shows.</summary>
    public static IEnumerable<Row> Unseen() =>
    [
        .. Row.UnseenAll("asked of whoever reads notes", "SN-05 M", "SN-06 M", "SN-12 S", "SN-17 M"),
        .. Row.UnseenAll("TW-21 and TW-22 are what a request shows of it", "SN-14 M", "SN-15 S", "SN-16 M", "SN-20 M"),
        .. Row.UnseenAll("asked of parsers of keys", "SN-21 M", "SN-22 D", "SN-26 M"),
        .. Row.UnseenAll("a vkey for which it does not hold is refused before the run begins", "SN-19 S", "SN-24 M", "SN-25 M", "CO-24 D"),
        .. Row.UnseenAll("the business of an implementation, not of its answers", "SN-23 S", "SN-28 D"),
        .. Row.UnseenAll("asked of whoever reads cosignatures", "CO-08 MAY", "CO-25 M"),
        .. Row.UnseenAll("a duty of the operator over all of its cosigners", "CO-12 M", "CO-22 M"),
        .. Row.UnseenAll("asked of a configuration", "CO-14 D"),
        .. Row.UnseenAll("asked of clients; that such requests are taken, TW-33 and TW-22 show", "TW-02 M", "TW-07 MAY", "TW-40 MAY", "TW-41 M"),
        Row.Unseen("TW-38", "M", "no request shows what is on a disk when the answer leaves"),
        Row.Unseen("TW-43", "D", "no request makes a store fail"),
    ];

    private string OldLine => string.Create(CultureInfo.InvariantCulture, $"old {witness.Size}");

    /// <summary>A request for one entry more, with this note.</summary>
    private byte[] Request(string note) => WitnessTester.Body(witness.Size, witness.Proof(witness.Size + 1), note);

    /// <summary>The honest request for one entry more, or the same with another first line.</summary>
    private byte[] Next(string? first = null) =>
        WitnessTester.Body(first ?? OldLine, witness.Proof(witness.Size + 1).Select(hash => hash.ToBase64()), witness.Sign(witness.Text(witness.Size + 1)));

    /// <summary>Brings the witness to a tree of a few leaves, which rows about proofs and forks need. If the witness refuses, the row fails.</summary>
    private async Task AheadAsync(string row)
    {
        const int Few = 5;
        if (witness.Size < Few) await witness.CosignedAsync(row, "an honest request", Few - witness.Size);
    }

    /// <summary>
    /// A request for a witness that has cosigned nothing. If it has cosigned something before, a 409 is as correct as the 422 that the row expects; the row is
    /// then not observed.
    /// </summary>
    private async Task<string> FirstAsync(string row, string what, byte[] body, Claim claim)
    {
        Reply reply = await witness.RefusedAsync(row, what, body, claim, witness.WasFresh && witness.Size == 0 ? [422] : [422, 409]);
        return reply.Status == 422 ? "422" : throw new NotObservedException(AFirstTime);
    }

    private Task<Reply> RefusedAsync(string row, string what, string body, params int[] statuses) => witness.RefusedAsync(row, what, Encoding.UTF8.GetBytes(body), witness.At(witness.Size + 1), statuses);

    /// <summary>
    /// A request for one entry more that the witness may cosign, or refuse with one of these statuses, because some decoders ignore what others reject. After a
    /// 200 the witness has the new size.
    /// </summary>
    private async Task<Reply> LenientAsync(string row, string what, IEnumerable<string> proof, string note, params int[] statuses)
    {
        long next = witness.Size + 1;
        Reply reply = await witness.PostAsync(WitnessTester.Body(OldLine, proof, note), null);
        if (reply.Status == 200) witness.Follow(next);
        else if (!statuses.Contains(reply.Status)) throw new RowFailedException(reply.ToString(), what, Deviations.Of(row, reply.Status));
        return reply;
    }

    private async Task<Reply> ConflictAsync()
    {
        await AheadAsync("TW-25");
        Reply reply = await witness.PostAsync(WitnessTester.Body(witness.Size - 1, witness.Tree.Consistency(witness.Size - 1, witness.Size + 1), witness.Sign(witness.Text(witness.Size + 1))), null);
        if (reply.Status == 200) witness.Doubt(witness.At(witness.Size + 1));
        return reply.Status == 409 ? reply : throw new NotObservedException($"there was no 409 (TW-25), but {Status(reply)}");
    }

    private IEnumerable<(string What, byte[] Body, bool Lines)> Malformed()
    {
        WitnessTester w = witness;
        string text = w.Text(w.Size + 1), note = w.Sign(text), root = w.Tree.Root(w.Size + 1).ToBase64();
        string size = (w.Size + 1).ToString(CultureInfo.InvariantCulture);
        byte[] bytes = Encoding.UTF8.GetBytes(note);
        yield return ("an empty body", [], false);
        yield return ("the first line alone", Encoding.UTF8.GetBytes($"{OldLine}\n"), false);
        yield return ("no empty line", Encoding.UTF8.GetBytes($"{OldLine}\n{string.Concat(w.Proof(w.Size + 1).Select(hash => hash.ToBase64() + "\n"))}{note}"), false);
        yield return ("another first word", Next($"new {w.Size.ToString(CultureInfo.InvariantCulture)}"), false);
        yield return ("a note without signature lines", Request($"{text}\n"), true);
        yield return ("a signature line with a hyphen for its dash", Request(note.Replace('—', '-')), true);
        yield return ("a second signature line with a byte that is no UTF-8", [.. Request(note), .. "— stranger"u8, 0xff, .. ".example AAAAAAAA\n"u8], true);
        yield return ("a second signature line with a tab", Request(note + "—\tstranger.example AAAAAAAA\n"), true);
        yield return ("a size with a leading zero", Request(w.Sign($"{w.Origin}\n0{size}\n{root}\n")), false);
        yield return ("a size with a sign", Request(w.Sign($"{w.Origin}\n+{size}\n{root}\n")), false);
        yield return ("no root", Request(w.Sign($"{w.Origin}\n{size}\n")), false);
        yield return ("a root of 31 bytes", Request(w.Sign($"{w.Origin}\n{size}\n{Convert.ToBase64String(w.Tree.Root(w.Size + 1).ToArray().AsSpan(1))}\n")), false);
    }

    /// <summary>The row holds when <paramref name="fault"/> returns null for every answer.</summary>
    private Task<string> EachAsync(Func<Cosigned, string?> fault)
    {
        IReadOnlyList<Cosigned> all = witness.Cosigned;
        if (all.Count == 0) throw new NotObservedException("nothing was cosigned");
        foreach (Cosigned one in all)
        {
            if (fault(one) is string found) throw new RowFailedException(found, $"the checkpoint of size {one.Text.Split('\n')[1]}");
        }

        return Task.FromResult(string.Create(CultureInfo.InvariantCulture, $"so in {all.Count} answers"));
    }

    private Task<string> HasAsync(byte type)
    {
        INoteVerifier[] keys = Of(type);
        return EachAsync(one => keys.FirstOrDefault(key => !one.Lines().Any(line => Matches(key, line))) is INoteVerifier missing ? $"no line of {missing.Key.Name} with the key ID {missing.Key.KeyId:x8}" : null);
    }

    private Task<string> VerifyAsync(params byte[] types)
    {
        INoteVerifier[] keys = [.. types.SelectMany(Of)];
        if (!witness.Cosigned.Any(one => one.Lines().Any(line => keys.Any(key => Matches(key, line))))) throw new NotObservedException("no answer has a line with the name and key ID of such a key");
        return EachAsync(one => types.Select(type => Fault(one, type)).FirstOrDefault(fault => fault is not null));
    }

    /// <summary>The given keys of a type. Without one, the row is not observed.</summary>
    private INoteVerifier[] Of(byte type)
    {
        INoteVerifier[] keys = [.. witness.Keys.Where(key => key.Key.SignatureType == type)];
        return keys.Length > 0 ? keys : throw new NotObservedException(string.Create(CultureInfo.InvariantCulture, $"no vkey of type 0x{type:x2} was given"));
    }

    /// <summary>
    /// Returns null when the lines of keys of this type verify. The row fails for a line that does not, and is not observed without such a line.
    /// </summary>
    private string? Check(Cosigned one, byte type) => Fault(one, type) is string fault ? throw new RowFailedException(fault) : one.Lines().Any(line => Of(type).Any(key => Matches(key, line))) ? null : throw new NotObservedException("200 without a line of such a key");

    private string? Fault(Cosigned one, byte type)
    {
        byte[] text = Encoding.UTF8.GetBytes(one.Text);
        foreach (INoteVerifier key in Of(type))
        {
            // TW-37 and CO-07 judge invalid times, CO-06 signatures of another length.
            NoteSignature[] lines = [.. one.Lines().Where(line => Matches(key, line) && Cosignature.TryReadTimestamp(line.Signature.Span, out _))];
            if (lines.Any(line => !key.Verify(text, line.Signature.Span))) return $"a line of {key.Key.Name} that does not verify on what was sent";
        }

        return null;
    }

    private string? WrongLength(Cosigned one)
    {
        foreach (INoteVerifier key in witness.Keys)
        {
            int expected = key.Key.SignatureType == VerifierKey.MlDsa44Cosignature ? Cosignature.MlDsa44Size : Cosignature.Ed25519Size;
            foreach (NoteSignature line in one.Lines().Where(line => Matches(key, line)))
            {
                if (line.Signature.Length != expected) return string.Create(CultureInfo.InvariantCulture, $"{line.Signature.Length} bytes");
            }
        }

        return null;
    }

    /// <summary>The times of the lines of known keys.</summary>
    private ulong[] Times(Cosigned one) =>
        [.. one.Lines().Where(line => line.Signature.Length > 8 && witness.Keys.Any(key => Matches(key, line))).Select(line => System.Buffers.Binary.BinaryPrimitives.ReadUInt64BigEndian(line.Signature.Span))];

    private static IEnumerable<string> Names(Cosigned one) => one.RawLines().Select(raw => Encoding.UTF8.GetString(raw).TrimEnd('\n')).Where(line => line.StartsWith("— ", StringComparison.Ordinal) && line.LastIndexOf(' ') >= 2).Select(line => line[2..line.LastIndexOf(' ')]);

    private static bool Matches(INoteVerifier key, NoteSignature line) => line.KeyId == key.Key.KeyId && line.Name == key.Key.Name;

    private static string StrangerLine(string name, int signature) => new NoteSignature(name, 0x5eed0001, SHA256.HashData(Encoding.UTF8.GetBytes(name)).Concat(new byte[signature]).Take(signature).ToArray()).ToLine();

    private static string Flipped(NoteSignature signature)
    {
        byte[] bytes = signature.Signature.ToArray();
        bytes[^20] ^= 1; // in the second half, which in Ed25519 is a scalar, not a point
        return new NoteSignature(signature.Name, signature.KeyId, bytes).ToLine();
    }

    private static Hash Flipped(Hash hash)
    {
        byte[] bytes = hash.ToArray();
        bytes[7] ^= 1;
        return new Hash(bytes);
    }

    /// <summary>
    /// Sets an unused bit. Base64 of 32 bytes, and of a key ID and an Ed25519 signature, ends in a character whose last two bits are unused, and "=".
    /// </summary>
    private static string WithTrailingBits(string base64)
    {
        const string Alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        return string.Concat(base64.AsSpan(0, base64.Length - 2), Alphabet[Alphabet.IndexOf(base64[^2], StringComparison.Ordinal) | 1].ToString(), "=");
    }

    private static string Status(Reply reply) => reply.Status == 0 ? reply.ToString() : reply.Status.ToString(CultureInfo.InvariantCulture);

    private static string Short(string text) => text.Length > 60 ? text[..60] + "..." : text.TrimEnd('\n');
}
