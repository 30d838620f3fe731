using System.Buffers.Binary;
using System.Globalization;
using System.Text;
using TransparencyLog.Storage;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Witness;

/// <summary>O-04: what a newer program may have written is refused by name, with every sum right, and stays as it is.</summary>
public sealed class VersionTests : IAsyncLifetime
{
    private readonly TestLog _log = new("example.com/newer");
    private TestWitness _witness = null!;

    public async ValueTask InitializeAsync()
    {
        _witness = TestWitness.Create(_log);
        _witness.UsesGuard = true;
        await _witness.StartAsync();
        await _witness.CosignAsync(_log, 0, 5);
        await _witness.StopAsync();
    }

    public ValueTask DisposeAsync() => _witness.DisposeAsync();

    [Fact]
    public async Task O04_each_file_of_a_newer_version_is_refused_by_name_and_stays_as_it_is()
    {
        await RefusesAsync(Path.Combine(_witness.Data, "witness"), bytes => Newer(bytes, "tlog-witness v1", "tlog-witness v2"));
        await RefusesAsync(Path.Combine(_witness.Data, "snapshot"), bytes => Sum(Newer(bytes, "TLWSNAP1", "TLWSNAP2"), bytes.Length));
        await RefusesAsync(Path.Combine(_witness.Data, "journal/000000000001"), bytes => Sum(Newer(bytes, "TLJRNL01", "TLJRNL02"), 60));
        await RefusesAsync(Directory.GetFiles(_witness.Guard, "*.????????????????????.witness").Max(StringComparer.Ordinal)!, bytes =>
        {
            Newer(bytes, "tlog-witness-guard v1", "tlog-witness-guard v2");
            Encoding.ASCII.GetBytes(Crc32C.Of(bytes.AsSpan(0, bytes.Length - 9)).ToString("x8", CultureInfo.InvariantCulture)).CopyTo(bytes, bytes.Length - 9);
            return bytes;
        });
        await _witness.StartAsync();
        await _witness.CheckStateAsync(_log, 5);
    }

    private async Task RefusesAsync(string file, Func<byte[], byte[]> change)
    {
        byte[] before = await File.ReadAllBytesAsync(file), newer = change([.. before]);
        Assert.False(newer.AsSpan().SequenceEqual(before));
        await File.WriteAllBytesAsync(file, newer);
        StorageException refusal = await Assert.ThrowsAnyAsync<StorageException>(_witness.StartAsync);
        Assert.Contains(file, refusal.Message, StringComparison.Ordinal);
        Assert.True((await File.ReadAllBytesAsync(file)).AsSpan().SequenceEqual(newer), file);
        await File.WriteAllBytesAsync(file, before);
    }

    private static byte[] Newer(byte[] bytes, string from, string to)
    {
        int at = bytes.AsSpan().IndexOf(Encoding.ASCII.GetBytes(from));
        Encoding.ASCII.GetBytes(to).CopyTo(bytes, at);
        return bytes;
    }

    /// <summary>Puts the CRC-32C of the first bytes into the last four of them.</summary>
    private static byte[] Sum(byte[] bytes, int length)
    {
        BinaryPrimitives.WriteUInt32BigEndian(bytes.AsSpan(length - 4), Crc32C.Of(bytes.AsSpan(0, length - 4)));
        return bytes;
    }
}
