using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>
/// Keeps findings about witnesses that went back, as files in the folder of evidence (spec/evidence.md, "Notes on witnesses"). A witness can go back any
/// number of times, so the number of files is bounded: <see cref="MaxFiles"/> in all. Belongs to the publisher's loop.
/// </summary>
internal sealed class WitnessNotes(string dataDirectory)
{
    /// <summary>Limit of the files: one shows a fault, a few show its pattern.</summary>
    public const int MaxFiles = 16;

    private readonly string _directory = Path.Combine(dataDirectory, EvidenceFolder.Name);
    private HashSet<string>? _names;

    /// <summary>Keeps a finding once. Returns where it is, as text to append to a log message.</summary>
    public string Keep(WitnessRegress regress, PolicyPeer peer)
    {
        string name = regress.FileName, path = Path.Combine(_directory, name);
        byte[] bytes = regress.ToBytes(peer.Name, peer.Feed.SubmissionPrefix);
        try
        {
            if (_names is null)
            {
                DurableFile.CreateDirectory(_directory);
                _names = [.. Directory.EnumerateFiles(_directory, $"*{WitnessRegress.Extension}").Select(file => Path.GetFileName(file))];
            }

            if (!_names.Contains(name))
            {
                if (_names.Count >= MaxFiles) return $"there are {MaxFiles} files of this kind already in {_directory}";
                DurableFile.Replace(path, bytes);
                _names.Add(name);
            }

            return $"both are in {path}";
        }
        catch (Exception failure) when (failure is StorageException or IOException or UnauthorizedAccessException)
        {
            // The log goes on, because a witness has failed and not this log. The note is text, so the operator's log keeps it.
            return $"they could not be kept ({failure.Message}): {Encoding.UTF8.GetString(bytes).ReplaceLineEndings("|")}";
        }
    }
}
