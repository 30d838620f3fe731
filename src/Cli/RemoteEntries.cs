using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary>A remote log, or a mirror of it, that may have entries that are lost here. The repair compares its entries, so it is not trusted.</summary>
internal sealed class RemoteEntries(LogReader log, Checkpoint checkpoint) : IEntrySource
{
    public string Name => log.Url;

    public async ValueTask<ReadOnlyMemory<byte>?> ReadAsync(long segment, int width, CancellationToken stop)
    {
        if ((segment * EntryBundle.Width) + width > checkpoint.Size) return null;
        try
        {
            byte[] bundle = await log.ReadBundleAsync(segment, checkpoint, stop);
            return bundle.AsMemory(0, EntryBundle.PrefixLength(bundle, width));
        }
        catch (LogReaderException)
        {
            return null;
        }
    }
}
