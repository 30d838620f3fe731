using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Storage;

public sealed class SalvageTests : IDisposable
{
    private const string Origin = "example.com/log";

    private readonly Scratch _scratch = new();

    public void Dispose() => _scratch.Dispose();

    /// <summary>Frames that leave gaps, overlap and lie within each other, in any order: what several lives of a damaged journal may leave.</summary>
    [Fact]
    public async Task Entries_are_found_in_whatever_frames_of_a_journal_have_them()
    {
        int whole = 0, missing = 0;
        for (int seed = 0; seed < 50; seed++)
        {
            Random random = new(seed);
            (int First, int Count)[] frames = [.. Enumerable.Range(0, random.Next(60)).Select(_ => (random.Next(700), random.Next(1, 120)))];
            string path = _scratch[$"{seed}"];
            Write(Path.Combine(path, "journal"), frames);
            Salvage salvage = Salvage.Of(path, Origin, CancellationToken.None);
            Assert.Equal(frames.Select(frame => frame.First + frame.Count).DefaultIfEmpty().Max(), salvage.JournalEnd);
            for (int segment = 0; segment < 4; segment++)
            {
                foreach (int width in (int[])[1, 2, 100, 256])
                {
                    int first = segment * 256;
                    bool has = Enumerable.Range(first, width).All(i => frames.Any(frame => frame.First <= i && i < frame.First + frame.Count));
                    ReadOnlyMemory<byte>? found = await salvage.ReadAsync(segment, width, CancellationToken.None);
                    Assert.True(found.HasValue == has, $"seed {seed}, segment {segment}, width {width}");
                    if (has) Assert.Equal(Enumerable.Range(first, width).SelectMany(i => (byte[])[0, 4, .. Entry(i)]), found!.Value.ToArray());
                    if (has) whole++;
                    else missing++;
                }
            }
        }

        Assert.True(whole > 100 && missing > 100, $"{whole} were there, {missing} were not");
    }

    private static void Write(string journal, (int First, int Count)[] frames)
    {
        Directory.CreateDirectory(journal);
        using FileStream file = File.Create(Path.Combine(journal, "000000000001"));
        JournalFrame frame = new();
        for (int i = 0; i < frames.Length; i++)
        {
            frame.Clear();
            for (int k = 0; k < frames[i].Count; k++) Assert.True(frame.TryAdd(Entry(frames[i].First + k)));
            file.Write(frame.Seal(i + 1, frames[i].First, i, LogDirectory.OptionsFor(Origin).Identity).Span);
        }
    }

    private static byte[] Entry(int index) => BitConverter.GetBytes(index);
}
