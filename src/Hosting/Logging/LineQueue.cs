// A queue of lines for standard output or standard error. Once the reader of a pipe has stopped and the pipe is full, a write to it blocks for ever. So only
// the thread of this queue writes. All other threads put their line into the queue, or drop it when the queue is full.

using System.Collections.Generic;
using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Hosting;

/// <summary>
/// A bounded queue of lines with a thread that writes them. Thread-safe. Only <see cref="Flush"/> waits for the reader, and only for a limited time.
/// </summary>
/// <param name="write">Writes bytes and may block for any time. Throws <see cref="IOException"/> when it fails. Called on the thread of the queue.</param>
/// <param name="note">Makes the line that says how many lines were dropped; null for none.</param>
internal sealed class LineQueue(Action<ReadOnlySpan<byte>> write, Func<long, string>? note = null)
{
    /// <summary>Most lines in the queue, and most characters of them: enough for the messages of minutes of trouble, in 8 MB.</summary>
    public const int MaxLines = 8192, MaxCharacters = 4 * 1024 * 1024;

    // One lock guards the fields below, except _dropped. The thread of the queue and the callers of Flush wait on it.
    private readonly Queue<string> _lines = [];
    private Thread? _thread;
    private int _characters;
    private long _unsaid; // lines dropped since the last line that reported it
    private bool _isWriting;
    private long _dropped;

    /// <summary>Lines dropped since the start, because the queue was full or the write failed.</summary>
    public long Dropped => Interlocked.Read(ref _dropped);

    /// <summary>Queues a line, or drops it when the queue is full. Never waits.</summary>
    public void Write(string line)
    {
        lock (_lines)
        {
            if (_lines.Count == MaxLines || _characters + line.Length > MaxCharacters)
            {
                _unsaid++;
                Interlocked.Increment(ref _dropped);
                return;
            }

            _lines.Enqueue(line);
            _characters += line.Length;
            if (_thread is null)
            {
                // A background thread: lines that cannot be written do not keep the process alive.
                _thread = new Thread(Run) { IsBackground = true, Name = "lines" };
                _thread.Start();
            }

            Monitor.PulseAll(_lines);
        }
    }

    /// <summary>Waits until all queued lines have been written, or the time is over.</summary>
    /// <returns>Whether every line was written or dropped.</returns>
    public bool Flush(TimeSpan limit)
    {
        long start = Stopwatch.GetTimestamp();
        lock (_lines)
        {
            while (_isWriting || _lines.Count > 0)
            {
                TimeSpan left = limit - Stopwatch.GetElapsedTime(start);
                if (left <= TimeSpan.Zero) return false;
                Monitor.Wait(_lines, left);
            }
        }

        return true;
    }

    private void Run()
    {
        while (true)
        {
            (string line, long unsaid) = Next();
            if (unsaid > 0 && note is not null) line = $"{note(unsaid)}\n{line}";
            try
            {
                write(Encoding.UTF8.GetBytes($"{line}\n"));
            }
            catch (IOException)
            {
                // The reader has gone, or the disk is full. No message can report that, but the count is a metric.
                Interlocked.Increment(ref _dropped);
            }
        }
    }

    /// <summary>Signals that the previous line is done, then waits for the next.</summary>
    private (string Line, long Unsaid) Next()
    {
        lock (_lines)
        {
            _isWriting = false;
            Monitor.PulseAll(_lines);
            while (_lines.Count == 0) Monitor.Wait(_lines);
            string line = _lines.Dequeue();
            _characters -= line.Length;
            _isWriting = true;
            (long unsaid, _unsaid) = (_unsaid, 0);
            return (line, unsaid);
        }
    }
}
