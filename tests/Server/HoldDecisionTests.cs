using System.Text;
using TransparencyLog.Client;
using TransparencyLog.Server;
using TransparencyLog.Signing;

namespace TransparencyLog.Tests.Server;

/// <summary>The decision alone: every policy of up to five witnesses, every way in which each may stand.</summary>
public sealed class HoldDecisionTests
{
    private const int MaxWitnesses = 5;

    private static readonly WitnessStanding
        Follows = new(Contradicts: false, IsFirstContact: false, IsDistrusted: false, HasCosignedNewest: true),
        Behind = new(Contradicts: false, IsFirstContact: false, IsDistrusted: false, HasCosignedNewest: false),
        Silent = new(Contradicts: false, IsFirstContact: true, IsDistrusted: false, HasCosignedNewest: false),
        FirstClaim = new(Contradicts: true, IsFirstContact: true, IsDistrusted: false, HasCosignedNewest: false),
        Claim = new(Contradicts: true, IsFirstContact: false, IsDistrusted: false, HasCosignedNewest: false),
        ClaimAfterLine = new(Contradicts: true, IsFirstContact: false, IsDistrusted: false, HasCosignedNewest: true),
        Distrusted = new(Contradicts: true, IsFirstContact: true, IsDistrusted: true, HasCosignedNewest: false);

    private static readonly WitnessStanding[] Kinds = [Follows, Behind, Silent, FirstClaim, Claim, ClaimAfterLine, Distrusted];

    private static readonly VerifierKey[] Keys = [.. Enumerable.Range(0, MaxWitnesses + 1).Select(i => new Cosigner($"example.com/w{i}", Ed25519PrivateKey.Generate()).Key)];

    [Fact]
    public void N04_every_k_of_n_up_to_5_decides_by_these_counts()
    {
        for (int n = 1; n <= MaxWitnesses; n++)
        {
            for (int k = 1; k <= n; k++)
            {
                Policy policy = Read(n, $"group g {k} {string.Join(' ', Names(n))}\nquorum g\n");
                foreach (WitnessStanding[] standings in All(n))
                {
                    foreach ((bool guard, bool open) in Situations)
                    {
                        Assert.Equal(Expected(k, standings, guard, open), Decide(policy, standings, guard, open));
                    }
                }
            }
        }

        static Hold Expected(int k, WitnessStanding[] standings, bool guard, bool open)
        {
            int claims = standings.Count(one => one is { Contradicts: true, IsDistrusted: false });
            int first = standings.Count(one => one is { Contradicts: true, IsDistrusted: false, IsFirstContact: true });
            int cosignedSinceStart = standings.Count(one => one is { Contradicts: false, IsFirstContact: false });
            int followers = standings.Count(one => one is { Contradicts: false, HasCosignedNewest: true });
            if (claims == 0) return Hold.None;
            if (first > 0 && !guard && (!open || standings.Length - cosignedSinceStart >= k)) return Hold.Signing;
            return standings.Length - followers >= k ? Hold.Publication : Hold.None;
        }
    }

    /// <summary>Groups in groups, and witnesses that the quorum does not count.</summary>
    public static TheoryData<string> Nested =>
    [
        "group x any a b\ngroup y all c d\ngroup g 2 x y e\nquorum g\n",
        "group x all a b\ngroup y all c d\ngroup g any x y\nquorum g\n",
        "group x 2 a b c\ngroup g all x d\nquorum g\n",
        "group x any a b\ngroup y any c d\ngroup z all x y\ngroup g 2 z e\nquorum g\n",
        "group x any a b\ngroup y 2 x c d\ngroup g any y e\nquorum g\n",
        "quorum c\n",
    ];

    [Theory]
    [MemberData(nameof(Nested))]
    public void N04_publication_goes_on_exactly_while_no_set_of_the_others_is_a_quorum(string quorum)
    {
        Policy policy = Read(MaxWitnesses, quorum);
        bool[] required = [.. policy.Witnesses.Select(policy.QuorumWitnesses.Contains)];
        bool[] isQuorum = [.. Enumerable.Range(0, 1 << MaxWitnesses).Select(set => policy.IsQuorumMet(witness => (set >> IndexOf(policy, witness) & 1) != 0))];
        foreach (WitnessStanding[] standings in All(MaxWitnesses))
        {
            int others = 0;
            bool anyClaim = false, anyFirst = false;
            for (int i = 0; i < MaxWitnesses; i++)
            {
                if (standings[i] is not { HasCosignedNewest: true, Contradicts: false }) others |= 1 << i;
                if (!required[i] || standings[i] is not { Contradicts: true, IsDistrusted: false }) continue;
                anyClaim = true;
                anyFirst |= standings[i].IsFirstContact;
            }

            // Every set is looked at, so that nothing is taken for granted about quorums.
            bool rival = Enumerable.Range(0, isQuorum.Length).Any(set => isQuorum[set] && (set & ~others) == 0);
            Hold expected = !anyClaim ? Hold.None : rival ? Hold.Publication : Hold.None;
            Assert.Equal(expected, Decide(policy, standings, guardAgrees: true, isOpen: true));

            // At a start that no guard vouches for one claim is enough to wait, whatever the others say.
            Hold atStart = Decide(policy, standings, guardAgrees: false, isOpen: false);
            if (anyFirst) Assert.Equal(Hold.Signing, atStart);
            else Assert.Equal(expected, atStart);
        }
    }

    [Fact]
    public void N04_a_witness_that_the_quorum_does_not_count_changes_no_decision()
    {
        for (int n = 1; n <= 3; n++)
        {
            for (int k = 1; k <= n; k++)
            {
                string group = $"group g {k} {string.Join(' ', Names(n))}\nquorum g\n";
                Policy without = Read(n, group), with = Read(n + 1, group);
                foreach (WitnessStanding[] standings in All(n))
                {
                    foreach (WitnessStanding optional in Kinds)
                    {
                        foreach ((bool guard, bool open) in Situations)
                        {
                            Assert.Equal(Decide(without, standings, guard, open), Decide(with, [.. standings, optional], guard, open));
                        }
                    }
                }
            }
        }
    }

    [Fact]
    public void N04_with_quorum_none_nobody_holds_anything()
    {
        Policy policy = Read(2, "quorum none\n");
        foreach (WitnessStanding[] standings in All(2))
        {
            foreach ((bool guard, bool open) in Situations) Assert.Equal(Hold.None, Decide(policy, standings, guard, open));
        }
    }

    [Fact]
    public void N04_a_witness_with_two_keys_follows_a_head_when_both_have_cosigned_it()
    {
        // a and b are two keys of one witness: 2 of 3 witnesses. What the second key has signed is known of it alone.
        Policy policy = Read(4, "group w any a b\ngroup g 2 w c d\nquorum g\n");
        Assert.Equal(Hold.None, Decide(policy, [Claim, Claim, Follows, Follows], guardAgrees: true, isOpen: true));
        Assert.Equal(Hold.Publication, Decide(policy, [Claim, Claim, Follows, Behind], guardAgrees: true, isOpen: true));
        Assert.Equal(Hold.None, Decide(policy, [Follows, Follows, Claim, Follows], guardAgrees: true, isOpen: true));
        Assert.Equal(Hold.Publication, Decide(policy, [Follows, Behind, Claim, Follows], guardAgrees: true, isOpen: true));
    }

    [Fact]
    public void N04_what_no_further_cosignature_can_end_is_known_at_once()
    {
        for (int n = 1; n <= MaxWitnesses; n++)
        {
            for (int k = 1; k <= n; k++)
            {
                Policy policy = Read(n, $"group g {k} {string.Join(' ', Names(n))}\nquorum g\n");
                for (int claims = 0; claims <= n; claims++) Assert.Equal(claims >= k, RivalQuorum.IsCertain(policy, witness => IndexOf(policy, witness) < claims));
            }
        }
    }

    private static readonly (bool Guard, bool Open)[] Situations = [(false, false), (false, true), (true, true)];

    private static IEnumerable<string> Names(int n) => Enumerable.Range(0, n).Select(i => $"{(char)('a' + i)}");

    private static Policy Read(int n, string quorum)
    {
        string text = string.Concat(Names(n).Select((name, i) => $"witness {name} {Keys[i]}\n")) + quorum;
        Assert.True(Policy.TryParse(Encoding.UTF8.GetBytes(text), out Policy? policy, out string error), error);
        return policy;
    }

    private static int IndexOf(Policy policy, PolicyWitness witness) => witness.Name[0] - 'a' is int index && policy.Witnesses[index] == witness ? index : throw new InvalidOperationException(witness.Name);

    private static Hold Decide(Policy policy, WitnessStanding[] standings, bool guardAgrees, bool isOpen) =>
        HoldDecision.Of(policy, witness => standings[witness.Name[0] - 'a'], guardAgrees, isOpen);

    /// <summary>Every way in which n witnesses may stand.</summary>
    private static IEnumerable<WitnessStanding[]> All(int n)
    {
        int count = (int)Math.Pow(Kinds.Length, n);
        for (int code = 0; code < count; code++)
        {
            WitnessStanding[] standings = new WitnessStanding[n];
            for (int i = 0, rest = code; i < n; i++, rest /= Kinds.Length) standings[i] = Kinds[rest % Kinds.Length];
            yield return standings;
        }
    }
}
