// All parsers that read foreign bytes, the most exposed first, and the planted ones.

namespace TransparencyLog.Tests.Fuzz;

/// <summary>The catalogue of targets.</summary>
internal static class Targets
{
    private static readonly (string Name, Func<string, Target> Make)[] Known =
    [
        // From the network.
        ("add-checkpoint", NoteTargets.AddCheckpoint),
        ("sign-subtree", NoteTargets.SignSubtree),
        ("note", NoteTargets.Note),
        ("checkpoint", NoteTargets.Checkpoint),
        ("signature-line", NoteTargets.SignatureLine),
        ("batch", HttpTargets.Batch),
        ("request-target", HttpTargets.RequestTarget),
        ("accept-encoding", HttpTargets.AcceptEncoding),
        ("tile-path", HttpTargets.TilePath),
        ("merkle-proof", ProofTargets.MerkleProof),
        ("tlog-proof", ProofTargets.TlogProof),
        ("evidence", ProofTargets.Evidence),
        ("log-tiles", ProofTargets.LogTiles),
        ("log-answer", ClientTargets.LogAnswer),
        ("witness-answer", ClientTargets.WitnessAnswer),

        // From whoever set it up.
        ("vkey", NoteTargets.VerifierKey),
        ("policy", ConfigurationTargets.Policy),
        ("log-list", ConfigurationTargets.LogsV0),
        ("settings", ConfigurationTargets.Settings),
        ("key-file", ConfigurationTargets.KeyFile),

        // From the disk.
        ("frame", StorageTargets.Frame),
        ("journal", StorageTargets.Journal),
        ("segments", StorageTargets.Segments),
        ("seal", StorageTargets.Seal),
        ("head", StorageTargets.Head),
        ("heads", StorageTargets.Heads),
        ("register", StorageTargets.Register),
        ("identity", StorageTargets.Identity),
        ("snapshot", WitnessTargets.Snapshot),
        ("guard", WitnessTargets.Guard),
        ("stored-note", WitnessTargets.StoredNote),
    ];

    private static readonly (string Name, Func<string, Target> Make)[] Planted =
    [
        ("planted-read", name => Plant(name, input => PlantedParsers.ReadOutside(input))),
        ("planted-word", name => Plant(name, input => PlantedParsers.ReadOutsideBehindWord(input))),
        ("planted-allocation", name => Plant(name, input => PlantedParsers.AllocateClaimed(input))),
        ("planted-time", name => Plant(name, PlantedParsers.Quadratic) with { MaxLength = 32 * 1024 }),
        ("planted-number", name => Plant(name, PlantedParsers.NumberNotCanonical)),
        ("planted-checksum", name => Plant(name, input => PlantedParsers.BehindChecksum(input)) with { FixUp = ChecksumInFront }),
        ("planted-checksum-as-it-is", name => Plant(name, input => PlantedParsers.BehindChecksum(input))),
    ];

    /// <summary>The names of the real ones.</summary>
    public static IReadOnlyList<string> Names { get; } = [.. Known.Select(target => target.Name)];

    public static Target Make(string name) => Known.Concat(Planted).Single(target => target.Name == name).Make(name);

    private static Target Plant(string name, Action<byte[]> run) => new(name, run, typeof(PlantedParsers)) { Seeds = [new byte[16]] };

    private static byte[] ChecksumInFront(byte[] input)
    {
        if (input.Length >= 4) System.Buffers.Binary.BinaryPrimitives.WriteUInt32BigEndian(input, Storage.Crc32C.Of(input.AsSpan(4)));
        return input;
    }
}
