// tlog-witness clock accept: an operator says that the clock is right. A clock that was too far ahead of the last known time is then believed. The named
// origins, whose last cosignatures are later than the clock, may be cosigned once with an earlier time (spec/operations.md, "Time").

using System.CommandLine;
using System.Globalization;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>The command and its implementation.</summary>
internal static class ClockCommand
{
    /// <summary>Makes the command.</summary>
    public static Command Create()
    {
        Option<string?> reason = new("--reason") { Description = "why the clock is right; kept in the data directory", HelpName = "TEXT" };
        Option<string[]> origins = new("--origin") { Description = "a log whose time may go back once; may be given several times; default: all that wait", HelpName = "NAME" };
        Command accept = new("accept", "Says that the clock is right, of a witness that is stopped. The time of logs that wait may then go back once.") { reason, origins };
        CommandSettings options = new(accept, WitnessSettings.Table);
        accept.SetAction(result => Commands.Guarded(() =>
        {
            SettingValues values = options.Read(result);
            string accepted = Accept(
                values.Required(WitnessSettings.Data), result.GetValue(reason) ?? "", result.GetValue(origins) ?? [], TimeProvider.System, allowGroup: values.IsOn(WitnessSettings.AllowGroupReadableKeys));
            return Task.FromResult(ProgramEnd.Report(Commands.Program, ExitCode.Ok, accepted));
        }));
        return new Command("clock", "What an operator knows of the clock.") { accept };
    }

    private static WitnessDirectory OpenStopped(string data, bool allowGroup)
    {
        try
        {
            return WitnessDirectory.Open(data, allowGroup);
        }
        catch (DirectoryInUseException running)
        {
            throw new DirectoryInUseException($"{running.Message}; stop the witness first, and start it when the clock is accepted");
        }
    }

    /// <summary>Records the acceptance. Returns the result in words.</summary>
    /// <param name="data">The data directory of a witness that is stopped.</param>
    /// <param name="reason">Why, 1 to 1,000 characters.</param>
    /// <param name="origins">The origins whose time may go back once; empty for all that wait.</param>
    /// <param name="time">The clock that is accepted.</param>
    /// <param name="journalFileBytes">Size of a journal file.</param>
    /// <param name="allowGroup">Whether the group of a key file may have access to it.</param>
    /// <exception cref="ConfigurationException">The reason is empty or too long, the clock is before 2026, or an origin does not wait.</exception>
    /// <exception cref="StorageException">The witness is running or damaged, or there is nothing to accept.</exception>
    public static string Accept(string data, string reason, IReadOnlyList<string> origins, TimeProvider time, int journalFileBytes = WitnessStore.JournalFileBytes, bool allowGroup = false)
    {
        if (reason.Length is 0 or > ClockAcceptances.MaxReason) throw new ConfigurationException($"reason: 1 to {ClockAcceptances.MaxReason} characters that say why the clock is right (--reason TEXT)");
        using WitnessDirectory directory = OpenStopped(data, allowGroup);
        DateTimeOffset now = time.GetUtcNow();
        string says = $"the clock says {SigningClock.Format(now)}";
        if (now < ClockJudgement.Earliest) throw new ConfigurationException($"{says}, which cannot be right: set it first");

        SigningClock clock = SigningClock.Open(directory.Root, TimeSpan.Zero, time);
        Dictionary<string, TrustedLog> unlisted = []; // the lists do not matter here: a log that is no longer listed may wait too
        using WitnessedLogs logs = WitnessedLogs.Load(unlisted, WitnessStore.ReadNewest(directory, journalFileBytes), [.. directory.Cosigners.Select(one => one.Key)], time, 1, 1);
        Dictionary<string, CosignedCheckpoint> waiting = logs.All
            .Where(log => clock.WaitsUntil(clock.FloorOf(log.Origin, log.Latest!.Timestamp, log.Latest.Note)) is not null)
            .ToDictionary(log => log.Origin, log => log.Latest!, StringComparer.Ordinal);
        foreach (string origin in origins.Where(origin => !waiting.ContainsKey(origin)))
        {
            throw new ConfigurationException($"origin: {origin} does not wait for the clock; {(waiting.Count == 0 ? "no log does" : $"these do: {string.Join(", ", waiting.Keys.Order(StringComparer.Ordinal).Take(10))}{(waiting.Count > 10 ? ", ..." : "")}")}");
        }

        string[] named = [.. (origins.Count > 0 ? origins.Distinct(StringComparer.Ordinal) : waiting.Keys).Order(StringComparer.Ordinal)];
        bool ahead = clock.LastKnown is DateTimeOffset last && now > last;
        if (named.Length == 0 && !ahead) throw new StorageException($"there is nothing to accept: {says}, no log waits for it, and it is not ahead of the last known time");
        clock.Accept(reason, [.. named.Select(origin => ClockPermission.Of(origin, waiting[origin].Timestamp, waiting[origin].Note))]);
        return string.Create(CultureInfo.InvariantCulture, $"accepted: {says}{(named.Length == 0 ? "" : $"; the time goes back once for {named.Length} of {waiting.Count} logs that wait: {string.Join(", ", named)}")}");
    }
}
