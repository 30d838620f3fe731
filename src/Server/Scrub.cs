using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>How far the check of the store has come.</summary>
/// <param name="Entries">Entries that the pass under way, or the last one, has checked.</param>
/// <param name="Passes">Passes that found nothing, since the start.</param>
/// <param name="LastClean">When the last of them ended; null when none has.</param>
/// <param name="Damage">What was found last; null for nothing.</param>
internal sealed record ScrubStatus(long Entries = 0, long Passes = 0, DateTimeOffset? LastClean = null, Damage? Damage = null);

/// <summary>
/// Reads the whole store again and again, from the disk, at a bounded rate, and rebuilds everything from entry bytes: the check that <c>tlog fsck</c> makes, beside the
/// running log. Ends at the first damage; files that do not belong there are told and left.
/// </summary>
/// <param name="directory">The data directory.</param>
/// <param name="journal">The journal's layout, when it is not the usual one.</param>
/// <param name="bytesPerSecond">Most bytes of segments in a second; 0 for no check at all.</param>
/// <param name="interval">From the beginning of a pass to that of the next; a pass that takes longer is followed by the next at once.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Is told of each pass.</param>
internal sealed class Scrub(string directory, JournalOptions? journal, long bytesPerSecond, TimeSpan interval, TimeProvider time, ILogger logger)
{
    /// <summary>From a pass that could not be finished, for want of descriptors say, to the next: at most, where the interval is longer.</summary>
    private static readonly TimeSpan Retry = TimeSpan.FromMinutes(10);

    private ScrubStatus _status = new();

    /// <summary>Whether the store is checked at all.</summary>
    public bool IsOn => bytesPerSecond > 0;

    public ScrubStatus Status => Volatile.Read(ref _status);

    /// <summary>Runs until it is stopped, or until it has found damage, which it returns. Only where it is on.</summary>
    public async Task<Damage> RunAsync(CancellationToken stop)
    {
        while (true)
        {
            long began = time.GetTimestamp();
            TimeSpan pause = interval;
            try
            {
                DirectoryReport report = await Task.Factory.StartNew(() => PassAsync(stop), stop, TaskCreationOptions.LongRunning, TaskScheduler.Default).Unwrap().ConfigureAwait(false);
                ScrubStatus status = Status;
                Volatile.Write(ref _status, status with { Entries = report.Entries, Passes = status.Passes + 1, LastClean = time.GetUtcNow(), Damage = null });
                logger.ScrubPassed(report.Entries, (long)time.GetElapsedTime(began).TotalSeconds);
            }
            catch (DamageException failure) when (failure.Damage.Kind == "stray-file")
            {
                // Looked for last, when all that belongs to the log was found whole: no reason to stop it.
                Found(failure.Damage);
                logger.ScrubFailed(failure.Message);
            }
            catch (DamageException failure)
            {
                return Found(failure.Damage);
            }
            catch (StorageException failure) when (failure.Errno == 5 /* EIO */)
            {
                return Found(new Damage("storage", directory, null, null, "bytes that can be read", failure.Message));
            }
            catch (Exception failure) when (failure is not OperationCanceledException)
            {
                logger.ScrubFailed(failure.Message);
                pause = interval < Retry ? interval : Retry;
            }

            TimeSpan left = pause - time.GetElapsedTime(began);
            if (left > TimeSpan.Zero) await Task.Delay(left, time, stop).ConfigureAwait(false);
        }
    }

    private Task<DirectoryReport> PassAsync(CancellationToken stop) =>
        DirectoryCheck.RunAsync(
            directory, Verifiers.TryCreate, new CheckOptions { Journal = journal, InUse = true, BytesPerSecond = bytesPerSecond, Progress = (done, _) => Volatile.Write(ref _status, Status with { Entries = done }) }, stop);

    private Damage Found(Damage damage)
    {
        Volatile.Write(ref _status, Status with { Damage = damage });
        return damage;
    }
}
