using Microsoft.Win32.SafeHandles;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.EndToEnd.Planted;

/// <summary>
/// Writes the frames of a new log as the real journal would, into its first file, and never syncs: after a kill everything is there, after a power loss
/// nothing. No file is ever full here.
/// </summary>
internal sealed class UnsyncedJournal(IJournal journal, string data) : IJournal
{
    private readonly LogIdentity _identity = LogDirectory.ReadIdentity(data);
    private readonly SafeFileHandle _file = File.OpenHandle(Path.Combine(data, "journal", "000000000001"), FileMode.Open, FileAccess.Write, FileShare.ReadWrite);
    private readonly List<JournalEntries> _written = []; // guarded by itself
    private long _sequence = 1, _offset;

    public long FirstIndex => journal.FirstIndex;

    public long NextIndex { get; private set; } = journal.NextIndex;

    public ValueTask<long> AppendAsync(JournalFrame frame, CancellationToken stop)
    {
        long first = NextIndex;
        ReadOnlyMemory<byte> bytes = frame.Seal(_sequence, first, _sequence - 1, LogDirectory.OptionsFor(_identity).Identity);
        RandomAccess.Write(_file, bytes.Span, _offset);
        lock (_written) _written.Add(new JournalEntries(first, frame.Count, frame.Entries.ToArray()));
        _sequence++;
        _offset += bytes.Length;
        NextIndex += frame.Count;
        return ValueTask.FromResult(first);
    }

    public IJournalReader Follow(long from) => new Reader(this, journal.Follow(from));

    public ValueTask TrimAsync(long below, CancellationToken stop) => ValueTask.CompletedTask;

    public ValueTask DisposeAsync()
    {
        _file.Dispose();
        return journal.DisposeAsync();
    }

    private sealed class Reader(UnsyncedJournal journal, IJournalReader before) : IJournalReader
    {
        private int _next;

        public bool TryRead(out JournalEntries entries)
        {
            if (before.TryRead(out entries)) return true;
            lock (journal._written)
            {
                if (_next == journal._written.Count) return false;
                entries = journal._written[_next++];
                return true;
            }
        }

        public void Dispose() => before.Dispose();
    }
}
