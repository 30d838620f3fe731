// Evidence: what a log signed and could not show to be an extension of what it had signed before (SPEC TW-32 allows to keep it).
//
//     evidence/<origin hash, hex>-<fork or unproven>-<SHA-256 of the submitted text, first 16 hex digits>
//
//     tlog-witness evidence v1
//     reason fork
//     received 2026-11-20T12:00:00Z
//     cosigned 412                       bytes of the first note, which follows the empty line
//     submitted 305                      bytes of the second note, which follows the first
//
// Both notes hold only lines that were verified, so both are the log's own words. A fork (one size, two roots) is proof of misbehaviour by
// itself. An unproven one is proof only if no consistency proof exists, which whoever has the entries can tell: perhaps somebody just
// sent a bad proof with a good checkpoint. So the two are counted apart, and the second can never take the place of the first.

using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Witness;

/// <summary>What a pair of notes shows.</summary>
internal enum EvidenceKind
{
    /// <summary>One size, two roots: the log signed both.</summary>
    Fork,

    /// <summary>A larger size, and a proof that does not verify.</summary>
    Unproven,
}

/// <summary>Keeps pairs of notes, a bounded number for each origin. Called under the origin's lock.</summary>
internal sealed class Evidence(string dataDirectory, TimeProvider time)
{
    /// <summary>The name of the folder.</summary>
    public const string Folder = "evidence";

    /// <summary>
    /// Most files of one origin and kind: one proves misbehaviour, a few show its shape. Anybody may submit what a log has signed, with any proof,
    /// so there has to be an end.
    /// </summary>
    public const int MaxOfOrigin = 8;

    private readonly string _directory = Path.Combine(dataDirectory, Folder);

    /// <summary>Keeps the pair, durably. False when this submission is kept already, or the origin has enough.</summary>
    public bool Keep(WitnessedLog log, EvidenceKind kind, byte[] cosigned, Note submitted)
    {
        string reason = kind == EvidenceKind.Fork ? "fork" : "unproven";
        string prefix = $"{log.OriginHash.ToHex()}-{reason}-";
        string path = Path.Combine(_directory, $"{prefix}{Convert.ToHexStringLower(SHA256.HashData(submitted.Text.Span))[..16]}");
        if (File.Exists(path) || (Directory.Exists(_directory) && Directory.GetFiles(_directory, $"{prefix}*").Length >= MaxOfOrigin)) return false;
        byte[] note = submitted.ToBytes();
        string head = string.Create(CultureInfo.InvariantCulture, $"tlog-witness evidence v1\nreason {reason}\nreceived {time.GetUtcNow():yyyy-MM-ddTHH:mm:ssZ}\ncosigned {cosigned.Length}\nsubmitted {note.Length}\n\n");
        DurableFile.CreateDirectory(_directory);
        DurableFile.Replace(path, [.. Encoding.UTF8.GetBytes(head), .. cosigned, .. note]);
        return true;
    }
}
