using System.Net;
using TransparencyLog.Server;

namespace TransparencyLog.Tests.Server;

/// <summary>N-12: who waits for publication is answered at once when there will be none. The limit of the wait is an hour here, longer than the client of these tests waits.</summary>
public sealed class EndedWaitTests
{
    private static readonly Func<Settings, Settings> Hour = settings => settings with { WaitLimit = TimeSpan.FromHours(1) };

    [Theory]
    [InlineData("published")]
    [InlineData("witnessed")]
    public async Task N12_storage_that_fails_ends_every_wait_with_202_and_the_index(string wait)
    {
        await using WitnessedLog witnessed = await WitnessedLog.CreateAsync(1);
        await witnessed.ServeAsync("quorum a\n", Hour);
        await witnessed.ReadyAsync();
        FaultyJournal? journal = null;
        await witnessed.RestartAsync(setup => setup with { Replace = parts => parts with { Journal = journal = new FaultyJournal(parts.Journal) } });
        await witnessed.ReadyAsync();
        TestLog log = witnessed.Log;
        witnessed[0].Behave = StubWitness.HangAsync;
        Task<(HttpStatusCode Status, string Text)>[] waiting = [.. Enumerable.Range(0, 5).Select(i => log.PostAsync($"/add?wait={wait}", [(byte)i]))];
        await Eventually.TrueAsync(() => log.Engine.Size == 5, "all five are durable");
        Assert.DoesNotContain(waiting, one => one.IsCompleted);

        journal!.FailBefore = new IOException("no more");
        Assert.Equal(HttpStatusCode.ServiceUnavailable, (await log.PostAsync("/add", "the sixth"u8.ToArray())).Status);
        (HttpStatusCode Status, string Text)[] answers = await Task.WhenAll(waiting);
        Assert.All(answers, answer => Assert.Equal(HttpStatusCode.Accepted, answer.Status));
        Assert.Equal(["0", "1", "2", "3", "4"], answers.Select(answer => answer.Text).Order(StringComparer.Ordinal));
    }

    [Fact]
    public async Task N12_a_key_that_fails_ends_the_wait_of_the_entry_it_was_to_sign()
    {
        await using TestLog log = await TestLog.StartAsync(new LogSetup { Settings = Hour, Replace = parts => parts with { Signer = new FailingSigner(parts.Signer) } });
        Assert.Equal((HttpStatusCode.Accepted, "0"), await log.PostAsync("/add?wait=published", "one"u8.ToArray()));
        Assert.Equal(EngineState.Failed, log.Engine.State);
        await log.RestartAsync(new LogSetup());
        await log.CheckLog(1);
    }

    [Fact]
    public async Task N12_a_process_that_is_to_end_answers_who_still_waits()
    {
        await using WitnessedLog witnessed = await WitnessedLog.StartAsync(1, "quorum a\n", Hour);
        TestLog log = witnessed.Log;
        witnessed[0].Behave = StubWitness.HangAsync;
        Task<(HttpStatusCode Status, string Text)> waiting = log.PostAsync("/add?wait=published", "one"u8.ToArray());
        await Eventually.TrueAsync(() => log.Engine.Size == 1, "it is durable");
        await log.App.StopAsync();
        Assert.Equal((HttpStatusCode.Accepted, "0"), await waiting);
    }

    /// <summary>Signs the empty tree, with which a log begins, and nothing else.</summary>
    private sealed class FailingSigner(INoteSigner inner) : INoteSigner
    {
        public VerifierKey Key => inner.Key;

        public NoteSignature Sign(ReadOnlySpan<byte> noteText) =>
            Checkpoint.TryParse(noteText, out Checkpoint? checkpoint) && checkpoint.Size == 0 ? inner.Sign(noteText) : throw new System.Security.Cryptography.CryptographicException("the token is gone");
    }
}
