namespace TransparencyLog.Tests.Witness;

/// <summary>The witness against a model of it that fits on a page, by random requests.</summary>
public sealed class ModelTests
{
    private enum Proof
    {
        Right,
        Missing,
        OneMore,
        Flipped,
    }

    private enum Signed
    {
        ByTheLog,
        ByNobody,
        ByAFalseLine,
    }

    private sealed record Step(int Log, int Branch, long Old, long Size, Proof Proof, Signed Signed);

    /// <summary>c2sp.org/tlog-witness, add-checkpoint, as a function.</summary>
    private sealed class Model(TestLog[][] branches)
    {
        public (long Size, int Branch)[] States { get; } = [.. branches.Select(_ => (-1L, 0))];

        public (int Status, long Size) Apply(Step step)
        {
            (long stored, int storedBranch) = States[step.Log];
            long size = Math.Max(0, stored);
            TestLog mine = branches[step.Log][step.Branch], theirs = branches[step.Log][storedBranch];
            if (step.Log == 0) return (404, 0); // the first log is not on the list
            if (step.Signed != Signed.ByTheLog) return (403, 0);
            if (step.Old > step.Size) return (400, 0);
            if (step.Old != size) return (409, size);
            bool empty = step.Old == 0 || step.Old == step.Size;
            bool proofHolds = step.Proof == Proof.Right || (step.Proof is Proof.Missing or Proof.Flipped && empty);
            if (!proofHolds || (size > 0 && mine.Root(size) != theirs.Root(size))) return (422, 0);
            States[step.Log] = (step.Size, step.Branch);
            return (200, 0);
        }
    }

    [Fact]
    public async Task W01_to_W16_random_requests_are_answered_as_the_model_says()
    {
        const int Seed = 1187, Requests = 3000;
        Random random = new(Seed);
        TestLog[][] branches = [.. Enumerable.Range(0, 6).Select(i =>
        {
            TestLog log = new($"example.com/model{i}", 40);
            return new[] { log, log.Fork(11, "b"), log.Fork(23, "c") };
        })];
        Model model = new(branches);
        FakeTime time = new();
        await using TestWitness witness = TestWitness.Create([.. branches[1..].Select(log => log[0])]);
        witness.Time = time;
        await witness.StartAsync();
        Dictionary<int, int> seen = [];
        ulong[] last = new ulong[branches.Length];
        for (int i = 0; i < Requests; i++)
        {
            int which = random.Next(branches.Length);
            long stored = Math.Max(0, model.States[which].Size);
            long old = random.Next(4) > 0 ? stored : random.NextInt64(41);
            // Small steps, or the trees would be at their end at once.
            long size = random.Next(10) > 0 ? Math.Min(40, old + random.Next(2) * random.Next(3)) : random.NextInt64(41);
            Step step = new(which, random.Next(branches[which].Length), old, size, random.Next(3) > 0 ? Proof.Right : (Proof)random.Next(4), random.Next(8) > 0 ? Signed.ByTheLog : (Signed)random.Next(3));
            TestLog log = branches[which][step.Branch];
            if (random.Next(50) == 0) time.Unix += random.Next(100);
            if (random.Next(400) == 0) await witness.RestartAsync();

            Answer answer = await witness.PostAsync(Body(log, step, random));
            (int status, long conflict) = model.Apply(step);
            Assert.True(answer.Status == status, $"seed {Seed}, request {i}, {step}: {answer.Status} ({answer.Text}) instead of {status}");
            seen[status] = seen.GetValueOrDefault(status) + 1;
            if (status == 409) TestWitness.CheckConflict(answer, conflict);
            else if (status != 200) TestWitness.CheckRefusal(answer, status, "");
            else
            {
                ulong timestamp = witness.CheckCosigned(answer, log.Text(step.Size));
                Assert.True(timestamp == (ulong)time.Unix && timestamp >= last[which], $"seed {Seed}, request {i}: time {timestamp}");
                last[which] = timestamp;
            }

            (long now, int branch) = model.States[which];
            await witness.CheckStateAsync(branches[which][branch], now);
        }

        // Every answer was among them, and not by accident.
        foreach (int status in new[] { 200, 400, 403, 404, 409, 422 }) Assert.True(seen.GetValueOrDefault(status) > 50, $"{status}: {seen.GetValueOrDefault(status)}");
    }

    private static string Body(TestLog log, Step step, Random random)
    {
        List<Hash> proof = step.Old <= step.Size ? [.. log.Proof(step.Old, step.Size)] : [];
        if (step.Proof == Proof.OneMore) proof.Add(log.Root(1));
        if (step.Proof == Proof.Missing && proof.Count > 0) proof.RemoveAt(random.Next(proof.Count));
        if (step.Proof == Proof.Flipped && proof.Count > 0)
        {
            int at = random.Next(proof.Count);
            byte[] bytes = proof[at].ToArray();
            bytes[random.Next(bytes.Length)] ^= (byte)(1 << random.Next(8));
            proof[at] = new Hash(bytes);
        }

        string text = log.Text(step.Size);
        string note = step.Signed switch
        {
            Signed.ByTheLog => log.Sign(text),
            Signed.ByNobody => log.WithKey(99).Sign(text),
            _ => text + log.Sign(log.Text(step.Size == 0 ? 1 : step.Size - 1))[log.Text(step.Size == 0 ? 1 : step.Size - 1).Length..],
        };
        return TestLog.Body(step.Old, proof, note);
    }
}
