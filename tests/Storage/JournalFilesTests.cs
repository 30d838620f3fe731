using TransparencyLog.Storage;
using static TransparencyLog.Tests.Storage.JournalAssert;

namespace TransparencyLog.Tests.Storage;

/// <summary>A row of files with a gap, or with strangers in it, is refused.</summary>
public sealed class JournalFilesTests : IDisposable
{
    private readonly Scratch _scratch = new();
    private readonly List<byte[]> _entries = [];

    public void Dispose() => _scratch.Dispose();

    private string Folder => _scratch["journal"];

    private string FileOf(int number) => JournalScan.PathOf(Folder, number);

    /// <summary>Files 1 to 3 with frames, four in each but the last, which has two.</summary>
    private async Task CreateAsync()
    {
        Journal.Create(Folder, Options);
        byte[][] frame = [.. Enumerable.Range(0, 16).Select(i => Entry(new Random(i), 65_000))];
        await using Journal journal = Journal.Open(Folder, Options, 0);
        for (int i = 0; i < 10; i++)
        {
            await AppendAsync(journal, frame);
            _entries.AddRange(frame);
        }
    }

    private void Refused(string because) => JournalImage.Refused(() => Journal.Open(Folder, Options, 0), because);

    [Fact]
    public async Task D15_a_missing_file_in_the_middle_is_named()
    {
        await CreateAsync();
        File.Delete(FileOf(2));
        DamageException damage = JournalImage.Refused(() => Journal.Open(Folder, Options, 0), "no file 2");
        Assert.Contains("journal file 2", damage.Message, StringComparison.Ordinal);
    }

    [Fact]
    public async Task D15_files_of_zeros_where_frames_were_are_refused()
    {
        await CreateAsync();
        byte[] zeros = new byte[Options.FileBytes];
        byte[] first = await File.ReadAllBytesAsync(FileOf(1));
        await File.WriteAllBytesAsync(FileOf(1), zeros);
        Refused("file 1 is zeros");
        await File.WriteAllBytesAsync(FileOf(1), first);
        await File.WriteAllBytesAsync(FileOf(2), zeros);
        Refused("file 2 is zeros");
    }

    [Fact]
    public async Task D15_a_trimmed_journal_without_any_frame_is_refused()
    {
        // The next index would be 0 again.
        await CreateAsync();
        await using (Journal journal = Journal.Open(Folder, Options, 0)) await journal.TrimAsync(129, CancellationToken.None);
        Assert.False(File.Exists(FileOf(2)));
        await File.WriteAllBytesAsync(FileOf(3), new byte[Options.FileBytes]);
        Refused("only a file of zeros is left");
    }

    [Fact]
    public async Task Files_in_another_order_are_refused()
    {
        await CreateAsync();
        File.Move(FileOf(1), _scratch["one"]);
        File.Move(FileOf(2), FileOf(1));
        File.Move(_scratch["one"], FileOf(2));
        Refused("1 and 2 changed places");
        File.Delete(FileOf(2));
        File.Delete(FileOf(3));
        Refused("file 2 as file 1");
    }

    [Fact]
    public async Task D16_a_torn_end_of_a_file_with_frames_in_the_next_one_is_damage_and_stays_as_it_is()
    {
        await CreateAsync();
        Scratch.Overwrite(FileOf(1), 3 * 1_040_384 + 2000, new byte[1_040_384 - 2000]);
        SortedDictionary<string, string> before = Scratch.Content(Folder);
        DamageException damage = JournalImage.Refused(() => Journal.Open(Folder, Options, 0), "torn in the middle");
        Assert.Contains($"{FileOf(1)}, offset {3 * 1_040_384}:", damage.Message, StringComparison.Ordinal);
        Assert.Equal(before, Scratch.Content(Folder));
    }

    [Fact]
    public async Task Strangers_in_the_directory_are_refused()
    {
        await CreateAsync();
        string stranger = Path.Combine(Folder, "notes.txt");
        await File.WriteAllTextAsync(stranger, "hello");
        Refused("a stranger");
        File.Delete(stranger);
        Directory.CreateDirectory(FileOf(4));
        Assert.ThrowsAny<StorageException>(() => Journal.Open(Folder, Options, 0));
        Directory.Delete(FileOf(4));
        await File.WriteAllBytesAsync(FileOf(4), new byte[Options.FileBytes]);
        await File.WriteAllBytesAsync(FileOf(5), new byte[Options.FileBytes]);
        Refused("two prepared files");
        Directory.Delete(Folder, recursive: true);
        Refused("no directory");
        Directory.CreateDirectory(Folder);
        Refused("an empty directory");
    }

    [Fact]
    public async Task Leftovers_of_preparing_the_next_file_are_removed()
    {
        await CreateAsync();
        if (!File.Exists(FileOf(4))) await File.WriteAllBytesAsync(FileOf(4), new byte[Options.FileBytes]);
        await File.WriteAllBytesAsync(FileOf(5) + ".new", new byte[1000]);
        await using Journal journal = Journal.Open(Folder, Options, 0);
        Assert.Null(journal.Cut);
        Holds(journal, _entries);
        Assert.False(File.Exists(FileOf(4)));
        Assert.False(File.Exists(FileOf(5) + ".new"));
        while (journal.NextIndex < 250)
        {
            byte[] entry = Entry(new Random(5), 65_000);
            _entries.Add(entry);
            await AppendAsync(journal, entry);
        }

        Holds(journal, _entries);
    }

    [Fact]
    public async Task Reading_an_open_journal_whose_bytes_were_changed_is_refused_not_cut_short()
    {
        await CreateAsync();
        await using Journal journal = Journal.Open(Folder, Options, 0);
        Scratch.Overwrite(FileOf(2), 1_040_384 + 5000, 1, 2, 3, 4);
        List<long> read = [];
        DamageException damage = JournalImage.Refused(() => read.AddRange(journal.Read(0).Select(frame => frame.FirstIndex)), "changed under us");
        Assert.Contains($"{FileOf(2)}, offset 1040384:", damage.Message, StringComparison.Ordinal);
    }
}
