// tlog evidence: signed checkpoints with which a log contradicts itself, for a third party (spec/evidence.md).

using System.CommandLine;
using System.Globalization;
using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Cli;

/// <summary><c>tlog evidence verify</c> and <c>prove</c>, and how other commands keep the evidence that they find.</summary>
internal static class EvidenceCommand
{
    public static Command Create(Surroundings around)
    {
        Argument<string> file = new("FILE") { Description = "A .tlog-evidence file; - is standard input." };
        Argument<string> url = LogUrl.Argument();
        Option<string?> policy = LogUrl.PolicyOption("A tlog-policy: its log lines say which keys are the log's. Witnesses and quorum are not judged.");
        Option<string[]> vkeys = new("--vkey") { HelpName = "VKEY", Description = "Instead of a policy: the log's vkey. More than once when the log has changed its key." };
        Option<string?> folder = FolderOption();
        Command verify = new("verify", "Verifies offline that a log has signed what cannot both be true; prints kind, origin, sizes, roots and keys. Exit code 1: it does not convince.") { file, policy, vkeys };
        verify.SetAction((parsed, stop) => VerifyAsync(parsed.GetRequiredValue(file), parsed.GetValue(policy), parsed.GetValue(vkeys) ?? [], around, stop));
        Command prove = new("prove", "Reads the log's tiles for two checkpoints that nothing was proven of, and writes evidence that convinces. Exit code 1: they are consistent, or the log does not show it.") { file, url, policy, vkeys, folder };
        prove.SetAction((parsed, stop) =>
            ProveAsync(parsed.GetRequiredValue(file), parsed.GetRequiredValue(url), parsed.GetValue(policy), parsed.GetValue(vkeys) ?? [], parsed.GetValue(folder), around, stop));
        return new Command("evidence", "Works on evidence against logs.") { verify, prove };
    }

    public static Option<string?> FolderOption() =>
        new("--evidence") { HelpName = "DIR", Description = "Where evidence against the log is written when some is found; the current directory otherwise." };

    /// <summary>
    /// Writes evidence that a command has found, durably. It may never be seen again, so when the folder cannot be written, the evidence goes to standard error
    /// in base64.
    /// </summary>
    public static async Task KeepAsync(TlogEvidence evidence, string? folder, Surroundings around)
    {
        string path = Path.Combine(Path.GetFullPath(folder ?? "."), evidence.FileName);
        byte[] bytes = evidence.ToBytes();
        try
        {
            DurableFile.CreateDirectory(Path.GetDirectoryName(path)!);
            if (!Paths.FileExists(path)) OutputFile.Write(path, bytes);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            await around.SayAsync($"evidence against the log was found and could not be written ({failure.Message}); these are its bytes in base64, after the \"tlog: \" of each line:");
            await SayBytesAsync(bytes, around);
            return;
        }

        await around.SayAsync(evidence.Kind == EvidenceKind.Unproven
            ? $"the log's two signed checkpoints are kept in {path}; nothing proves that they conflict"
            : $"the log has signed what cannot both be true: keep {path}, and show it to others; tlog evidence verify judges it");
    }

    /// <summary>Writes a note about a witness, durably. A file of the same name is about the same finding, and is replaced.</summary>
    public static async Task KeepNoteAsync(string name, byte[] note, string? folder, Surroundings around)
    {
        string path = Path.Combine(Path.GetFullPath(folder ?? "."), name);
        try
        {
            DurableFile.CreateDirectory(Path.GetDirectoryName(path)!);
            DurableFile.Replace(path, note);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            await around.SayAsync($"a note on the witness could not be written ({failure.Message}); these are its bytes in base64, after the \"tlog: \" of each line:");
            await SayBytesAsync(note, around);
            return;
        }

        await around.SayAsync($"its old cosignature and its answer are kept in {path}");
    }

    /// <summary>Prints every byte, because this may be the only copy. Base64, because some bytes control a terminal.</summary>
    private static async Task SayBytesAsync(byte[] bytes, Surroundings around)
    {
        foreach (string line in Convert.ToBase64String(bytes, Base64FormattingOptions.InsertLineBreaks).Split("\r\n")) await around.SayAsync(line);
    }

    private static async Task<int> VerifyAsync(string path, string? policyPath, string[] vkeys, Surroundings around, CancellationToken stop)
    {
        (TlogEvidence evidence, INoteVerifier[] keys) = await ReadAsync(path, policyPath, vkeys, around, stop);
        if (!evidence.TryVerify(keys, out string reason)) throw Refuse(path, reason);
        await PrintAsync(evidence, keys, around, stop);
        return ExitCode.Ok;
    }

    private static async Task<int> ProveAsync(string path, string url, string? policyPath, string[] vkeys, string? folder, Surroundings around, CancellationToken stop)
    {
        (TlogEvidence evidence, INoteVerifier[] keys) = await ReadAsync(path, policyPath, vkeys, around, stop);
        if (evidence.Kind != EvidenceKind.Unproven) throw new CliException(ExitCode.Usage, $"{path} needs no more proof: its kind is {TlogEvidence.Word(evidence.Kind)}; tlog evidence verify judges it");

        // Keep only the lines that these keys verify: the file that is written must not contain anything unverified.
        Note[] notes = [.. evidence.Notes.Select(note => (Note: note, Check: note.Verify(keys))).Where(one => one.Check.Status == NoteStatus.Verified)
            .Select(one => new Note(one.Note.Text, [.. one.Check.Verified.Select(line => line.Signature)]))];
        if (notes.Length != 2) throw Refuse(path, "the log has not signed both checkpoints with a key that is trusted");
        using LogReader log = LogUrl.Open(url);
        TlogEvidence? found = await log.CompareAsync(notes[0], notes[1], stop);
        if (found is null) throw Refuse(path, $"the two checkpoints are consistent: {url} has the proof");
        if (found.Kind == EvidenceKind.Unproven) throw Refuse(path, $"{url} has no tiles that lead to the larger checkpoint's root");
        await PrintAsync(found, keys, around, stop);
        await KeepAsync(found, folder, around);
        return ExitCode.Ok;
    }

    private static async Task<(TlogEvidence Evidence, INoteVerifier[] Keys)> ReadAsync(string path, string? policyPath, string[] vkeys, Surroundings around, CancellationToken stop)
    {
        if (policyPath is null == (vkeys.Length == 0)) throw new CliException(ExitCode.Usage, "give either --policy or --vkey: somebody has to say which key is the log's");
        Policy? policy = policyPath is null ? null : await InputFile.ReadPolicyAsync(policyPath, around, stop);
        VerifierKey[] keys = [.. vkeys.Select(LogUrl.ReadVkey)];
        byte[]? bytes = await InputFile.ReadAsync(path, TlogEvidence.MaxSize, around, stop);
        if (bytes is null) throw Refuse(path, $"it has more than {TlogEvidence.MaxSize} bytes");
        if (!TlogEvidence.TryParse(bytes, out TlogEvidence? evidence, out string reason)) throw Refuse(path, reason);
        if (policy is not null)
        {
            // SPEC PO-06: the key name of a log is its origin line.
            keys = [.. policy.Logs.Select(log => log.Key).Where(key => key.Name == evidence.Origin)];
            if (keys.Length == 0) throw Refuse(path, "no log of the policy has its origin");
        }

        return (evidence, [.. keys.Distinct().Select(Verifiers.TryCreate).OfType<INoteVerifier>()]);
    }

    private static async Task PrintAsync(TlogEvidence evidence, INoteVerifier[] keys, Surroundings around, CancellationToken stop)
    {
        await around.PrintAsync($"kind {TlogEvidence.Word(evidence.Kind)}", stop);
        await around.PrintAsync($"origin {evidence.Origin}", stop);
        for (int i = 0; i < evidence.Notes.Count; i++)
        {
            Checkpoint checkpoint = evidence.Checkpoints[i];
            await around.PrintAsync(string.Create(CultureInfo.InvariantCulture, $"size {checkpoint.Size}"), stop);
            await around.PrintAsync($"root {checkpoint.Root}", stop);
            foreach (VerifiedSignature line in evidence.Notes[i].Verify(keys).Verified) await around.PrintAsync($"signed by {line.Verifier.Key}", stop);
        }

        await around.SayAsync(Describe(evidence));
    }

    private static string Describe(TlogEvidence evidence) => evidence.Kind switch
    {
        EvidenceKind.Fork => "proven: the log has signed two trees of one size",
        EvidenceKind.Inconsistent => "proven: the smaller tree that the log has signed is no beginning of the larger one",
        EvidenceKind.SizeZero => "proven: the log has signed a tree without entries whose root is not the empty tree's",
        _ => throw new System.Diagnostics.UnreachableException($"{evidence.Kind} convinces nobody"),
    };

    private static CliException Refuse(string path, string reason) => new(ExitCode.DoesNotHold, $"{path} does not convince: {reason}");
}
