using Microsoft.Extensions.Logging;
using Orleans.Runtime;
using OrleansFs.Client;
using OrleansFs.Cluster.Tests.Support;
using Xunit;

namespace OrleansFs.Cluster.Tests.Silos;

/// <summary>What a silo says of peers that are gone.</summary>
public sealed class ExpectedLossesTests
{
    private const string ClientDirectory = "Orleans.Runtime.GrainDirectory.ClientDirectory";

    public static TheoryData<Exception> Losses =>
    [
        new SiloUnavailableException("gone"),
        new Orleans.Runtime.Messaging.ConnectionFailedException("refused"),
        new TimeoutException(),
        new TaskCanceledException(),
        new AggregateException(new SiloUnavailableException("gone"), new TimeoutException()),
    ];

    public static TheoryData<Exception> Others =>
    [
        new InvalidOperationException("a bug"),
        new OrleansException("a bug"),
        new AggregateException(new TimeoutException(), new InvalidOperationException("a bug")),
    ];

    [Theory]
    [MemberData(nameof(Losses))]
    public void A_peer_that_is_gone_is_no_error_of_Orleans(Exception loss)
    {
        using var log = new TestLog();
        using var losses = new ExpectedLosses(log.Factory);
        losses.CreateLogger(ClientDirectory).LogError(loss, "Exception publishing client routing table to silo");
        Assert.Empty(log.Lines);
    }

    [Theory]
    [MemberData(nameof(Others))]
    public void Every_other_error_stays_one(Exception error)
    {
        using var log = new TestLog();
        using var losses = new ExpectedLosses(log.Factory);
        losses.CreateLogger(ClientDirectory).LogError(error, "Exception publishing client routing table to silo");
        losses.CreateLogger(ClientDirectory).LogError("nothing thrown");
        Assert.Equal(2, log.Lines.Count);
        Assert.All(log.Lines, line => Assert.StartsWith($"Error {ClientDirectory}: ", line, StringComparison.Ordinal));
    }

    /// <summary>As Orleans has it: with no exception.</summary>
    [Fact]
    public void What_an_observer_is_told_after_its_session_has_ended_is_no_error()
    {
        using var log = new TestLog();
        using var losses = new ExpectedLosses(log.Factory);
        losses.CreateLogger("Orleans.ClientGrainContext").LogError("Unexpected target grain in request");
        Assert.Empty(log.Lines);
    }

    [Fact]
    public void What_is_critical_and_what_is_ours_is_said_whatever_the_exception()
    {
        using var log = new TestLog();
        using var losses = new ExpectedLosses(log.Factory);
        losses.CreateLogger("Orleans.Runtime.Silo").LogCritical(new TimeoutException(), "lost");
        losses.CreateLogger("OrleansFs.Grains.SessionGrain").LogWarning(new SiloUnavailableException("gone"), "ours");
        Assert.Equal(["Critical Orleans.Runtime.Silo", "Warning OrleansFs.Grains.SessionGrain"], log.Lines.Select(l => l[..l.IndexOf(':', StringComparison.Ordinal)]));
    }
}
