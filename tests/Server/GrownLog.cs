using TransparencyLog.Client;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>Signed heads of a tree of the entries 0, 1, 2 ... and proofs between them, by the recursion of the RFC.</summary>
internal sealed class GrownLog
{
    private readonly List<byte[]> _leaves;
    private readonly NoteSigner _signer;

    public GrownLog(int size, NoteSigner signer)
    {
        _leaves = [.. Enumerable.Range(0, size).Select(i => Rfc6962.Leaf(BitConverter.GetBytes(i)))];
        _signer = signer;
    }

    public OfferedCheckpoint HeadAt(int size)
    {
        Hash root = new(Rfc6962.Root(_leaves, 0, size));
        byte[] text = new Checkpoint(_signer.Key.Name, size, root).ToText();
        return new OfferedCheckpoint(size, root, new Note(text, [_signer.Sign(text)]).ToBytes());
    }

    public Hash[] Prove(long from, long to) => [.. Rfc6962.Proof(_leaves, (int)from, 0, (int)to, true).Select(hash => new Hash(hash))];
}
