// What a log reads from its disk: after a crash, after damage, out of a backup, or put there by someone who can also make a checksum.

using System.Buffers.Binary;
using System.Text;
using TransparencyLog.Storage;
using static TransparencyLog.Tests.Fuzz.Target;

namespace TransparencyLog.Tests.Fuzz;

/// <summary>Targets of spec/storage.md.</summary>
internal static class StorageTargets
{
    private const ulong JournalIdentity = 0x0123456789abcdef;

    /// <summary>Files of a journal are as small here as they can be for two frames each.</summary>
    private const int JournalFile = 4096;

    /// <summary>FrameHeader.Read; what is whole is what a frame with the same content would be.</summary>
    public static Target Frame(string name) => new(name, OneFrame, typeof(FrameHeader), typeof(JournalFrame))
    {
        Seeds = [Padded(Sealed(1, 0, 0, "entry"), 1024), Sealed(7, 100, 6, "one", "two", ""), Padded(Sealed(2, 1, 1, [.. Enumerable.Repeat("0123456789abcdef", 60)]), 2048), new byte[512]],
        Words = ["TLJRNL01"u8.ToArray(), "TLJ!"u8.ToArray(), new byte[512]],
        FixUp = input => FixUps.Frames(input, int.MaxValue, JournalIdentity),
    };

    /// <summary>
    /// JournalScan.Read of one or two files, then Repair: what was read is read again. The first byte is the signed size, the second says whether older files were trimmed.
    /// </summary>
    public static Target Journal(string name) => new(name, Files, typeof(JournalScan), typeof(FrameHeader), typeof(JournalFrame))
    {
        Seeds =
        [
            [0, 0, .. Sealed(1, 0, 0, "a"), .. Sealed(2, 1, 1, "b", "c"), .. Sealed(3, 3, 2, "d")],
            [3, 0, .. Padded([.. Sealed(1, 0, 0, "a"), .. Sealed(2, 1, 1, "b", "c")], JournalFile), .. Sealed(3, 3, 2, "d")],
            [4, 1, .. Padded([.. Sealed(8, 3, 7, "a"), .. Sealed(9, 4, 8, [.. Enumerable.Repeat("0123456789abcdef", 60)])], JournalFile), .. Sealed(10, 64, 9, "d")],
            [1, 0, .. Sealed(1, 0, 0, "a"), .. Torn(Sealed(2, 1, 1, [.. Enumerable.Repeat("0123456789abcdef", 60)]))],
        ],
        Words = ["TLJRNL01"u8.ToArray(), "TLJ!"u8.ToArray(), new byte[512], Sealed(2, 1, 1, "b"), Sealed(3, 2, 2, "c")],
        FixUp = input => input.Length < 2 ? input : [.. input.AsSpan(0, 2), .. FixUps.Frames(input[2..], JournalFile, JournalIdentity)],
        MaxLength = 2 + (2 * JournalFile),
    };

    /// <summary>Seal.TryParse and ToPayload.</summary>
    public static Target Seal(string name) => new(name, OneSeal, typeof(Seal))
    {
        Seeds = [SealOf(0, (64, 100)), SealOf(256, (64, 1000), (2000, 500)), new byte[8266]],
        MaxLength = 10 * 1024,
        AllocationPerByte = 64,
    };

    /// <summary>HeadRecord.TryParse and ToBytes.</summary>
    public static Target Head(string name) => new(name, OneHead, typeof(HeadRecord), typeof(Strict))
    {
        Seeds = [HeadLine(1, null), HeadLine(2, 1), HeadLine(3, 300), new HeadRecord(4, "halted: \u00e9", HeadOf(2)).ToBytes()],
        FixUp = FixUps.CrcOfLines,
        AllocationPerByte = 64,
    };

    /// <summary>HeadHistory.Read: the lines it gives are the bytes, and what it cuts is gone the next time.</summary>
    public static Target Heads(string name) => new(name, History, typeof(HeadHistory), typeof(HeadRecord))
    {
        Seeds = [HeadLine(1, null), [.. HeadLine(1, null), .. HeadLine(2, 1), .. HeadLine(3, 2), .. new byte[700]], [.. HeadLine(1, null), .. HeadLine(2, 1)[..^20], .. new byte[600]]],
        FixUp = FixUps.CrcOfLines,
        AllocationPerByte = 64,
    };

    /// <summary>TreeRegister.Open of commit record, history and guard, which byte 0xff divides: what it takes is there when it is opened again, with nothing left to mend.</summary>
    public static Target Register(string name) => new(name, OpenRegister, typeof(TreeRegister), typeof(HeadHistory), typeof(HeadRecord))
    {
        Seeds =
        [
            [.. HeadLine(1, null), 0xff, .. HeadLine(1, null), 0xff],
            [.. HeadLine(2, 1), 0xff, .. HeadLine(1, null), .. HeadLine(2, 1), 0xff, .. HeadLine(2, 1)],
            [.. HeadLine(2, 1), .. new byte[600], 0xff, .. HeadLine(1, null), .. HeadLine(2, 1), .. HeadLine(3, 2), .. new byte[100], 0xff, .. HeadLine(2, 1)],
        ],
        Words = [[0xff], HeadLine(3, 2), HeadLine(3, 3)],
        FixUp = input =>
        {
            for (int from = 0; from < input.Length;)
            {
                int end = input.AsSpan(from).IndexOf((byte)0xff);
                end = end < 0 ? input.Length : from + end;
                FixUps.CrcOfLines(input[from..end]).CopyTo(input, from);
                from = end + 1;
            }

            return input;
        },
        AllocationPerByte = 200,
    };

    /// <summary>LogIdentity and the identity of a witness.</summary>
    public static Target Identity(string name) => new(name, OneIdentity, typeof(LogIdentity), typeof(Strict))
    {
        Seeds = [new LogIdentity(World.Origin, World.Log.Key.ToString(), "key.pem").ToBytes(), new LogIdentity(World.Origin, World.Log.Key.ToString(), "key.pem", MlDsa44: new LogKey("vkey", "key-ml-dsa.pem")).ToBytes(), World.Utf8($"tlog-witness v1\nvkey {World.Witness.Key}\n")],
        FixUp = FixUps.KeyIds,
        MaxLength = 20 * 1024,
        AllocationPerByte = 64,
    };

    /// <summary>
    /// RecordLog.OpenReadOnly and every record: the commit file and the file of addresses, each behind its length in two bytes, then the data. The fix-up mends the commit file's
    /// checksum and that of every record whose magic and length are there.
    /// </summary>
    public static Target Segments(string name) => new(name, Records, typeof(RecordLog), typeof(Seal), typeof(TileStore))
    {
        Seeds = [Stored(log => log.Append("one"u8)), Stored(log => { log.Append("one"u8); log.AppendPart(0, "part"u8); log.Append(new byte[3000]); log.Append("three"u8); }), Stored(Segment)],
        Words = ["TLR1"u8.ToArray(), "TLP1"u8.ToArray(), "TLCMT001"u8.ToArray()],
        FixUp = MendRecords,
        MaxLength = 24 * 1024,

        // A record of the largest size may be claimed before the end of the file is met, by one that is read and by one that is read with its parts.
        Allocation = 16 * (RecordLog.MaxPayload + 4096),
        Time = TimeSpan.FromMilliseconds(20),
    };

    private static void OneFrame(byte[] input)
    {
        FrameHeader header = FrameHeader.Read(input, JournalIdentity);
        Require(header.State == FrameState.Whole == (header.Reason.Length == 0), "a frame that is not whole without a reason");
        if (header.State != FrameState.Whole) return;
        Require(header.Size % JournalFrame.Sector == 0 && header.Size <= input.Length && header.EntryOffset + header.EntryBytes <= header.Size && header.EntryBytes >= 0, "a frame beyond its bytes");
        ReadOnlySpan<byte> entries = input.AsSpan(header.EntryOffset, header.EntryBytes);
        Require(EntryBundle.TryCount(entries, out int count) && count == header.Count, "a frame whose entries are not those it counts");

        // A reader skips extensions, and believes the number of zero sectors where the checksum holds: a frame without the one, and with the right other, is the one we would write.
        if (header.EntryOffset != JournalFrame.HeaderSize || BinaryPrimitives.ReadInt32BigEndian(input.AsSpan(36)) != JournalFrame.CountZeroSectors(input.AsSpan(0, header.Size))) return;
        JournalFrame frame = new();
        Require(frame.TryAddBundle(entries, count), "a frame that nobody could write");
        RequireSame(input.AsSpan(0, header.Size), frame.Seal(header.Sequence, header.FirstIndex, header.Durable, JournalIdentity).Span, "a frame");
    }

    private static void Files(byte[] input)
    {
        if (input.Length < 2) return;
        string folder = Fresh("journal");
        int first = (input[1] & 1) == 0 ? 1 : 5;
        for (int from = 2, number = first; number == first || from < input.Length; from += JournalFile, number++)
        {
            byte[] file = new byte[JournalFile];
            input.AsSpan(from, Math.Min(JournalFile, input.Length - from)).CopyTo(file);
            File.WriteAllBytes(JournalScan.PathOf(folder, number), file);
        }

        JournalOptions options = new() { Identity = JournalIdentity, FileBytes = JournalFile };
        try
        {
            List<(long, int)> frames = [];
            JournalScan scan = JournalScan.Read(folder, options, input[0], frame => frames.Add((frame.FirstIndex, frame.Count)));
            Require(scan.Offset % JournalFrame.Sector == 0 && scan.Offset <= JournalFile && scan.NextIndex >= 0 && scan.NextSequence > 0, "a journal beyond its limits");
            for (int i = 1; i < frames.Count; i++) Require(frames[i].Item1 == frames[i - 1].Item1 + frames[i - 1].Item2, "a gap between two frames");
            scan.Repair();
            List<(long, int)> again = [];
            JournalScan repaired = JournalScan.Read(folder, options, input[0], frame => again.Add((frame.FirstIndex, frame.Count)));
            Require(repaired.Torn is null && repaired.NextIndex == scan.NextIndex && repaired.NextSequence == scan.NextSequence && repaired.Offset == scan.Offset && again.SequenceEqual(frames), "a journal that was repaired is read as another");
        }
        catch (DamageException)
        {
        }
    }

    private static void OneSeal(byte[] input)
    {
        if (Storage.Seal.TryParse(input, out Seal? seal)) RequireSame(input, seal.ToPayload(), "a seal");
    }

    private static void OneHead(byte[] input)
    {
        if (HeadRecord.TryParse(input, out HeadRecord? record)) RequireSame(input, record.ToBytes(), "a head record");
    }

    private static void History(byte[] input)
    {
        List<byte> lines = [];
        int end, tornEnd;
        try
        {
            (end, tornEnd) = HeadHistory.Read("heads", input, (_, line, _) => lines.AddRange(line.Span));
        }
        catch (DamageException)
        {
            return;
        }

        Require(end > 0 && (tornEnd == 0 || tornEnd > end), "a history that ends before its beginning");
        RequireSame(input.AsSpan(0, end), [.. lines], "the lines of a history");
        (int endAgain, int tornAgain) = HeadHistory.Read("heads", (byte[])[.. input[..end], .. new byte[input.Length - end]], (_, _, _) => { });
        Require(endAgain == end && tornAgain == 0, "a history whose torn line was cut is read as another");
    }

    private static void OpenRegister(byte[] input)
    {
        string folder = Fresh("register"), guard = Fresh("guard");
        int first = input.AsSpan().IndexOf((byte)0xff);
        if (first < 0) return;
        int second = input.AsSpan(first + 1).IndexOf((byte)0xff);
        second = second < 0 ? input.Length : first + 1 + second;
        if (first > 0) File.WriteAllBytes(Path.Combine(folder, "commit"), input[..first]);
        File.WriteAllBytes(Path.Combine(folder, "heads"), input[(first + 1)..second]);
        if (second + 1 < input.Length) File.WriteAllBytes(TreeRegister.GuardOf(guard, World.Origin).PathOf(1), input[(second + 1)..]);
        TreeHead? current;
        try
        {
            using TreeRegister register = TreeRegister.Open(folder, guard, World.Origin, TimeProvider.System);
            current = register.Current;
        }
        catch (StorageException)
        {
            return;
        }

        using TreeRegister again = TreeRegister.Open(folder, guard, World.Origin, TimeProvider.System);
        Require(Equals(again.Current, current), "a register that was opened holds another head the next time");
        Require(again.Mended is null && again.GuardAgrees, "a register that was opened is to be mended again");
    }

    private static void OneIdentity(byte[] input)
    {
        if (LogIdentity.TryParse(input, out LogIdentity? identity)) RequireSame(input, identity.ToBytes(), "the identity of a log");
        if (Witness.WitnessDirectory.TryParseIdentity(input, out IReadOnlyList<VerifierKey> keys)) RequireSame(input, Witness.WitnessDirectory.IdentityOf(keys), "the identity of a witness");
    }

    private static void Records(byte[] input)
    {
        string folder = Fresh("records");
        ReadOnlySpan<byte> rest = input;
        foreach (string file in new[] { "commit", "addresses" })
        {
            if (rest.Length < 2) return;
            int length = Math.Min(BinaryPrimitives.ReadUInt16BigEndian(rest), rest.Length - 2);
            File.WriteAllBytes(Path.Combine(folder, file), rest.Slice(2, length));
            rest = rest[(2 + length)..];
        }

        File.WriteAllBytes(Path.Combine(folder, "data.0"), rest);
        try
        {
            RecordLog log = RecordLog.OpenReadOnly(folder);
            try
            {
                Require(log.Count >= 0, "fewer records than none");
                for (long number = 0; number < Math.Min(log.Count, 4); number++) Record(log, number);
            }
            finally
            {
                log.DisposeAsync().AsTask().GetAwaiter().GetResult();
            }
        }
        catch (StorageException refusal) when (refusal.Errno == 0)
        {
            // In words: damage, or a file larger than any that was written. A system call that fails has been asked for something that cannot be.
        }
    }

    private static void Record(RecordLog log, long number)
    {
        ReadOnlyMemory<byte> payload;
        try
        {
            payload = log.Read(number);
        }
        catch (DamageException)
        {
            return;
        }

        Require(payload.Length <= RecordLog.MaxPayload, "a record beyond its limit");
        if (log.ReadWithParts(number, 1, 16, 64 * 1024) is RecordLog.RecordWithParts read) RequireSame(payload.Span, read.Read().Span, "a record, read with its parts");
        if (!Storage.Seal.TryParse(payload, out Seal? seal)) return;
        ReadOnlyMemory<byte> bundle = TileStore.ReadBundle(log, number, seal);
        Require(bundle.Length == seal.Parts.Sum(part => part.Length), "a bundle of another length than its parts");
    }

    private static string Fresh(string name)
    {
        string folder = Path.Combine(Scratch.Folder, name);
        if (Directory.Exists(folder))
        {
            foreach (string file in Directory.GetFiles(folder)) File.Delete(file);
        }
        else
        {
            Directory.CreateDirectory(folder);
        }

        return folder;
    }

    private static byte[] Sealed(long sequence, long firstIndex, long durable, params string[] entries)
    {
        JournalFrame frame = new();
        foreach (string entry in entries) frame.TryAdd(Encoding.ASCII.GetBytes(entry));
        return frame.Seal(sequence, firstIndex, durable, JournalIdentity).ToArray();
    }

    private static byte[] Padded(byte[] bytes, int length) => [.. bytes, .. new byte[length - bytes.Length]];

    private static byte[] Torn(byte[] frame) => [.. frame[..600], .. new byte[frame.Length - 600]];

    private static byte[] SealOf(long first, params (long, int)[] parts) => new Seal(first, new byte[Storage.Seal.TileSize], World.Leaf(0), World.Leaf(1), parts).ToPayload();

    private static TreeHead HeadOf(int size) => new(size, World.Tree.Root(size), World.Note(size));

    private static byte[] HeadLine(long time, int? size) => new HeadRecord(time, "published", size is int at ? HeadOf(at) : null).ToBytes();

    private static void Segment(RecordLog log)
    {
        long address = log.AppendPart(0, "\0\u0003one"u8);
        log.Append(SealOf(0, (address, 5)));
    }

    private static byte[] Stored(Action<RecordLog> fill)
    {
        string folder = Path.Combine(Scratch.Folder, $"stored-{Guid.NewGuid():n}");
        RecordLog.Create(folder);
        RecordLog log = RecordLog.Open(folder);
        fill(log);
        log.CommitAsync().GetAwaiter().GetResult();
        log.DisposeAsync().AsTask().GetAwaiter().GetResult();
        byte[] commit = File.ReadAllBytes(Path.Combine(folder, "commit")), addresses = File.ReadAllBytes(Path.Combine(folder, "addresses")), data = File.ReadAllBytes(Path.Combine(folder, "data.0"));
        Directory.Delete(folder, recursive: true);
        int used = data.AsSpan().LastIndexOfAnyExcept((byte)0) + 1;
        return [(byte)(commit.Length >> 8), (byte)commit.Length, .. commit, (byte)(addresses.Length >> 8), (byte)addresses.Length, .. addresses, .. data.AsSpan(0, used)];
    }

    private static byte[] MendRecords(byte[] input)
    {
        if (input.Length < 2) return input;
        int commit = Math.Min(BinaryPrimitives.ReadUInt16BigEndian(input), input.Length - 2);
        if (commit >= 4) BinaryPrimitives.WriteUInt32BigEndian(input.AsSpan(commit - 2), Crc32C.Of(input.AsSpan(2, commit - 4)));
        for (int at = 4; at + 24 <= input.Length; at++)
        {
            Span<byte> record = input.AsSpan(at);
            if (!record.StartsWith("TLR1"u8) && !record.StartsWith("TLP1"u8)) continue;
            int length = BinaryPrimitives.ReadInt32LittleEndian(input.AsSpan(at - 4));
            if (length is >= 24 && length <= record.Length) BinaryPrimitives.WriteUInt32BigEndian(record[(length - 4)..], Crc32C.Of(record[..(length - 4)]));
        }

        return input;
    }
}
