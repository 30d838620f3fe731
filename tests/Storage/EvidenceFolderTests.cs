using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

/// <summary>spec/evidence.md: what is in the folder stays there, is bounded, and is nobody else's.</summary>
public sealed class EvidenceFolderTests : IDisposable
{
    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    private string Inside => Path.Combine(_scratch.Root, EvidenceFolder.Name);

    private static Note Signed(string origin, long size, string root) =>
        new(new Checkpoint(origin, size, MerkleHash.Leaf(Encoding.UTF8.GetBytes(root))).ToText(), [new NoteSignature(origin, 7, new byte[64])]);

    private static TlogEvidence Fork(int which, string origin = "example.com/log") => TlogEvidence.Of(Signed(origin, 9, "ours"), Signed(origin, 9, $"theirs {which}"), [])!;

    private static TlogEvidence Unproven(int which) => TlogEvidence.Of(Signed("example.com/log", 9, "ours"), Signed("example.com/log", 10, $"theirs {which}"), [])!;

    [Fact]
    public void A_file_is_there_with_its_bytes_once_and_after_a_restart()
    {
        EvidenceFolder folder = new(_scratch.Root);
        Assert.False(Directory.Exists(Inside));
        Assert.True(folder.Keep(Fork(1)));
        Assert.False(folder.Keep(Fork(1)));
        Assert.Equal([Fork(1).FileName], folder.Names);
        Assert.Equal(Fork(1).ToBytes(), File.ReadAllBytes(folder.PathOf(Fork(1).FileName)));
        folder = new EvidenceFolder(_scratch.Root);
        Assert.False(folder.Keep(Fork(1)));
        Assert.Equal((1, 1, 0, 0), (folder.CountOf(EvidenceKind.Fork), folder.CountOf(EvidenceKind.Fork, Checkpoint.HashOrigin("example.com/log")), folder.CountOf(EvidenceKind.Unproven), folder.CountOf(EvidenceKind.Fork, Checkpoint.HashOrigin("example.com/other"))));
    }

    [Fact]
    public void Each_origin_and_kind_has_eight_and_none_takes_the_place_of_another()
    {
        EvidenceFolder folder = new(_scratch.Root);
        for (int i = 0; i < 12; i++) Assert.Equal(i < EvidenceFolder.MaxOfOrigin, folder.Keep(Unproven(i)));
        for (int i = 0; i < 12; i++) Assert.Equal(i < EvidenceFolder.MaxOfOrigin, folder.Keep(Fork(i)));
        Assert.True(folder.Keep(Fork(0, "example.com/other")));
        folder = new EvidenceFolder(_scratch.Root);
        Assert.Equal((8, 9, 17), (folder.CountOf(EvidenceKind.Unproven), folder.CountOf(EvidenceKind.Fork), folder.Names.Count));
        Assert.False(folder.Keep(Fork(20)));
    }

    [Fact]
    public void Files_of_others_of_older_versions_and_of_a_crash_are_left_alone()
    {
        Directory.CreateDirectory(Inside);
        string hash = Checkpoint.HashOrigin("example.com/log").ToHex();
        string[] others = [$"{hash}-fork-0123456789abcdef", "notes.txt", $"{hash}-fork-0123456789ABCDEF.tlog-evidence", $"{hash}-other-0123456789abcdef.tlog-evidence", "x.tlog-evidence", $"{Fork(1).FileName}.new", $"{hash[1..]}-fork-0123456789abcdef0.tlog-evidence"];
        foreach (string name in others) File.WriteAllText(Path.Combine(Inside, name), name);
        EvidenceFolder folder = new(_scratch.Root);
        Assert.Empty(folder.Names);
        Assert.True(folder.Keep(Fork(1)));
        Assert.Equal(others.Where(name => !name.EndsWith(".new", StringComparison.Ordinal)).Append(Fork(1).FileName).Order(StringComparer.Ordinal), Directory.GetFiles(Inside).Select(path => Path.GetFileName(path)).Order(StringComparer.Ordinal));
        Assert.All(others.Where(name => !name.EndsWith(".new", StringComparison.Ordinal)), name => Assert.Equal(name, File.ReadAllText(Path.Combine(Inside, name))));
    }

    [Fact]
    public void What_was_sent_is_remembered_for_each_file_and_url_over_restarts()
    {
        EvidenceFolder folder = new(_scratch.Root);
        folder.Keep(Fork(1));
        folder.Keep(Fork(2));
        string[] both = [.. folder.Names];
        Assert.Equal(both, folder.NotSentTo("https://a.example/secret"));
        folder.MarkSent(both[0], "https://a.example/secret", DateTimeOffset.FromUnixTimeSeconds(1_800_000_000));
        folder = new EvidenceFolder(_scratch.Root);
        Assert.Equal(both[1..], folder.NotSentTo("https://a.example/secret"));
        Assert.Equal(both, folder.NotSentTo("https://b.example/"));
        Assert.Equal(both, folder.Names);

        // The URL, which may be a secret, is not in the folder.
        string marker = Assert.Single(Directory.GetFiles(Inside, "*.sent"));
        Assert.Equal("2027-01-15T08:00:00Z\n", File.ReadAllText(marker));
        Assert.Matches($"^{System.Text.RegularExpressions.Regex.Escape(both[0])}\\.[0-9a-f]{{16}}\\.sent$", Path.GetFileName(marker));
    }

    [Fact]
    public void Many_at_once_keep_each_claim_once()
    {
        EvidenceFolder folder = new(_scratch.Root);
        int kept = 0;
        Parallel.For(0, 64, i =>
        {
            if (folder.Keep(Fork(i % 4))) Interlocked.Increment(ref kept);
        });
        Assert.Equal((4, 4), (kept, Directory.GetFiles(Inside).Length));
    }

    [Fact]
    public void A_file_that_cannot_be_written_is_not_kept_and_may_be_kept_later()
    {
        EvidenceFolder folder = new(_scratch.Root);
        File.WriteAllText(Inside, "in the way");
        Assert.ThrowsAny<StorageException>(() => folder.Keep(Fork(1)));
        Assert.Empty(folder.Names);
        File.Delete(Inside);
        Assert.True(folder.Keep(Fork(1)));
    }
}
