using System.Buffers;
using System.Text;
using System.Text.Json;
using TransparencyLog.Client;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>GET /status: the state of the log and of each of its witnesses, as JSON (spec/log-api.md, "State").</summary>
internal static class StatusEndpoint
{
    /// <summary>Does not escape a plus, so that a vkey can be copied. Safe because the answer is never interpreted as HTML.</summary>
    private static readonly JsonWriterOptions Options = new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static void Map(WebApplication app, Engine engine, Settings settings)
    {
        SharedAnswer<byte[]> answer = new(() => Write(engine, settings), bytes => bytes.Length, TimeProvider.System);
        app.MapMethods("/status", ["GET", "HEAD"], Gate.Handle(context =>
        {
            context.Response.Headers.CacheControl = "no-store";
            return LargeAnswers.SendAsync(context, 200, "application/json", answer.Get());
        })).WithName("status").WithSummary("The state of the log and of each of its witnesses.").Produces<string>(200, "application/json");
    }

    private static byte[] Write(Engine engine, Settings settings)
    {
        ArrayBufferWriter<byte> bytes = new();
        using (Utf8JsonWriter json = new(bytes, Options)) Write(json, engine, settings);
        return bytes.WrittenSpan.ToArray();
    }

    private static void Write(Utf8JsonWriter json, Engine engine, Settings settings)
    {
        Publisher publisher = engine.Publisher;
        json.WriteStartObject();
        json.WriteString("origin", engine.Identity.Origin);
        json.WriteString("vkey", engine.Identity.VerifierKey);
        json.WriteString("state", HealthEndpoints.Word(engine.State));
        json.WriteNumber("durable", engine.Size);
        json.WriteNumber("signed", publisher.SignedSize);
        json.WriteNumber("published", publisher.Current?.Size ?? 0);
        json.WriteStartObject("quorum");
        json.WriteBoolean("needed", publisher.NeedsQuorum);
        json.WriteString("mode", settings.QuorumMode.ToString().ToLowerInvariant());
        if (publisher.DegradedSince is DateTimeOffset since) json.WriteString("degradedSince", HealthEndpoints.Time(since));
        else json.WriteNull("degradedSince");
        json.WriteEndObject();
        if (publisher.Held is HeldState held) Write(json, held);
        else json.WriteNull("held");
        ClockTrouble? clock = engine.Clock.Trouble;
        json.WriteStartObject("clock");
        json.WriteString("state", (clock?.State ?? ClockState.Right).ToString().ToLowerInvariant());
        json.WriteString("lastKnown", engine.Clock.LastKnown is DateTimeOffset last ? HealthEndpoints.Time(last) : null);
        json.WriteString("until", clock?.Until is DateTimeOffset until ? HealthEndpoints.Time(until) : null);
        json.WriteEndObject();
        json.WriteStartArray("conditions");
        if (engine.GuardTrouble is GuardTrouble trouble)
        {
            json.WriteStartObject();
            json.WriteString("condition", "guard-unavailable");
            json.WriteString("since", HealthEndpoints.Time(trouble.Since));
            json.WriteString("effect", "nothing is signed until the guard of this log answers");
            json.WriteEndObject();
        }

        json.WriteEndArray();
        json.WriteStartArray("witnesses");
        foreach (PolicyPeer peer in publisher.Peers) Write(json, peer, publisher.SignedSize, publisher.Trust);
        json.WriteEndArray();
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, HeldState held)
    {
        json.WriteStartObject("held");
        json.WriteString("what", held.What == Hold.Signing ? "appends" : "publication");
        json.WriteString("since", HealthEndpoints.Time(held.Since));
        json.WriteString("reason", held.Reason);
        json.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter json, PolicyPeer peer, long signed, WitnessTrust trust)
    {
        WitnessState state = peer.Feed.State;
        json.WriteStartObject();
        json.WriteStartArray("names");
        foreach (PolicyWitness line in peer.Lines) json.WriteStringValue(line.Name);
        json.WriteEndArray();
        json.WriteString("url", peer.Feed.SubmissionPrefix);
        json.WriteBoolean("required", peer.IsRequired);
        json.WriteString("condition", Word(state.Condition));
        if (state.Claim is WitnessClaim claim)
        {
            json.WriteStartObject("claims");
            json.WriteNumber("size", claim.Size);
            json.WriteString("since", HealthEndpoints.Time(claim.Since));
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("claims");
        }

        if (state.WentBack is WitnessRegress regress)
        {
            json.WriteStartObject("wentBack");
            json.WriteNumber("from", regress.Held.Checkpoint.Size);
            json.WriteNumber("to", regress.Size);
            json.WriteString("noticed", HealthEndpoints.Time(regress.Noticed));
            json.WriteBoolean("proven", regress.IsProven);
            json.WriteEndObject();
        }
        else
        {
            json.WriteNull("wentBack");
        }

        json.WriteBoolean("distrusted", trust.IsDistrusted(peer));
        json.WriteString("breaker", state.Breaker);
        WriteOrNull(json, "cosignedSize", state.CosignedSize);
        json.WriteNumber("lagEntries", LagOf(state, signed));
        json.WriteNumber("lagSeconds", Math.Round(state.Owed.TotalSeconds, 3));
        WriteOrNull(json, "latencySeconds", state.Latency is TimeSpan latency ? Math.Round(latency.TotalSeconds, 6) : null);
        json.WriteString("error", state.Trouble);
        json.WriteStartObject("requests");
        foreach (WitnessOutcome outcome in Enum.GetValues<WitnessOutcome>()) json.WriteNumber(outcome.ToString().ToLowerInvariant(), state.Requests[(int)outcome]);
        json.WriteEndObject();
        json.WriteEndObject();
    }

    private static string Word(WitnessCondition condition) => condition == WitnessCondition.WentBack ? "went-back" : condition.ToString().ToLowerInvariant();

    /// <summary>Entries under the newest signed head that the witness has not cosigned.</summary>
    private static long LagOf(WitnessState state, long signed) => Math.Max(0, signed - (state.CosignedSize ?? 0));

    private static void WriteOrNull(Utf8JsonWriter json, string name, double? value)
    {
        if (value is double number) json.WriteNumber(name, number);
        else json.WriteNull(name);
    }

    /// <summary>Writes the same for Prometheus. The label is the name in the policy, which the operator has chosen.</summary>
    public static void WriteMetrics(StringBuilder text, Publisher publisher)
    {
        text.AppendMetric("tlog_quorum_degraded", "gauge", $"{(publisher.DegradedSince is null ? 0 : 1)}");
        text.AppendMetric("tlog_publication_held", "gauge", $"{(publisher.Held is null ? 0 : 1)}");
        if (publisher.Peers.Count == 0) return;
        long signed = publisher.SignedSize;
        (string Name, WitnessState State, bool IsHealthy)[] all = [.. publisher.Peers.Select(peer => (Escape(peer.Name), peer.Feed.State, peer.Feed.IsHealthy))];
        Write("tlog_feed_cosigned_size", state => $"{state.CosignedSize ?? 0}");
        Write("tlog_feed_lag_entries", state => $"{LagOf(state, signed)}");
        Write("tlog_feed_lag_seconds", state => $"{state.Owed.TotalSeconds:F3}");
        Write("tlog_feed_latency_seconds", state => $"{state.Latency?.TotalSeconds ?? 0:F6}");
        Write("tlog_feed_breaker_open", state => $"{(state.Breaker == "closed" ? 0 : 1)}");
        Write("tlog_feed_contradicting", state => $"{(state.Claim is null ? 0 : 1)}");
        Write("tlog_feed_went_back_total", state => $"{state.TimesWentBack}", "counter");
        text.Append("# TYPE tlog_feed_healthy gauge\n");
        foreach ((string name, _, bool isHealthy) in all) text.Append("tlog_feed_healthy{witness=\"").Append(name).Append("\"} ").Append(isHealthy ? '1' : '0').Append('\n');
        text.Append("# TYPE tlog_feed_requests_total counter\n");
        foreach ((string name, WitnessState state, _) in all)
        {
            foreach (WitnessOutcome outcome in Enum.GetValues<WitnessOutcome>())
            {
                text.Append("tlog_feed_requests_total{witness=\"").Append(name).Append("\",outcome=\"").Append(outcome.ToString().ToLowerInvariant()).Append("\"} ")
                    .Append(System.Globalization.CultureInfo.InvariantCulture, $"{state.Requests[(int)outcome]}\n");
            }
        }

        void Write(string metric, Func<WitnessState, FormattableString> value, string type = "gauge")
        {
            text.Append("# TYPE ").Append(metric).Append(' ').Append(type).Append('\n');
            foreach ((string name, WitnessState state, _) in all)
            {
                text.Append(metric).Append("{witness=\"").Append(name).Append("\"} ").Append(value(state).ToString(System.Globalization.CultureInfo.InvariantCulture)).Append('\n');
            }
        }
    }

    private static string Escape(string name) => name.Replace("\\", "\\\\", StringComparison.Ordinal).Replace("\"", "\\\"", StringComparison.Ordinal);
}
