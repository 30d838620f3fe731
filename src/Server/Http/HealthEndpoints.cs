using System.Globalization;
using System.Net;
using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server.Http;

/// <summary>/healthz, /readyz and the page at /: for operators and visitors.</summary>
internal static class HealthEndpoints
{
    private static readonly string[] Methods = ["GET", "HEAD"];

    public static void Map(WebApplication app, Engine engine)
    {
        // The body has a line for each witness, so requests may share it. The status is decided for each request.
        SharedAnswer<byte[]> figures = new(() => Encoding.UTF8.GetBytes(Figures(engine)), bytes => bytes.Length, TimeProvider.System);
        app.MapMethods("/healthz", Methods, Gate.Handle(context => HealthAsync(context, engine, figures, ready: false))).WithName("healthz").WithSummary("200 while nothing is wrong.").ProducesProblem(503);
        app.MapMethods("/readyz", Methods, Gate.Handle(context => HealthAsync(context, engine, figures, ready: true))).WithName("readyz").WithSummary("200 once entries are taken.").ProducesProblem(503);
        app.MapMethods("/", Methods, Gate.Handle(context => PageAsync(context, engine))).ExcludeFromDescription();
    }

    private static async Task HealthAsync(HttpContext context, Engine engine, SharedAnswer<byte[]> figures, bool ready)
    {
        bool good = ready ? engine.TakesEntries && engine.Publisher.Held is null : engine.TakesEntries || engine.State is EngineState.Starting;
        if (!good)
        {
            int retryAfter = engine.State is EngineState.Starting ? 2 : engine.State is EngineState.Ready ? 30 : 60;
            await Problem.Unavailable(new UnavailableException($"{Word(engine.State)}: {engine.Reason}", retryAfter)).ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        ClockTrouble? clock = engine.Clock.Trouble;
        if (ready && clock is not null)
        {
            await Problem.Unavailable(new UnavailableException($"nothing is signed: the clock of this log is {HealthEndpoints.Word(clock.State)}{(clock.Until is DateTimeOffset until ? $" until {Time(until)}" : "")}; entries are taken and published later", 60)).ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        if (ready && engine.GuardTrouble is not null)
        {
            await Problem.Unavailable(new UnavailableException("guard-unavailable: nothing is signed until the guard of this log answers", 5)).ExecuteAsync(context).ConfigureAwait(false);
            return;
        }

        context.Response.Headers.CacheControl = "no-store";
        await LargeAnswers.SendAsync(context, 200, "text/plain; charset=utf-8", figures.Get()).ConfigureAwait(false);
    }

    private static string Figures(Engine engine)
    {
        string text = string.Create(CultureInfo.InvariantCulture, $"{Word(engine.State)}\ndurable {engine.Size}\nsigned {engine.Publisher.SignedSize}\npublished {engine.Publisher.Current?.Size ?? 0}\n");
        StringBuilder lines = new(text);
        if (engine.Publisher.Held is HeldState held) lines.Append(held.What == Hold.Signing ? "appends and signatures" : "publication").Append(" held since ").Append(Time(held.Since)).Append(": ").Append(held.Reason).Append('\n');
        if (engine.Clock.Trouble is ClockTrouble clock) lines.Append("clock ").Append(Word(clock.State)).Append(": nothing is signed\n");
        if (engine.Publisher.DegradedSince is DateTimeOffset since) lines.Append("quorum missing since ").Append(Time(since)).Append(": published without\n");
        if (engine.GuardTrouble is GuardTrouble trouble) lines.Append("guard-unavailable since ").Append(Time(trouble.Since)).Append(": nothing is signed\n");
        foreach (PolicyPeer peer in engine.Publisher.Peers) lines.Append("witness ").Append(peer.Feed.SubmissionPrefix).Append(' ').Append(peer.Feed.State.Trouble ?? "ok").Append('\n');
        ScrubStatus scrub = engine.Scrub.Status;
        lines.Append("scrub ").Append(engine.Scrub.IsOn ? string.Create(CultureInfo.InvariantCulture, $"{scrub.Entries}, last clean {(scrub.LastClean is DateTimeOffset clean ? Time(clean) : "never")}") : "off").Append('\n');
        return lines.ToString();
    }

    private static Task PageAsync(HttpContext context, Engine engine)
    {
        string html = $"""
            <!doctype html>
            <html lang="en"><meta charset="utf-8"><title>{WebUtility.HtmlEncode(engine.Identity.Origin)}</title>
            <h1>{WebUtility.HtmlEncode(engine.Identity.Origin)}</h1>
            <p>A transparency log. Signed with {string.Join(" and ", engine.Identity.Keys.Select(key => $"<code>{WebUtility.HtmlEncode(key.VerifierKey)}</code>"))}</p>
            <p>State: {Word(engine.State)}. Published size: {(engine.Publisher.Current?.Size ?? 0).ToString(CultureInfo.InvariantCulture)}.</p>
            <ul><li><a href="checkpoint">/checkpoint</a></li><li><a href="healthz">/healthz</a></li><li><a href="status">/status</a></li><li><a href="metrics">/metrics</a></li><li><a href="openapi/v1.json">/openapi/v1.json</a></li></ul>
            </html>
            """;
        context.Response.Headers.CacheControl = "no-store";
        context.Response.Headers.ContentSecurityPolicy = "default-src 'none'; style-src 'unsafe-inline'";
        return LargeAnswers.SendAsync(context, 200, "text/html; charset=utf-8", Encoding.UTF8.GetBytes(html));
    }

    internal static string Time(DateTimeOffset time) => time.UtcDateTime.ToString("yyyy-MM-ddTHH:mm:ssZ", CultureInfo.InvariantCulture);

    /// <summary>Describes the problem of the clock, for use in sentences.</summary>
    internal static string Word(ClockState state) => state switch
    {
        ClockState.Early => "before 2026",
        ClockState.Ahead => "far ahead of the last known time",
        ClockState.Jumped => "more than a day off since the start",
        ClockState.Behind => "behind its newest signature",
        _ => throw new System.Diagnostics.UnreachableException("no such trouble"),
    };

    internal static string Word(EngineState state) => state switch
    {
        EngineState.Starting => "starting",
        EngineState.Ready => "ready",
        EngineState.Halted => "halted",
        EngineState.Failed => "failed",
        EngineState.Stopping => "stopping",
        _ => throw new System.Diagnostics.UnreachableException("no such state"),
    };
}
