// The answers of the witnesses since the start, as far as they decide whether this log may go on: which have cosigned, which contradict, which have not
// answered yet. The decision is in HoldDecision.cs.

using System.Globalization;
using TransparencyLog.Client;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>What is known at the start about the directory and the witnesses.</summary>
/// <param name="GuardAgrees">A guard has confirmed that this directory is the newest.</param>
/// <param name="Distrusted">Witnesses whose unsigned claims hold nothing.</param>
internal sealed record WitnessTrust(bool GuardAgrees, IReadOnlyList<DistrustedWitness> Distrusted)
{
    public bool IsDistrusted(PolicyPeer peer) => Distrusted.Any(one => peer.Lines.Any(line => line.Name == one.Name));
}

/// <summary>The claims of a log's witnesses. Belongs to the publisher's loop.</summary>
internal sealed class WitnessClaims
{
    private readonly Policy _policy;
    private readonly WitnessTrust _trust;
    private readonly Dictionary<WitnessFeed, PolicyPeer> _peers;
    private readonly Dictionary<PolicyWitness, PolicyPeer> _peerOf = [];
    private readonly Dictionary<WitnessFeed, long> _claims = [];   // the size that each claims
    private readonly HashSet<WitnessFeed> _answered = [], _cosigned = [], _convicted = [];
    private readonly CosignatureSet _vouched;                      // lines since the start, on any head of ours that was the newest at the time

    public WitnessClaims(Policy policy, IReadOnlyList<PolicyPeer> peers, WitnessTrust trust)
    {
        _policy = policy;
        _trust = trust;
        _peers = peers.ToDictionary(peer => peer.Feed);
        foreach (PolicyPeer peer in peers)
        {
            foreach (PolicyWitness line in peer.Lines) _peerOf[line] = peer;
        }

        _vouched = new CosignatureSet(policy);
    }

    /// <summary>Whether a quorum has cosigned heads of this log since the start.</summary>
    public bool HasQuorumVouched => _vouched.MeetsQuorum;

    /// <summary>Whether every witness that the quorum counts has answered, or failed to, at least once.</summary>
    public bool HaveAllAnswered => _peers.Values.All(peer => !peer.IsRequired || _answered.Contains(peer.Feed));

    /// <summary>Whether publication is held even if all other witnesses cosign.</summary>
    public bool IsCertain => RivalQuorum.IsCertain(_policy, Holds);

    /// <summary>Whether a witness's own lines prove that it broke its promise. Its lines no longer count then.</summary>
    public bool IsConvicted(WitnessFeed feed) => _convicted.Contains(feed);

    /// <summary>Records an event that a feed has reported.</summary>
    public void Take(WitnessEvent reported)
    {
        PolicyPeer peer = _peers[reported.Feed];
        _answered.Add(peer.Feed);
        switch (reported)
        {
            case WitnessEvent.Cosigned cosigned:
                _claims.Remove(peer.Feed);
                _cosigned.Add(peer.Feed);
                if (!IsConvicted(peer.Feed)) _vouched.Add(cosigned.Lines);
                break;
            case WitnessEvent.Ahead ahead:
                _claims[peer.Feed] = ahead.Size;
                _vouched.Remove(peer.Lines);
                break;
            case WitnessEvent.WentBack { Regress.IsProven: true }:
                _convicted.Add(peer.Feed);
                _vouched.Remove(peer.Lines);
                break;
        }
    }

    /// <summary>Decides what is held now.</summary>
    /// <param name="newest">The lines on the newest signed head.</param>
    /// <param name="isOpen">Whether the log has opened for entries.</param>
    public Hold HoldOf(CosignatureSet newest, bool isOpen) => _claims.Count == 0 ? Hold.None : HoldDecision.Of(
        _policy,
        witness => _peerOf.TryGetValue(witness, out PolicyPeer? peer)
            ? new WitnessStanding(_claims.ContainsKey(peer.Feed), !_cosigned.Contains(peer.Feed), IsDistrusted(peer), newest.Contains(witness))
            : new WitnessStanding(Contradicts: false, IsFirstContact: true, IsDistrusted: false, HasCosignedNewest: false),
        _trust.GuardAgrees, isOpen);

    /// <summary>Describes the claims, in words that name no host.</summary>
    public string Describe(long signed)
    {
        IEnumerable<string> said = _claims.Select(claim => (Peer: _peers[claim.Key], Size: claim.Value)).Where(claim => Holds(claim.Peer))
            .Select(claim => string.Create(CultureInfo.InvariantCulture, $"witness {claim.Peer.Name} says, without proof, that it has cosigned size {claim.Size}"));
        return string.Create(CultureInfo.InvariantCulture, $"{string.Join(", ", said)}, but this log has never signed more than {signed}");
    }

    private bool Holds(PolicyWitness witness) => _peerOf.TryGetValue(witness, out PolicyPeer? peer) && Holds(peer);

    private bool Holds(PolicyPeer peer) => _claims.ContainsKey(peer.Feed) && peer.IsRequired && !IsDistrusted(peer);

    /// <summary>Distrusted by the operator, or because of its own lines.</summary>
    private bool IsDistrusted(PolicyPeer peer) => _trust.IsDistrusted(peer) || IsConvicted(peer.Feed);
}
