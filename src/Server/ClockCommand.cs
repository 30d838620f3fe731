// tlog-server clock accept: the operator of a stopped log declares that the clock is right (spec/operations.md, "Time"). The decision is recorded in
// `clock-accepted` and in the history of heads.

using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>Implements the command.</summary>
internal static class ClockCommand
{
    /// <summary>Records the acceptance. Returns a description of its effect for the operator.</summary>
    /// <param name="data">The data directory of a log that is stopped.</param>
    /// <param name="guard">The directory of its guard; null for a log without a guard.</param>
    /// <param name="reason">The operator's reason, 1 to 1,000 characters.</param>
    /// <param name="time">The clock that is accepted.</param>
    /// <param name="journal">The journal's options; null for those in the log's identity.</param>
    /// <exception cref="ConfigurationException">The reason is empty or too long, or the clock cannot be right.</exception>
    /// <exception cref="StorageException">The log is running or damaged, or there is nothing to accept.</exception>
    public static async Task<string> AcceptAsync(string data, string? guard, string reason, TimeProvider time, JournalOptions? journal = null)
    {
        if (reason.Length is 0 or > ClockAcceptances.MaxReason) throw new ConfigurationException($"reason: 1 to {ClockAcceptances.MaxReason} characters");
        DateTimeOffset now = time.GetUtcNow();
        string says = $"the clock says {SigningClock.Format(now)}";
        if (now < ClockJudgement.Earliest) throw new ConfigurationException($"{says}, which cannot be right: set it first");
        LogDirectory directory = await LogDirectory.OpenAsync(data, guard, time, journal).ConfigureAwait(false);
        await using (directory.ConfigureAwait(false))
        {
            SigningClock clock = SigningClock.Open(directory.Root, TimeSpan.Zero, time);
            string origin = directory.Identity.Origin;
            List<ClockPermission> permissions = [];
            if (directory.Identity.MlDsa44 is LogKey own && VerifierKey.TryParse(Encoding.UTF8.GetBytes(own.VerifierKey), out VerifierKey? key) && directory.Register.Current is TreeHead head
                && clock.WaitsUntil(LogClock.FloorOf(clock, origin, key, head)) is not null)
            {
                permissions.Add(ClockPermission.Of(origin, LogClock.StampOf(origin, key, head), head.Checkpoint.Span));
            }

            if (permissions.Count == 0 && !(now > clock.LastKnown)) throw new StorageException($"there is nothing to accept: {says}, no signature of the log is later, and it is not ahead of the last known time");
            directory.Register.Remark($"clock accepted: {reason}");
            clock.Accept(reason, permissions);
            return $"accepted: {says}{(permissions.Count == 0 ? "" : $"; the time of the log's signatures goes back once, from {SigningClock.Format(DateTimeOffset.FromUnixTimeSeconds((long)permissions[0].Stamp))}")}";
        }
    }
}
