using System.Diagnostics;

namespace TransparencyLog.Tests.Hostile;

/// <summary>One set of doors for all cases: after each of them they must read the next.</summary>
public sealed class OpenDoors : IAsyncLifetime
{
    internal Doors Doors { get; private set; } = null!;

    public async ValueTask InitializeAsync() => Doors = await Doors.OpenAsync();

    public ValueTask DisposeAsync() => Doors.DisposeAsync();
}

/// <summary>spec/reliability.md, rows P: each case of texts.txt at every door that reads such a text; all of them say the same.</summary>
public sealed class HostileTextTests(OpenDoors open) : IClassFixture<OpenDoors>
{
    [Fact]
    public Task P01_control_characters_are_refused_and_no_other_character_ends_a_line() => RowAsync("P-01", 100);

    [Fact]
    public Task P02_CRLF_is_refused() => RowAsync("P-02", 30);

    [Fact]
    public Task P03_what_is_no_UTF8_is_refused_however_it_is_signed() => RowAsync("P-03", 40);

    [Fact]
    public Task P04_a_byte_order_mark_is_refused() => RowAsync("P-04", 15);

    [Fact]
    public Task P05_nothing_is_ignorable() => RowAsync("P-05", 20);

    [Fact]
    public Task P06_nothing_else_is_an_em_dash_and_a_space() => RowAsync("P-06", 30);

    [Fact]
    public Task P07_two_lines_of_a_key_count_once() => RowAsync("P-07", 8);

    [Fact]
    public Task P08_one_bad_line_of_a_known_key_spoils_the_note() => RowAsync("P-08", 8);

    [Fact]
    public Task P09_the_name_or_the_ID_of_a_known_key_alone_is_nobody() => RowAsync("P-09", 8);

    [Fact]
    public Task P10_sixteen_lines_of_the_size_of_ML_DSA_are_taken() => RowAsync("P-10", 4);

    [Fact]
    public async Task P11_thousands_of_lines_are_refused_before_they_are_verified()
    {
        long start = Stopwatch.GetTimestamp(), before = GC.GetTotalAllocatedBytes(precise: true);
        await RowAsync("P-11", 12);

        // Each case is at most 1.3 MB, and is copied and sent a few times; keeping the lines would be hundreds of megabytes.
        Assert.InRange(Stopwatch.GetElapsedTime(start), TimeSpan.Zero, TimeSpan.FromMinutes(5));
        Assert.InRange(GC.GetTotalAllocatedBytes(precise: true) - before, 0, 400_000_000);
    }

    [Fact]
    public Task P12_base64_has_one_form() => RowAsync("P-12", 60);

    [Fact]
    public Task P13_a_size_has_one_form() => RowAsync("P-13", 100);

    [Fact]
    public Task P14_sizes_at_the_edges_do_not_wrap() => RowAsync("P-14", 20);

    [Fact]
    public Task P15_a_root_has_32_bytes() => RowAsync("P-15", 20);

    [Fact]
    public Task P16_a_note_that_is_no_checkpoint_is_refused() => RowAsync("P-16", 20);

    [Fact]
    public Task P17_names_are_not_empty_not_long_and_hold_no_plus_and_no_space() => RowAsync("P-17", 30);

    [Fact]
    public Task P18_a_vkey_that_is_wrong_anywhere_is_refused() => RowAsync("P-18", 40);

    [Fact]
    public Task P19_signatures_and_keys_at_the_edges_of_Ed25519_are_refused() => RowAsync("P-19", 20);

    [Fact]
    public Task P20_lines_and_keys_of_the_wrong_size_are_nobodys() => RowAsync("P-20", 40);

    [Fact]
    public Task P21_proofs_that_are_too_long_or_no_proofs_are_refused() => RowAsync("P-21", 10);

    [Fact]
    public Task P23_policies_that_believe_what_they_should_not_are_refused() => RowAsync("P-23", 60);

    [Fact]
    public Task P24_a_proof_that_is_written_otherwise_is_refused() => RowAsync("P-24", 30);

    [Fact]
    public void Every_row_of_the_table_is_a_test()
    {
        string[] tested = [.. typeof(HostileTextTests).GetMethods().Select(method => method.Name).Where(name => name[0] == 'P' && name[3] == '_').Select(name => $"P-{name[1..3]}")];
        Assert.Equal(TextTable.Cases.Select(one => one.Row).Distinct().Order(StringComparer.Ordinal), tested.Order(StringComparer.Ordinal));
    }

    /// <summary>The table is not a list of refusals: each kind of text is accepted where nothing is wrong with it, and a wrong verdict is noticed.</summary>
    [Fact]
    public async Task Control_each_kind_is_accepted_unspoilt_and_a_wrong_verdict_is_noticed()
    {
        foreach (IGrouping<string, TextCase> kind in TextTable.Cases.GroupBy(one => one.Kind))
        {
            TextCase control = kind.First(one => one.What.StartsWith("control", StringComparison.Ordinal));
            Dictionary<string, string> said = await open.Doors.AskAsync(control);
            Assert.Empty(Wrong(control, said));
            Assert.Equal(said.Count, Wrong(control with { Verdict = "refuse", Differing = new Dictionary<string, string>() }, said).Count());
        }
    }

    private async Task RowAsync(string row, int least)
    {
        int asked = 0;
        List<string> wrong = [];
        foreach (TextCase one in TextTable.Cases.Where(one => one.Row == row))
        {
            Dictionary<string, string> said = await open.Doors.AskAsync(one);
            wrong.AddRange(Wrong(one, said));
            asked += said.Count;
        }

        Assert.True(wrong.Count == 0, string.Join('\n', wrong));
        Assert.InRange(asked, least, 100_000);
    }

    private static IEnumerable<string> Wrong(TextCase one, Dictionary<string, string> said) =>
        said.Where(door => door.Value != one.VerdictOf(door.Key)).Select(door => $"{one}: {door.Key} says {door.Value} instead of {one.VerdictOf(door.Key)}");
}
