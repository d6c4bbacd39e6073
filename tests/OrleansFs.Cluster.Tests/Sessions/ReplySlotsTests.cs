using OrleansFs.Engine.Metadata;
using OrleansFs.Grains.Sessions;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Sessions;

public sealed class ReplySlotsTests
{
    private readonly ReplySlots _slots = new(4);
    private int _runs;

    [Fact]
    public async Task A_request_that_comes_again_gets_the_reply_of_the_first()
    {
        Assert.Equal(1L, (await Run(0, 1)).Value);
        Assert.Equal(1L, (await Run(0, 1)).Value);
        Assert.Equal(1, _runs);
    }

    [Fact]
    public async Task A_failure_is_a_reply_too()
    {
        Assert.Equal(Errno.EEXIST, (await _slots.RunAsync<FsResult>(0, 1, () => new(Errno.EEXIST), out _)).Error);
        Assert.Equal(Errno.EEXIST, (await _slots.RunAsync<FsResult>(0, 1, () => throw new InvalidOperationException("ran again"), out bool replayed)).Error);
        Assert.True(replayed);
    }

    /// <summary>The session ended while the request waited: it is no outcome, and comes again under its name once the client has attached anew.</summary>
    [Fact]
    public async Task That_the_session_is_gone_is_no_reply()
    {
        Assert.Equal(Errno.ENOTCONN, (await _slots.RunAsync<FsResult<long>>(0, 1, () => new(Errno.ENOTCONN), out _)).Error);
        Assert.Equal(1L, (await Run(0, 1)).Value);
        Assert.Equal(1L, (await Run(0, 1)).Value);
    }

    /// <summary>The change has been made, whatever becomes of bringing its content back: who asks again does not make it once more.</summary>
    [Theory]
    [InlineData(Errno.EIO)]
    [InlineData(Errno.EINTR)]
    [InlineData(Errno.ENOTCONN)]
    public async Task A_reply_that_was_kept_stays_until_its_content_is_there_again(Errno error)
    {
        _slots.Restore([new KeptReply(0, 5, [1, 2, 70, 0, 0, 0, 0, 0, 0, 0])]);
        for (int i = 0; i < 2; i++)
        {
            var failed = _slots.RunAsync<FsResult<long>>(0, 5, () => throw new InvalidOperationException("made again"), out _, reply => new(error));
            Assert.Equal(error, (await failed).Error);
        }
        await Assert.ThrowsAsync<InvalidOperationException>(
            () => _slots.RunAsync<FsResult<long>>(0, 5, () => throw new InvalidOperationException("made again"), out _, _ => throw new InvalidOperationException("bug")).AsTask());
        for (int i = 0; i < 2; i++)
        {
            var again = _slots.RunAsync<FsResult<long>>(0, 5, () => throw new InvalidOperationException("made again"), out _, reply => new(reply.Value + ++_runs));
            Assert.Equal(71, (await again).Value);
        }
    }

    [Fact]
    public async Task A_request_that_comes_while_the_first_runs_waits_for_its_reply()
    {
        var gate = new TaskCompletionSource();
        var first = _slots.RunAsync<FsResult<long>>(
            1,
            7,
            async () =>
            {
                await gate.Task;
                return ++_runs;
            },
            out _).AsTask();
        var second = Run(1, 7);
        Assert.False(second.IsCompleted);
        gate.SetResult();
        Assert.Equal(1L, (await first).Value);
        Assert.Equal(1L, (await second).Value);
    }

    [Fact]
    public async Task A_late_request_is_refused_and_one_that_skips_is_run()
    {
        await Run(0, 5);
        Assert.Equal(Errno.ESTALE, (await Run(0, 4)).Error);
        Assert.Equal(2L, (await Run(0, 9)).Value);
        Assert.Equal(Errno.ESTALE, (await Run(0, 5)).Error);
    }

    [Theory]
    [InlineData(-1, 1)]
    [InlineData(4, 1)]
    [InlineData(0, 0)]
    [InlineData(0, -1)]
    public async Task What_is_no_slot_is_refused(int slot, long sequence)
    {
        Assert.Equal(Errno.EINVAL, (await Run(slot, sequence)).Error);
        Assert.Equal(0, _runs);
    }

    [Fact]
    public async Task Another_kind_of_call_under_the_same_name_is_refused()
    {
        await Run(0, 1);
        Assert.Equal(Errno.EINVAL, (await _slots.RunAsync<FsResult>(0, 1, () => new(FsResult.Ok), out _)).Error);
    }

    [Fact]
    public async Task Many_copies_of_one_request_run_it_once()
    {
        for (int sequence = 1; sequence <= 200; sequence++)
        {
            int expected = sequence;
            var replies = await Task.WhenAll(Enumerable.Range(0, 8).Select(_ => Task.Run(() => Run(2, expected).AsTask())));
            Assert.All(replies, r => Assert.Equal(expected, r.Value));
        }
        Assert.Equal(200, _runs);
    }

    [Fact]
    public async Task A_bug_is_told_to_all_who_asked()
    {
        await Assert.ThrowsAsync<InvalidOperationException>(() => _slots.RunAsync<FsResult>(0, 1, () => throw new InvalidOperationException("bug"), out _).AsTask());
        await Assert.ThrowsAsync<InvalidOperationException>(() => _slots.RunAsync<FsResult>(0, 1, () => new(FsResult.Ok), out _).AsTask());
    }

    private ValueTask<FsResult<long>> Run(int slot, long sequence) =>
        _slots.RunAsync<FsResult<long>>(slot, sequence, () => new((long)Interlocked.Increment(ref _runs)), out _);
}
