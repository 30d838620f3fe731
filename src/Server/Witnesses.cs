using TransparencyLog.Client;
using TransparencyLog.Signing;
using TransparencyLog.Storage;

namespace TransparencyLog.Server;

/// <summary>One witness of the log's policy.</summary>
/// <param name="Feed">Keeps it at the newest head.</param>
/// <param name="Name">Its name in the policy; the name of its first line when it has several.</param>
/// <param name="Lines">Its lines in the policy.</param>
/// <param name="IsRequired">Whether the quorum counts it; otherwise it is optional.</param>
internal sealed record PolicyPeer(WitnessFeed Feed, string Name, IReadOnlyList<PolicyWitness> Lines, bool IsRequired);

/// <summary>
/// The witnesses of the policy for the publisher: which to ask, which to wait for, which have answered. Belongs to the publisher's loop, except
/// <see cref="Peers"/> and the states of their feeds.
/// </summary>
internal sealed class Witnesses : IDisposable
{
    /// <summary>A failing witness is logged at most this often. Its state is always current.</summary>
    private static readonly TimeSpan Telling = TimeSpan.FromMinutes(1);

    private readonly Policy _policy;
    private readonly TimeProvider _time;
    private readonly ILogger _logger;
    private readonly List<WitnessClient> _clients = [];
    private readonly Dictionary<WitnessFeed, long> _answered = []; // the newest size that it has cosigned for this log
    private readonly Dictionary<(WitnessFeed, Type), long> _toldAt = [];
    private readonly WitnessNotes _notes;
    private readonly Func<long> _signedSize;

    public Witnesses(
        Policy policy, Settings settings, TimeProvider time, ILogger logger,
        Func<long, OfferedCheckpoint, CancellationToken, ValueTask<Hash[]>> consistency, OwnWords words, Func<long> signedSize, Action<WitnessEvent> report)
    {
        _policy = policy;
        _time = time;
        _logger = logger;
        _signedSize = signedSize;
        _notes = new WitnessNotes(settings.Data);
        IReadOnlyList<PolicyWitness> quorum = policy.QuorumWitnesses;
        List<PolicyPeer> peers = [];
        foreach (WitnessAddress address in WitnessAddress.Of(policy, Verifiers.TryCreate))
        {
            WitnessClient client = new(address.SubmissionPrefix, address.Keys, new WitnessClientOptions { AttemptTimeout = settings.WitnessTimeout, Time = time });
            _clients.Add(client);
            WitnessFeedOptions options = new()
            {
                TotalTimeout = settings.WitnessTotalTimeout,
                RequestsPerDay = settings.WitnessRequestsPerDay,
                Burst = settings.WitnessBurst,
                Time = time,
            };
            peers.Add(new PolicyPeer(new WitnessFeed(client, options, consistency, words, signedSize, report), address.Witnesses[0].Name, address.Witnesses, address.Witnesses.Any(quorum.Contains)));
        }

        Peers = peers;
    }

    public IReadOnlyList<PolicyPeer> Peers { get; }

    /// <summary>Whether publication needs cosignatures.</summary>
    public bool NeedsQuorum => !_policy.QuorumIsNone;

    /// <summary>Asks every witness to cosign a head.</summary>
    public void Offer(TreeHead head)
    {
        OfferedCheckpoint offered = new(head.Size, head.Root, head.Checkpoint);
        foreach (PolicyPeer peer in Peers) peer.Feed.Submit(offered);
    }

    /// <summary>
    /// Time until our own rate limits allow requests to enough witnesses for the quorum. Signing earlier would make a head that no witness may be asked
    /// about. Witnesses that do not answer are not counted; zero when the quorum cannot be met without them.
    /// </summary>
    public TimeSpan UntilQuorum()
    {
        if (!NeedsQuorum) return TimeSpan.Zero;
        HashSet<PolicyWitness> askable = [];
        foreach (PolicyPeer peer in Peers.Where(peer => peer.IsRequired && peer.Feed.IsHealthy).OrderBy(peer => peer.Feed.Wait))
        {
            askable.UnionWith(peer.Lines);
            if (_policy.IsQuorumMet(askable.Contains)) return peer.Feed.Wait;
        }

        return TimeSpan.Zero;
    }

    /// <summary>Whether every witness that may be expected to answer has cosigned this size, and no newer size.</summary>
    public bool HaveAllAnswered(long size) => Peers.All(peer => _answered.GetValueOrDefault(peer.Feed, -1) == size || !peer.Feed.IsHealthy);

    /// <summary>Records an event that a feed has reported, and logs failures for the operator.</summary>
    public void Take(WitnessEvent reported)
    {
        switch (reported)
        {
            case WitnessEvent.Cosigned cosigned:
                _answered[cosigned.Feed] = cosigned.Checkpoint.Size;
                if (cosigned.Dropped > 0 && MayTell(reported)) _logger.WitnessLinesDropped(cosigned.Feed.SubmissionPrefix, cosigned.Dropped);
                break;
            case WitnessEvent.Ahead { Evidence: null } ahead:
                if (MayTell(reported)) _logger.WitnessContradicts(ahead.Feed.SubmissionPrefix, ahead.Size, _signedSize());
                break;
            case WitnessEvent.WentBack { Regress: WitnessRegress regress } went:
                string kept = _notes.Keep(regress, Peers.Single(peer => peer.Feed == went.Feed));
                if (!MayTell(reported)) break;
                if (regress.IsProven) _logger.WitnessBrokePromise(went.Feed.SubmissionPrefix, regress.Held.Checkpoint.Size, kept);
                else _logger.WitnessWentBack(went.Feed.SubmissionPrefix, regress.Held.Checkpoint.Size, regress.Size, kept);
                break;
            case WitnessEvent.Failed failed:
                if (MayTell(reported)) _logger.WitnessFailed(failed.Feed.SubmissionPrefix, failed.Checkpoint.Size, failed.Answer.Reason);
                break;
        }
    }

    public void Dispose()
    {
        foreach (WitnessClient client in _clients) client.Dispose();
    }

    private bool MayTell(WitnessEvent reported)
    {
        (WitnessFeed, Type) about = (reported.Feed, reported.GetType());
        long now = _time.GetTimestamp();
        if (_toldAt.TryGetValue(about, out long told) && _time.GetElapsedTime(told, now) < Telling) return false;
        _toldAt[about] = now;
        return true;
    }
}
