using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>
/// Keeps what a log has noticed of witnesses that went back: files in the folder of evidence (spec/evidence.md, "Notes on witnesses"). A witness can go back as often as it likes, so
/// there is an end: <see cref="MaxFiles"/> in all. Belongs to the publisher's loop.
/// </summary>
internal sealed class WitnessNotes(string dataDirectory)
{
    /// <summary>Most files: one shows a fault, a few show its shape.</summary>
    public const int MaxFiles = 16;

    private readonly string _directory = Path.Combine(dataDirectory, EvidenceFolder.Name);
    private HashSet<string>? _names;

    /// <summary>Keeps the finding, once. Says where, in words to append to a line of the log.</summary>
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
            // The log goes on: a witness has failed, not this log. The note itself is text, and the operator's log keeps it.
            return $"they could not be kept ({failure.Message}): {Encoding.UTF8.GetString(bytes).ReplaceLineEndings("|")}";
        }
    }
}
