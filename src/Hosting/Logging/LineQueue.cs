// Lines on their way out of the process, to standard output or standard error. A pipe whose reader has stopped takes no more, and a write to it
// then waits for ever. So nothing but the thread of this queue writes: all others put their line into the queue, or lose it when that is full.

using System.Collections.Generic;
using System.Diagnostics;
using System.Text;

namespace TransparencyLog.Hosting;

/// <summary>A bounded queue of lines with a thread that writes them. Thread-safe. No member waits for the reader but <see cref="Flush"/>, for a limited time.</summary>
/// <param name="write">Writes bytes, and may wait as long as it likes; an <see cref="IOException"/> when it cannot. Called on the thread of the queue.</param>
/// <param name="note">The line that says how many lines were dropped; null for none.</param>
internal sealed class LineQueue(Action<ReadOnlySpan<byte>> write, Func<long, string>? note = null)
{
    /// <summary>Most lines that wait, and most characters of them: the messages of minutes of trouble, in 8 MB.</summary>
    public const int MaxLines = 8192, MaxCharacters = 4 * 1024 * 1024;

    // One lock for all of it, which is also what the thread of the queue and those that flush wait for.
    private readonly Queue<string> _lines = [];
    private Thread? _thread;
    private int _characters;
    private long _unsaid; // dropped since the last line that said so
    private bool _isWriting;
    private long _dropped;

    /// <summary>How many lines were dropped since the start, because nobody read them or they could not be written.</summary>
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
                // A background thread: what cannot be written does not keep the process.
                _thread = new Thread(Run) { IsBackground = true, Name = "lines" };
                _thread.Start();
            }

            Monitor.PulseAll(_lines);
        }
    }

    /// <summary>Waits until everything that is queued has been written, or the time is over.</summary>
    /// <returns>Whether all of it was written or dropped.</returns>
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
                // The reader has gone, or the disk is full. There is nobody to tell; the count is a metric.
                Interlocked.Increment(ref _dropped);
            }
        }
    }

    /// <summary>Waits for a line. Says before that the one before it is done.</summary>
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
