using System.Text.Json;

namespace TransparencyLog.Witness.Http;

/// <summary>GET /status: what the page says, as JSON for the operator's machines (spec/witness-api.md).</summary>
internal sealed class Status(CheckpointWitness witness, WitnessedLogs logs, Evidence evidence, LogLists lists, IReadOnlyList<VerifierKey> keys)
{
    /// <summary>A plus stays a plus, so that a vkey can be copied: the answer is never taken for HTML.</summary>
    private static readonly JsonWriterOptions Options = new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    /// <summary>The object as it is now.</summary>
    public byte[] Write()
    {
        using MemoryStream bytes = new();
        using (Utf8JsonWriter json = new(bytes, Options))
        {
            json.WriteStartObject();
            json.WriteString("name", keys[0].Name);
            json.WriteStartArray("vkeys");
            foreach (VerifierKey key in keys) json.WriteStringValue(key.ToString());
            json.WriteEndArray();
            json.WriteString("trouble", witness.Hindrance is Unavailability why ? Answers.Describe(why) : null);
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
            foreach (WitnessedLog log in logs.All.OrderBy(log => log.Origin, StringComparer.Ordinal)) Write(json, log);
            json.WriteEndArray();
            json.WriteEndObject();
        }

        return bytes.ToArray();
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
