using System.Text.Json;
using TransparencyLog.Hosting;

namespace TransparencyLog.Witness.Http;

/// <summary>GET /status: the content of the page as JSON, for the operator's machines (spec/witness-api.md).</summary>
internal sealed class Status(CheckpointWitness witness, WitnessedLogs logs, Evidence evidence, LogLists lists, IReadOnlyList<VerifierKey> keys)
{
    /// <summary>Writes a plus as a plus, so that a vkey can be copied. That is safe because the answer is never interpreted as HTML.</summary>
    private static readonly JsonWriterOptions Options = new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>Logs on one page when the request does not say: an answer of about 550 kB.</summary>
    public const int UsualLimit = 1000;

    /// <summary>Most logs that are named as waiting for the clock. An operator needs only the first of them.</summary>
    private const int MaxWaiting = 100;

    /// <summary>Makes the object from the present state.</summary>
    public PagedAnswer Write()
    {
        WitnessedLog[] all = [.. logs.All.OrderBy(log => log.Origin, StringComparer.Ordinal)];
        int[] ends = new int[all.Length + 1];
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, Options))
        {
            json.WriteStartObject();
            json.WriteString("name", keys[0].Name);
            json.WriteStartArray("vkeys");
            foreach (VerifierKey key in keys) json.WriteStringValue(key.ToString());
            json.WriteEndArray();
            json.WriteString("trouble", witness.Trouble is Unavailability why ? Answers.Describe(why) : null);
            WriteClock(json);
            json.WriteStartArray("lists");
            foreach ((string name, ListTrouble trouble) in lists.Troubles)
            {
                json.WriteStartObject();
                json.WriteString("list", name);
                json.WriteString("state", trouble.State);
                json.WriteString("reason", trouble.Reason);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("logs");
            ends[0] = (int)(json.BytesCommitted + json.BytesPending);
            for (int i = 0; i < all.Length; i++)
            {
                Write(json, all[i]);
                ends[i + 1] = (int)(json.BytesCommitted + json.BytesPending);
            }

            json.WriteEndArray();
            json.WriteEndObject();
        }

        // PagedAnswer adds the end of the object after each page.
        byte[] items = bytes.GetBuffer().AsSpan(0, ends[^1]).ToArray();
        return new PagedAnswer([.. all.Select(log => log.OriginHash)], items, ends, ",".Length, next => $"{(all.Length == 0 ? "" : "\n  ")}],\n  \"next\": {(next is Hash hash ? $"\"{hash.ToHex()}\"" : "null")}\n}}");
    }

    /// <summary>Writes the verdict on the clock, and the first hundred of the logs that wait for it.</summary>
    private void WriteClock(Utf8JsonWriter json)
    {
        (WitnessedLog Log, DateTimeOffset Until)[] waiting = [.. witness.Waiting().OrderBy(one => one.Log.Origin, StringComparer.Ordinal)];
        ClockState state = witness.Clock.State;
        json.WriteStartObject("clock");
        json.WriteString("state", (state == ClockState.Right && waiting.Length > 0 ? ClockState.Behind : state).ToString().ToLowerInvariant());
        json.WriteString("lastKnown", witness.Clock.LastKnown is DateTimeOffset last ? SigningClock.Format(last) : null);
        json.WriteNumber("waitingLogs", waiting.Length);
        json.WriteStartArray("waiting");
        foreach ((WitnessedLog log, DateTimeOffset until) in waiting.Take(MaxWaiting))
        {
            json.WriteStartObject();
            json.WriteString("origin", log.Origin);
            json.WriteString("until", SigningClock.Format(until));
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteEndObject();
    }

    private void Write(Utf8JsonWriter json, WitnessedLog log)
    {
        json.WriteStartObject();
        json.WriteString("origin", log.Origin);
        json.WriteString("originHash", log.OriginHash.ToHex());
        json.WriteBoolean("listed", log.Trust.Keys.Count > 0);
        if (log.Latest is CosignedCheckpoint latest)
        {
            json.WriteNumber("size", latest.Checkpoint.Size);
            json.WriteString("root", latest.Checkpoint.Root.ToString());
            json.WriteString("cosigned", DateTimeOffset.FromUnixTimeSeconds((long)latest.Timestamp).ToString("yyyy-MM-ddTHH:mm:ssZ", System.Globalization.CultureInfo.InvariantCulture));
        }

        json.WriteStartObject("refusals");
        foreach ((int status, string meaning) in Refusals.Kinds) json.WriteNumber(meaning, log.Refusals.Of(status));
        json.WriteEndObject();
        json.WriteString("evidence", evidence.Describe(log.OriginHash));
        json.WriteEndObject();
    }
}
