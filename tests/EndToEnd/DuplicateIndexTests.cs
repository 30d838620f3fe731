using System.Net;
using System.Text;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>The duplicate index of full history in the real program: a cache that anything may happen to.</summary>
public sealed class DuplicateIndexTests
{
    private static readonly Dictionary<string, string> Full = new() { ["TLOG_DUPLICATE_INDEX"] = "full", ["TLOG_DUPLICATE_TABLE_BYTES"] = "1048576" };

    [Fact]
    public async Task I07_a_duplicate_keeps_its_first_index_through_kills_and_whatever_happens_to_the_index()
    {
        using Scratch scratch = new();
        FullCheck check = new(await Programs.CreateLogAsync(scratch["log"]));
        byte[][] entries = [.. Enumerable.Range(0, 600).Select(i => Encoding.UTF8.GetBytes($"entry {i}"))];
        KeyValuePair<long, byte[]>[] answered = [.. entries.Select((entry, i) => KeyValuePair.Create((long)i, entry))];
        string index = Path.Combine(scratch["log"], "index");
        await using (RunningProgram server = Programs.Serve(scratch["log"], Full))
        {
            using LogClient client = new(await server.ListeningAsync());
            Assert.Equal(Enumerable.Range(0, 600).Select(i => (long)i), (await client.AddBatchAsync(entries)).Indexes);
            await FoundAsync(client, entries[3], 3);
            server.Kill();
            await server.EndAsync();
        }

        foreach (Action<string> harm in (Action<string>[])[_ => { }, directory => Directory.Delete(directory, recursive: true), Garble])
        {
            harm(index);
            await using RunningProgram server = Programs.Serve(scratch["log"], Full);
            using LogClient client = new(await server.ListeningAsync());
            await FoundAsync(client, entries[3], 3);
            AddAnswer[] answers = await Task.WhenAll(Enumerable.Range(0, 100).Select(_ => client.AddAsync(entries[3])));
            Assert.All(answers, answer => Assert.Equal([3L], answer.Indexes));
            harm(index);
            Assert.Equal([599L], (await client.AddAsync(entries[599])).Indexes);
            Assert.Equal([4L], (await client.AddAsync(entries[4])).Indexes);
            Assert.Equal(600, await check.RunAsync(client, answered));
            server.Kill();
            await server.EndAsync();
        }

        Ended fsck = await Programs.RunAsync(Programs.Tool, "fsck", scratch["log"]);
        Assert.True(fsck.ExitCode == 0, fsck.ToString());
    }

    private static void Garble(string directory)
    {
        Directory.CreateDirectory(directory);
        File.WriteAllBytes(Path.Combine(directory, "data.0"), [1, 2, 3]);
    }

    private static async Task FoundAsync(LogClient client, byte[] entry, long index)
    {
        string path = $"index/{MerkleHash.Leaf(entry).ToHex()}";
        Assert.True(await Until.TrueAsync(async () => (await client.TryGetAsync(path)).Status == HttpStatusCode.OK, Until.Patience), $"GET /{path}");
        Assert.Equal($"{index}", Encoding.UTF8.GetString(await client.GetAsync(path)));
    }
}
