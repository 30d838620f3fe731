using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>The open files of a journal. They can be read to their ends even when the server that uses the journal removes their names meanwhile.</summary>
internal sealed class JournalFiles : IDisposable
{
    private readonly Dictionary<long, SafeFileHandle> _files = [];

    private JournalFiles()
    {
    }

    /// <summary>The numbers of the files, ascending.</summary>
    public IReadOnlyList<long> Numbers { get; private set; } = [];

    public SafeFileHandle this[long number] => _files[number];

    /// <summary>Opens the existing files. Their numbers have no gap, because a journal removes its oldest file first.</summary>
    public static JournalFiles Open(string directory)
    {
        JournalFiles files = new();
        try
        {
            // From the newest to the oldest: a file that is gone by now was trimmed, and so were all before it.
            foreach (long number in JournalScan.ListFiles(directory).OrderDescending())
            {
                string path = JournalScan.PathOf(directory, number);
                try
                {
                    files._files.Add(number, Posix.Open(path, Posix.ReadOnly | Posix.NoFollow));
                }
                catch (StorageException failure) when (failure.Errno == Posix.ErrnoNoEntry)
                {
                    break;
                }
            }

            files.Numbers = [.. files._files.Keys.Order()];
            return files;
        }
        catch
        {
            files.Dispose();
            throw;
        }
    }

    public void Dispose()
    {
        foreach (SafeFileHandle file in _files.Values) file.Dispose();
    }
}
