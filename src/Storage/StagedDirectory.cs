namespace TransparencyLog.Storage;

/// <summary>
/// A directory that gets its name only once it is whole: it is made beside its place, under that name with a suffix. What was begun and did not get its name is removed.
/// </summary>
internal sealed class StagedDirectory : IDisposable
{
    private readonly string _target, _made;
    private bool _begun;

    /// <summary>Refuses what is not empty, and what somebody else has begun; makes nothing yet.</summary>
    /// <param name="target">The directory to be: it does not exist, or is empty.</param>
    /// <param name="suffix">What is behind its name until then.</param>
    /// <exception cref="StorageException">One of the two is there.</exception>
    public StagedDirectory(string target, string suffix)
    {
        LogDirectory.RequireEmpty(target);
        _target = Path.TrimEndingDirectorySeparator(Path.GetFullPath(target));
        _made = _target + suffix;
        if (Paths.DirectoryExists(_made)) throw new StorageException($"{_made} is what another run makes, or has left: remove it");
    }

    /// <summary>Makes it, empty, and gives its path.</summary>
    public string Begin()
    {
        _begun = true;
        DurableFile.CreateDirectory(_made);
        return _made;
    }

    /// <summary>Gives it its name.</summary>
    public void Finish()
    {
        if (Paths.DirectoryExists(_target)) Directory.Delete(_target);
        Directory.Move(_made, _target);
        Posix.SyncDirectory(Path.GetDirectoryName(_target)!);
    }

    public void Dispose()
    {
        if (_begun && Paths.DirectoryExists(_made)) Directory.Delete(_made, recursive: true);
    }
}
