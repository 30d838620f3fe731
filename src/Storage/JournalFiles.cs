using Microsoft.Win32.SafeHandles;

namespace TransparencyLog.Storage;

/// <summary>The files of a journal, opened: they can be read to their ends though the server that uses them removes their names meanwhile.</summary>
internal sealed class JournalFiles : IDisposable
{
    private readonly Dictionary<long, SafeFileHandle> _files = [];

    private JournalFiles()
    {
    }

    /// <summary>The numbers of the files, ascending.</summary>
    public IReadOnlyList<long> Numbers { get; private set; } = [];

    public SafeFileHandle this[long number] => _files[number];

    /// <summary>Opens those that are there: an unbroken row, since a journal loses its oldest file first.</summary>
    public static JournalFiles Open(string directory)
    {
        JournalFiles files = new();
        try
        {
            // From the newest down: what is gone by then was trimmed, and so was all before it.
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
