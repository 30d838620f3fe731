using System.Net;
using System.Text;
using TransparencyLog.Storage;

namespace TransparencyLog.Tests.Server;

/// <summary>What tlog-checkpoint and tlog-tiles ask of a log as a whole: its checkpoint to the byte, and tiles that stay.</summary>
public sealed class ServedTests
{
    [Fact]
    public async Task TT01_TT04_CP08_CP10_CP13_a_checkpoint_is_these_bytes_signed_with_ed25519_under_the_origin_as_key_name()
    {
        await using TestLog log = await TestLog.StartAsync();
        string checkpoint = Encoding.UTF8.GetString(await log.CheckLog(0));
        string text = $"{TestLog.Origin}\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n";
        Assert.StartsWith($"{text}\n\u2014 {TestLog.Origin} ", checkpoint, StringComparison.Ordinal);
        Assert.Equal(5, checkpoint.Count(one => one == '\n'));

        byte[] signature = Convert.FromBase64String(checkpoint[(checkpoint.LastIndexOf(' ') + 1)..^1]);
        uint keyId = VerifierKey.ComputeKeyId(TestLog.Origin, 0x01, log.Key.PublicKey.Span);
        Assert.Equal(VerifierKey.Ed25519, log.Key.SignatureType);
        Assert.Equal(keyId, System.Buffers.Binary.BinaryPrimitives.ReadUInt32BigEndian(signature));
        Assert.True(Signing.Ed25519.Verify(log.Key.PublicKey.Span, Encoding.UTF8.GetBytes(text), signature.AsSpan(4)));
    }

    [Fact]
    public async Task TT19_TT34_the_partial_tiles_of_every_size_that_had_a_checkpoint_stay_over_growth_and_restarts()
    {
        await using TestLog log = await TestLog.StartAsync();
        Dictionary<string, byte[]> seen = new(StringComparer.Ordinal);
        foreach (int size in (int[])[1, 2, 3, 100, 254, 255, 256, 257, 300, 511, 512, 513, 700])
        {
            int from = log.Check.Entries.Count;
            await log.AddBatchAsync([.. Enumerable.Range(from, size - from).Select(i => Encoding.ASCII.GetBytes($"entry {i}"))]);
            await log.CheckLog(size);
            foreach (int level in (int[])[-1, 0, 1])
            {
                long index = (long)size >> (8 * (Math.Max(level, 0) + 1));
                int width = TilePath.WidthAt(level, index, size);
                if (width == 0 && index == 0) continue;
                string path = width == 0 ? LogCheck.PathOf(level, index - 1, 256) : LogCheck.PathOf(level, index, width);
                seen[path] = await log.Http.GetByteArrayAsync(path);
            }
        }

        // A tile and a bundle for each of the 13 sizes, and two widths of level 1.
        Assert.Equal(28, seen.Count);
        for (int run = 0; run < 2; run++)
        {
            foreach ((string path, byte[] bytes) in seen)
            {
                using HttpResponseMessage answer = await log.Http.GetAsync(path);
                Assert.True(answer.StatusCode == HttpStatusCode.OK, $"{path}: {answer.StatusCode}");
                byte[] again = await answer.Content.ReadAsByteArrayAsync();
                Assert.True(bytes.AsSpan().SequenceEqual(again), path);
            }

            await log.RestartAsync();
            await log.CheckLog(700);
        }
    }

    [Fact]
    public async Task TT40_a_checkpoint_is_public_only_when_the_tiles_it_needs_can_be_read()
    {
        HeldTiles? tiles = null;
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Replace = parts => parts with { Tiles = tiles = new HeldTiles(parts.Tiles) } });
        byte[] checkpoint = await log.CheckLog(0);
        tiles!.Hold();

        // Durable, and answered: but the segment that is full now is not in the store yet.
        await log.AddBatchAsync([.. Enumerable.Range(0, 300).Select(i => BitConverter.GetBytes(i))]);
        await tiles.Reached;
        using CancellationTokenSource moment = new(TimeSpan.FromMilliseconds(300));
        await Assert.ThrowsAnyAsync<OperationCanceledException>(() => log.Engine.Publisher.WaitAsync(0, false, moment.Token).AsTask());
        Assert.Equal(0, log.Engine.Publisher.SignedSize);
        Assert.Equal(checkpoint, await log.Http.GetByteArrayAsync("/checkpoint"));
        Assert.Equal(HttpStatusCode.NotFound, await log.Check.StatusAsync("/tile/0/000"));
        tiles.Release();
        await log.CheckLog(300);
    }

    /// <summary>A store whose next segments wait until the test lets them go.</summary>
    private sealed class HeldTiles(ITileStore inner) : ITileStore
    {
        private readonly TaskCompletionSource _reached = new(TaskCreationOptions.RunContinuationsAsynchronously);
        private TaskCompletionSource? _held;

        public Task Reached => _reached.Task.WaitAsync(TimeSpan.FromSeconds(60));

        public long SegmentCount => inner.SegmentCount;

        public long DurableSegmentCount => inner.DurableSegmentCount;

        public void Hold() => _held = new TaskCompletionSource(TaskCreationOptions.RunContinuationsAsynchronously);

        public void Release() => _held!.SetResult();

        public async ValueTask PutSegmentAsync(SealedSegment segment, CancellationToken stop)
        {
            _reached.TrySetResult();
            if (_held is not null) await _held.Task;
            await inner.PutSegmentAsync(segment, stop);
        }

        public ValueTask PutUpperTileAsync(FullTile tile, CancellationToken stop) => inner.PutUpperTileAsync(tile, stop);

        public void ThrowIfFailed() => inner.ThrowIfFailed();

        public ValueTask FlushAsync(CancellationToken stop) => inner.FlushAsync(stop);

        public ValueTask<ReadOnlyMemory<byte>?> GetAsync(TilePath path, CancellationToken stop) => inner.GetAsync(path, stop);

        public ValueTask<long?> GetBundleSizeAsync(long number, CancellationToken stop) => inner.GetBundleSizeAsync(number, stop);

        public ValueTask<Hash> GetRootAsync(int level, long index, CancellationToken stop) => inner.GetRootAsync(level, index, stop);

        public ValueTask DisposeAsync() => inner.DisposeAsync();
    }
}
