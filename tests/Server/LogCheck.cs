using System.Buffers.Binary;
using System.Net;
using System.Text;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>
/// The strong check after every act: everything under the published checkpoint is fetched over HTTP and hashed again; the root is the
/// checkpoint's, the signature the log's, and the tree extends the one of the check before.
/// </summary>
internal sealed class LogCheck(HttpClient http, VerifierKey key)
{
    private long _size;
    private byte[]? _root;

    /// <summary>The leaf hashes of the last check.</summary>
    public List<byte[]> Leaves { get; private set; } = [];

    /// <summary>The entries of the last check.</summary>
    public List<byte[]> Entries { get; private set; } = [];

    /// <summary>Checks the tree of exactly this published size; returns the checkpoint.</summary>
    public async Task<byte[]> RunAsync(long size)
    {
        byte[] bytes = await http.GetByteArrayAsync("/checkpoint");
        Checkpoint checkpoint = Open(bytes);
        Assert.Equal(size, checkpoint.Size);

        await ReadEntriesAsync(size);
        List<byte[]> hashes = Leaves;
        for (int level = 0; hashes.Count > 0; level++)
        {
            List<byte[]> above = [];
            for (int n = 0; n * 256 < hashes.Count; n++)
            {
                int width = Math.Min(256, hashes.Count - (n * 256));
                byte[] tile = await http.GetByteArrayAsync(PathOf(level, n, width));
                Assert.True(tile.AsSpan().SequenceEqual(hashes.Skip(n * 256).Take(width).SelectMany(hash => hash).ToArray()), $"{PathOf(level, n, width)} at size {size}");
                if (width == 256) above.Add(Rfc6962.Root(hashes, n * 256, (n + 1) * 256));
            }

            hashes = above;
        }

        byte[] root = Rfc6962.Root(Leaves);
        Assert.Equal(Convert.ToBase64String(root), checkpoint.Root.ToBase64());
        if (_root is not null)
        {
            Assert.True(size >= _size, $"the published size went from {_size} down to {size}");
            Assert.Equal(_root, Rfc6962.Root(Leaves, 0, (int)_size));
            Hash[] proof = [.. Lines(await http.GetStringAsync($"/proof/consistency?from={_size}&to={size}")).Select(ParseHash)];
            Assert.True(MerkleProof.VerifyConsistency(_size, size, new Hash(_root), new Hash(root), proof), $"consistency from {_size} to {size}");
        }

        (_size, _root) = (size, root);
        return bytes;
    }

    /// <summary>A checkpoint with a good signature of the log's key and no bad one.</summary>
    public Checkpoint Open(byte[] bytes)
    {
        Assert.True(Note.TryParse(bytes, out Note? note), Encoding.UTF8.GetString(bytes));
        Assert.Equal(NoteStatus.Verified, note.Verify([Verifiers.TryCreate(key)!]).Status);
        Assert.True(Checkpoint.TryParse(note.Text.Span, out Checkpoint? checkpoint));
        Assert.Equal(key.Name, checkpoint.Origin);
        Assert.Empty(checkpoint.Extensions);
        return checkpoint;
    }

    public static string PathOf(int level, long index, int width) => "/" + new TilePath(level, index, width);

    public static string[] Lines(string text) => text.Split('\n', StringSplitOptions.RemoveEmptyEntries);

    public static Hash ParseHash(string base64) => Hash.TryParseBase64(Encoding.ASCII.GetBytes(base64), out Hash hash) ? hash : throw new FormatException(base64);

    private async Task ReadEntriesAsync(long size)
    {
        (List<byte[]> entries, List<byte[]> leaves) = ([], []);
        for (long n = 0; n * 256 < size; n++)
        {
            int width = (int)Math.Min(256, size - (n * 256));
            byte[] bundle = await http.GetByteArrayAsync(PathOf(-1, n, width));
            int offset = 0;
            for (int i = 0; i < width; i++)
            {
                int length = BinaryPrimitives.ReadUInt16BigEndian(bundle.AsSpan(offset));
                entries.Add(bundle[(offset + 2)..(offset + 2 + length)]);
                leaves.Add(Rfc6962.Leaf(entries[^1]));
                offset += 2 + length;
            }

            Assert.Equal(bundle.Length, offset);
        }

        for (int i = 0; i < Leaves.Count; i++) Assert.Equal(Leaves[i], leaves[i]);
        (Entries, Leaves) = (entries, leaves);
    }

    public async Task<HttpStatusCode> StatusAsync(string path)
    {
        using HttpResponseMessage answer = await http.GetAsync(path);
        return answer.StatusCode;
    }
}
