// What a witness reads from its disk.

using System.Buffers.Binary;
using System.Text;
using TransparencyLog.Storage;
using TransparencyLog.Witness;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of a witness's directory.</summary>
internal static class WitnessTargets
{
    private const ulong Identity = 0x0123456789abcdef;

    /// <summary>Snapshot.Read; what it read is written to the same bytes.</summary>
    public static Target Snapshot(string name) => new(name, OneSnapshot, typeof(Snapshot), typeof(StoredNotes))
    {
        Seeds = [Written(), Written(World.Note(1)), Written(World.Note(1), Other("a.example"), Other("z.example"))],
        Words = ["TLWSNAP1"u8.ToArray(), World.Note(2), Other("b.example")],
        FixUp = FixUps.CrcAtEnd,
        AllocationPerByte = 64,
    };

    /// <summary>Guard.TryParse.</summary>
    public static Target Guard(string name) => new(name, OneGuard, typeof(Guard), typeof(Strict))
    {
        Seeds = [GuardLine(0, default), GuardLine(1234, World.Leaf(1))],
        FixUp = FixUps.CrcOfLines,
        MaxLength = 512,
    };

    /// <summary>A stored note: taken in by the store, and shown only when the witness's own signature and the log's are on it.</summary>
    public static Target StoredNote(string name) => new(name, Stored, typeof(CosignedCheckpoint), typeof(StoredNotes), typeof(NoteVerification))
    {
        Seeds = [World.Note(1), World.Note(300), Other("a.example")],
        Words = [World.Utf8("— "), World.Utf8($"— {World.Witness.Key.Name} ")],
        MaxLength = 16 * 1024,
    };

    private static void OneSnapshot(byte[] input)
    {
        string path = Path.Combine(Scratch.Folder, "snapshot");
        File.WriteAllBytes(path, input);
        try
        {
            StoredNotes notes = Witness.Snapshot.Read(path, Identity);
            Require(notes.Index >= 0, "fewer updates than none");
            Witness.Snapshot.Write(path, notes, Identity);
        }
        catch (DamageException)
        {
            return;
        }

        RequireSame(input, File.ReadAllBytes(path), "a snapshot");
    }

    private static void OneGuard(byte[] input)
    {
        if (Witness.Guard.TryParse(input, out long index, out Hash? chain)) RequireSame(input, GuardLine(index, chain.Value), "a guard");
    }

    private static void Stored(byte[] input)
    {
        bool taken = true;
        StoredNotes notes = new(0, default);
        try
        {
            notes.Apply([.. input], "update 0");
            Require(notes.Index == 1 && notes.Newest.Count == 1, "an update that is no update");
        }
        catch (DamageException)
        {
            taken = false;
        }

        if (!CosignedCheckpoint.TryLoad(input, [World.Verifiers[0]], [World.Verifiers[1]], out CosignedCheckpoint? cosigned)) return;
        Require(taken, "a stored note is shown that the store would not have taken");
        RequireSame(input, cosigned.Note, "a stored note");
        Require(World.Signed.Contains(Encoding.UTF8.GetString(cosigned.Checkpoint.ToText())), "a note is shown that this witness never cosigned");
    }

    private static byte[] Other(string origin)
    {
        byte[] text = new Checkpoint(origin, 1, World.Leaf(1)).ToText();
        World.Signed.Add(Encoding.UTF8.GetString(text));
        return new Note(text, [World.Witness.Cosign(text, 1_700_000_000)]).ToBytes();
    }

    private static byte[] Written(params byte[][] notes)
    {
        StoredNotes stored = new(0, default);
        foreach (byte[] note in notes) stored.Apply(note, "seed");
        string path = Path.Combine(Scratch.Folder, "seed");
        Witness.Snapshot.Write(path, stored, Identity);
        return File.ReadAllBytes(path);
    }

    private static byte[] GuardLine(long index, Hash chain)
    {
        string line = FormattableString.Invariant($"tlog-witness-guard v1 {index} {chain.ToHex()} ");
        return World.Utf8(FormattableString.Invariant($"{line}{Crc32C.Of(World.Utf8(line)):x8}\n"));
    }
}
