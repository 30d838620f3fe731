using System.Net;
using Microsoft.AspNetCore.Connections;
using TransparencyLog.Http;
using TransparencyLog.Server.Http;

namespace TransparencyLog.Tests.Server;

/// <summary>What needs no socket of the shares that strangers get; the rest is tests/EndToEnd/Hostile.</summary>
public sealed class WireTests
{
    [Theory]
    [InlineData("192.0.2.1", "192.0.2.1", true)]
    [InlineData("192.0.2.1", "192.0.2.2", false)]
    [InlineData("192.0.2.1", "::ffff:192.0.2.1", true)]
    [InlineData("::ffff:192.0.2.1", "::ffff:192.0.2.2", false)]
    [InlineData("2001:db8::1", "2001:db8::ffff:ffff:ffff:ffff", true)]
    [InlineData("2001:db8:0:1::1", "2001:db8:0:2::1", false)]
    public async Task H01_connections_of_one_address_are_counted_and_those_of_IPv6_by_their_first_64_bits(string first, string second, bool same)
    {
        AddressLimit limit = new(1);
        TaskCompletionSource open = new();
        Task holding = limit.PassAsync(From(first), _ => open.Task);
        Assert.Equal(!same, await PassesAsync(limit, second));
        Assert.False(await PassesAsync(limit, first));
        open.SetResult();
        await holding;
        Assert.True(await PassesAsync(limit, first));
        Assert.True(await PassesAsync(limit, second));
    }

    [Fact]
    public async Task H01_a_connection_that_fails_gives_its_place_back()
    {
        AddressLimit limit = new(1);
        await Assert.ThrowsAsync<IOException>(() => limit.PassAsync(From("192.0.2.1"), _ => throw new IOException()));
        Assert.True(await PassesAsync(limit, "192.0.2.1"));
    }

    [Fact]
    public void H03_a_share_is_given_back_once_and_what_was_refused_takes_nothing()
    {
        ByteBudget budget = new(100);
        ByteBudget.Share first = budget.TryTake(60)!;
        Assert.Null(budget.TryTake(41));
        using (ByteBudget.Share? second = budget.TryTake(40)) Assert.NotNull(second);
        first.Dispose();
        first.Dispose();
        Assert.Null(budget.TryTake(101));
        Assert.NotNull(budget.TryTake(100));
    }

    [Fact]
    public void H03_the_largest_bundle_has_less_than_five_minutes() =>
        Assert.InRange(LargeAnswers.TimeFor(256 * (2 + EntryBundle.MaxEntrySize)), TimeSpan.FromMinutes(4), TimeSpan.FromMinutes(5));

    private static async Task<bool> PassesAsync(AddressLimit limit, string address)
    {
        bool passed = false;
        await limit.PassAsync(From(address), _ =>
        {
            passed = true;
            return Task.CompletedTask;
        });
        return passed;
    }

    private static DefaultConnectionContext From(string address) => new() { RemoteEndPoint = new IPEndPoint(IPAddress.Parse(address), 1) };
}
