using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>The progress of the check of the store.</summary>
/// <param name="Entries">Entries that the current pass has checked; those of the last pass when none is running.</param>
/// <param name="Passes">Passes since the start that found no damage.</param>
/// <param name="LastClean">When the last such pass ended; null before the first.</param>
/// <param name="Damage">The damage that was found last; null when none was, or when a later pass found none.</param>
internal sealed record ScrubStatus(long Entries = 0, long Passes = 0, DateTimeOffset? LastClean = null, Damage? Damage = null);

/// <summary>
/// Checks the whole store again and again while the log runs, as <c>tlog fsck</c> does: reads it from the disk at a bounded rate and rebuilds everything from
/// the entry bytes. Ends at the first damage. Files that do not belong to the log are logged and left in place.
/// </summary>
/// <param name="directory">The data directory.</param>
/// <param name="journal">The journal's options; null for those in the log's identity.</param>
/// <param name="bytesPerSecond">Limit of the bytes of segments that are read in a second; 0 turns the check off.</param>
/// <param name="interval">From the start of a pass to the start of the next. After a pass that takes longer, the next starts immediately.</param>
/// <param name="time">The clock.</param>
/// <param name="logger">Logs the result of each pass.</param>
internal sealed class Scrub(string directory, JournalOptions? journal, long bytesPerSecond, TimeSpan interval, TimeProvider time, ILogger logger)
{
    /// <summary>
    /// From the start of a pass that could not finish, for lack of descriptors for example, to the start of the next. A shorter interval applies instead.
    /// </summary>
    private static readonly TimeSpan Retry = TimeSpan.FromMinutes(10);

    private ScrubStatus _status = new();

    /// <summary>Whether the store is checked.</summary>
    public bool IsOn => bytesPerSecond > 0;

    public ScrubStatus Status => Volatile.Read(ref _status);

    /// <summary>Runs until it is cancelled, or until it finds damage, which it returns. Called only when <see cref="IsOn"/>.</summary>
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
                // Stray files are checked last, after everything that belongs to the log was found whole. So they are no reason to stop the log.
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
