using System.Net;
using Microsoft.AspNetCore.Connections;
using TransparencyLog.Hosting;
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
    public async Task O09_a_transport_accepts_when_there_is_room_and_gives_it_back_when_a_connection_is_disposed()
    {
        FakeTransport fake = new();
        IConnectionListener[] listeners = await BindTwoAsync(new BoundedTransport(fake, 2));
        ConnectionContext first = (await listeners[0].AcceptAsync())!, second = (await listeners[1].AcceptAsync())!;
        Task<ConnectionContext?> third = listeners[0].AcceptAsync().AsTask();
        await Task.Delay(50);
        Assert.Equal(2, fake.Accepted);

        // Neither what was sent nor an abort closes a socket; and disposing twice frees one place, not two.
        first.Abort();
        await Task.Delay(50);
        Assert.Equal(2, fake.Accepted);
        await first.DisposeAsync();
        await first.DisposeAsync();
        await (await third)!.DisposeAsync();
        await second.DisposeAsync();
        Assert.Equal(3, fake.Disposed);

        // What fails, or finds nothing to accept, takes no place.
        fake.Next = () => throw new IOException();
        for (int i = 0; i < 3; i++) await Assert.ThrowsAsync<IOException>(() => listeners[0].AcceptAsync().AsTask());
        fake.Next = () => null;
        for (int i = 0; i < 3; i++) Assert.Null(await listeners[0].AcceptAsync());
        fake.Next = () => new DefaultConnectionContext();
        for (int i = 0; i < 2; i++) Assert.NotNull(await listeners[i].AcceptAsync());

        // The end of a listener does not wait for room.
        Task<ConnectionContext?> last = listeners[1].AcceptAsync().AsTask();
        await listeners[1].UnbindAsync();
        Assert.Null(await last.WaitAsync(TimeSpan.FromSeconds(20)));
        Assert.Equal(1, fake.Unbound);
    }

    private static async Task<IConnectionListener[]> BindTwoAsync(BoundedTransport transport)
    {
        IPEndPoint any = new(IPAddress.Loopback, 0);
        return [await transport.BindAsync(any), await transport.BindAsync(any)];
    }

    /// <summary>Accepts at once whatever the test says.</summary>
    private sealed class FakeTransport : IConnectionListenerFactory, IConnectionListener
    {
        private int _accepted, _disposed;

        public FakeTransport() => Next = () => new FakeConnection(this);

        public Func<ConnectionContext?> Next { get; set; }

        public int Accepted => Volatile.Read(ref _accepted);

        public int Disposed => Volatile.Read(ref _disposed);

        public int Unbound { get; private set; }

        public EndPoint EndPoint { get; } = new IPEndPoint(IPAddress.Loopback, 1);

        public ValueTask<IConnectionListener> BindAsync(EndPoint endpoint, CancellationToken cancellationToken = default) => new(this);

        public ValueTask<ConnectionContext?> AcceptAsync(CancellationToken cancellationToken = default)
        {
            Interlocked.Increment(ref _accepted);
            return new(Next());
        }

        public ValueTask UnbindAsync(CancellationToken cancellationToken = default)
        {
            Unbound++;
            return default;
        }

        public ValueTask DisposeAsync() => default;

        private sealed class FakeConnection(FakeTransport transport) : DefaultConnectionContext
        {
            private int _ends;

            public override void Abort(ConnectionAbortedException abortReason)
            {
            }

            public override ValueTask DisposeAsync()
            {
                if (Interlocked.Increment(ref _ends) == 1) Interlocked.Increment(ref transport._disposed);
                return base.DisposeAsync();
            }
        }
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
