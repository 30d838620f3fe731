// The words of texts.txt. All of them come from one log of five entries, signed for real: what is spoilt in a text is signed as it is, so that nothing but the reader refuses it.
//
//     note, line   {origin} {size} {root}   {text}: the three of them, each with its newline
//                  {line} {sig}             the log's line, and its base64 alone, over what stands before the last empty line (over {text} where there is none); {badsig}: over another text
//                  {wname} {wline} {wsig}   the witness's, over {text}; {wsig WAY} spoilt in a way
//     vkey         {keyof HEX}: of a public key of one's own; {mlkey N}: of type 0x06 with N bytes of key and the right ID; {log} {vname} {vid} {vkey}; {w1} {w2} {w3}: vkeys of witnesses
//     proof        {note} {hashes}: of entry 0, each hash with its newline; {hash}: the first, without

using System.Buffers.Binary;
using System.Numerics;
using System.Text;
using TransparencyLog.Signing;
using TransparencyLog.Tests.Client;

namespace TransparencyLog.Tests.Hostile;

internal sealed class Words : IDisposable
{
    public const int Size = 5;

    private readonly Ed25519PrivateKey _key = Ed25519PrivateKey.FromSeed(Enumerable.Repeat((byte)1, Ed25519.SeedSize).ToArray());
    private readonly Ed25519PrivateKey _witnessKey = Ed25519PrivateKey.FromSeed(Enumerable.Repeat((byte)100, Ed25519.SeedSize).ToArray());
    private readonly ulong _now = (ulong)TimeProvider.System.GetUtcNow().ToUnixTimeSeconds();

    public Words()
    {
        Log = new MemoryLog(Size);
        Witness = new Cosigner("witness.example/w", _witnessKey);
        Text = Log.Checkpoint.ToText();
        Note = Log.Sign(Size);
    }

    /// <summary>The log: its key is that of seed 1.</summary>
    public MemoryLog Log { get; }

    public Cosigner Witness { get; }

    public byte[] Text { get; }

    public byte[] Note { get; }

    /// <summary>A policy that believes the log alone, or the log and the witness.</summary>
    public string Policy(bool witnessed) => $"log {Log.Signer.Key}\n" + (witnessed ? $"witness w {Witness.Key}\nquorum w\n" : "quorum none\n");

    public byte[] Expand(string text) => TextTable.Expand(text, Word);

    /// <summary>A tlog-proof of entry 0 with this note in it.</summary>
    public byte[] ProofWith(byte[] note) => [.. Encoding.UTF8.GetBytes($"c2sp.org/tlog-proof@v1\nindex 0\n{Hashes}\n"), .. note];

    private string Hashes => string.Concat(Log.Prove(0, Size).Hashes.Select(hash => hash.ToBase64() + "\n"));

    private byte[] Word(string word, byte[] before)
    {
        string[] parts = word.Split(' ', 2);
        return parts[0] switch
        {
            "text" => Text,
            "line" => Encoding.UTF8.GetBytes($"\u2014 {Log.Origin} {Convert.ToBase64String(Signed(before))}\n"),
            "sig" => Encoding.ASCII.GetBytes(Convert.ToBase64String(Signed(before))),
            "note" => Note,
            "badsig" => Encoding.ASCII.GetBytes(Convert.ToBase64String(Signed("another text\n\n"u8.ToArray()))),
            "keyof" => Encoding.UTF8.GetBytes(VerifierKey.Create(Log.Origin, VerifierKey.Ed25519, Convert.FromHexString(parts[1])).ToString()),
            "mlkey" => MlDsaKey(int.Parse(parts[1], System.Globalization.CultureInfo.InvariantCulture)),
            "wsig" => Encoding.ASCII.GetBytes(Convert.ToBase64String(Cosigned(parts.Length > 1 ? parts[1] : ""))),
            _ => Encoding.UTF8.GetBytes(word switch
            {
                "origin" or "vname" => Log.Origin,
                "size" => "5",
                "root" => Log.Root(Size).ToBase64(),
                "wname" => Witness.Key.Name,
                "wline" => $"\u2014 {Witness.Key.Name} {Convert.ToBase64String(Cosigned(""))}\n",
                "log" => Log.Signer.Key.ToString(),
                "vid" => Log.Signer.Key.ToString().Split('+')[1],
                "vkey" => Log.Signer.Key.ToString().Split('+', 3)[2],
                "w1" => Cosigner(1),
                "w2" => Cosigner(2),
                "w3" => Cosigner(3),
                "hashes" => Hashes,
                "hash" => Hashes[..44],
                _ => throw new InvalidDataException($"{{{word}}}"),
            }),
        };
    }

    private byte[] MlDsaKey(int size)
    {
        byte[] key = new byte[size];
        return Encoding.UTF8.GetBytes($"{Log.Origin}+{VerifierKey.ComputeKeyId(Log.Origin, VerifierKey.MlDsa44Cosignature, key):x8}+{Convert.ToBase64String([VerifierKey.MlDsa44Cosignature, .. key])}");
    }

    /// <summary>Key ID and signature of the log over the text that stands before, whatever bytes it has.</summary>
    private byte[] Signed(byte[] before)
    {
        int split = before.AsSpan().LastIndexOf("\n\n"u8);
        byte[] id = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(id, Log.Signer.Key.KeyId);
        return [.. id, .. _key.Sign(split < 0 ? Text : before[..(split + 1)])];
    }

    private byte[] Cosigned(string way)
    {
        NoteSignature line = Witness.Cosign(Text, _now);
        byte[] signature = line.Signature.ToArray();
        byte[] id = new byte[4];
        BinaryPrimitives.WriteUInt32BigEndian(id, line.KeyId);
        return way switch
        {
            "" => [.. id, .. signature],
            "cut" => [.. id, .. signature[..^1]],
            "longer" => [.. id, .. signature, 0],
            "id" => [id[0], id[1], id[2], (byte)(id[3] ^ 1), .. signature],
            "id alone" => id,
            "flipped R" => [.. id, .. With(signature, bytes => bytes[8] ^= 1)],
            "flipped S" => [.. id, .. With(signature, bytes => bytes[^32] ^= 1)],
            "flipped time" => [.. id, .. With(signature, bytes => bytes[7] ^= 1)],
            "S plus L" => [.. id, .. With(signature, bytes => AddL(bytes.AsSpan(^32..)))],
            "R not canonical" => [.. id, .. signature[..8], .. Enumerable.Repeat((byte)0xff, 32), .. signature[^32..]],
            "all zeros" => [.. id, .. new byte[72]],
            "time 0" => [.. id, .. new byte[8], .. signature[8..]],
            "time 2^63" => [.. id, 0x80, .. new byte[7], .. signature[8..]],
            "no time" => [.. id, .. signature[8..]],
            "ML-DSA size" => [.. id, .. new byte[2428]],
            _ => throw new InvalidDataException(way),
        };
    }

    private static byte[] With(byte[] bytes, Action<byte[]> change)
    {
        byte[] copy = [.. bytes];
        change(copy);
        return copy;
    }

    /// <summary>S + L signs the same for whoever does not look (RFC 8032 section 5.1.7).</summary>
    private static void AddL(Span<byte> s)
    {
        BigInteger sum = new BigInteger(s, isUnsigned: true) + BigInteger.Pow(2, 252) + BigInteger.Parse("27742317777372353535851937790883648493", System.Globalization.CultureInfo.InvariantCulture);
        s.Clear();
        Assert.True(sum.TryWriteBytes(s, out _, isUnsigned: true));
    }

    private static string Cosigner(byte seed)
    {
        using Ed25519PrivateKey key = Ed25519PrivateKey.FromSeed(Enumerable.Repeat((byte)(200 + seed), Ed25519.SeedSize).ToArray());
        return new Cosigner($"w{seed}.example", key).Key.ToString();
    }

    public void Dispose()
    {
        Log.Dispose();
        _key.Dispose();
        _witnessKey.Dispose();
    }
}
