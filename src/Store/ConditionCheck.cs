using System.Diagnostics;

namespace TransparencyLog.Store;

/// <summary>
/// Decides the conditions of a batch, for every store alike (<see cref="IJournal.AppendAsync"/>). Pure: the caller looks up what is stored,
/// and stores what has moved in the transaction of the append.
/// </summary>
internal sealed class ConditionCheck
{
    private static readonly ConditionCheck NoConditions = new();

    private readonly List<int> _failed = [];
    private readonly Dictionary<string, StreamHead> _heads = new(StringComparer.Ordinal);
    private readonly Dictionary<string, KeyedAnswer> _keys = new(StringComparer.Ordinal);

    private ConditionCheck()
    {
    }

    /// <summary>The positions of the conditions that do not hold, ascending.</summary>
    public IReadOnlyList<int> Failed => _failed;

    /// <summary>The heads that move, with their new values. To be stored only where nothing has failed.</summary>
    public IReadOnlyDictionary<string, StreamHead> Heads => _heads;

    /// <summary>The keys that are used, with their answers. To be stored only where nothing has failed.</summary>
    public IReadOnlyDictionary<string, KeyedAnswer> Keys => _keys;

    /// <summary>Checks the conditions in their order.</summary>
    /// <param name="batch">The batch.</param>
    /// <param name="firstIndex">The index that its first entry gets.</param>
    /// <param name="headOf">Returns the stored head of a stream.</param>
    /// <param name="isUsed">Returns whether a key is remembered.</param>
    public static ConditionCheck Run(JournalBatch batch, long firstIndex, Func<string, StreamHead?> headOf, Func<string, bool> isUsed)
    {
        if (batch.Conditions.Count == 0) return NoConditions;
        ConditionCheck check = new();
        for (int i = 0; i < batch.Conditions.Count; i++)
        {
            bool holds = batch.Conditions[i] switch
            {
                JournalCondition.Head head => check.TryMove(head, firstIndex, headOf),
                JournalCondition.Once once => check.TryUse(once, firstIndex, isUsed),
                _ => throw new UnreachableException($"there is no condition {batch.Conditions[i].GetType().Name}"),
            };
            if (!holds) check._failed.Add(i);
        }

        return check;
    }

    private bool TryMove(JournalCondition.Head head, long firstIndex, Func<string, StreamHead?> headOf)
    {
        StreamHead? found = _heads.TryGetValue(head.Stream, out StreamHead moved) ? moved : headOf(head.Stream);
        if (found is StreamHead current)
        {
            if (current.Sequence != head.ExpectedSequence || current.Hash != head.ExpectedHash || current.Time > head.Time) return false;
        }
        else if (head.ExpectedSequence != 0)
        {
            return false;
        }

        _heads[head.Stream] = new StreamHead(head.ExpectedSequence + 1, head.NextHash, head.Time, firstIndex + head.Entry);
        return true;
    }

    private bool TryUse(JournalCondition.Once once, long firstIndex, Func<string, bool> isUsed)
    {
        if (_keys.ContainsKey(once.Key) || isUsed(once.Key)) return false;
        _keys[once.Key] = new KeyedAnswer(once.Request, firstIndex + once.Entry, once.Count);
        return true;
    }
}
