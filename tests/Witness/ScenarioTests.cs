using System.Text.Json;

namespace TransparencyLog.Tests.Witness;

/// <summary>A scenario of another implementation, tests/vectors/witness.</summary>
public sealed class ScenarioTests
{
    [Fact]
    public async Task The_scenario_of_sigsum_and_litewitness_is_answered_as_its_nine_steps_say()
    {
        using JsonDocument scenario = JsonDocument.Parse(await File.ReadAllTextAsync(Path.Combine(Repository.Root, "tests/vectors/witness/scenario-sigsum.json")));
        JsonElement log = scenario.RootElement.GetProperty("log");
        VerifierKey key = VerifierKey.Create(log.GetProperty("origin").GetString()!, VerifierKey.Ed25519, Convert.FromHexString(log.GetProperty("ed25519PublicKeyHex").GetString()!));
        await using TestWitness witness = TestWitness.Create();
        await File.WriteAllTextAsync(witness.LogsFile, $"log {key}\n");
        await witness.StartAsync();

        int steps = 0;
        foreach (JsonElement step in scenario.RootElement.GetProperty("steps").EnumerateArray())
        {
            steps++;
            Answer answer = await witness.PostAsync(step.GetProperty("request").GetString()!);
            // N-23: "alsoAllowed" is for readers that call a signature with other trailing bits a malformed note; this witness answers as the others do.
            Assert.True(answer.Status == step.GetProperty("status").GetInt32(), $"step {steps}: {answer.Status} {answer.Text}");
            // The scenario's witness has another name than ours.
            string body = step.GetProperty("body").GetString()!.Replace("example.com/witness", TestWitness.Name);
            if (step.GetProperty("bodyRule").GetString() == "==") Assert.Equal(body, answer.Text);
            else Assert.Contains(body, answer.Text);
        }

        Assert.Equal(9, steps);
    }
}
