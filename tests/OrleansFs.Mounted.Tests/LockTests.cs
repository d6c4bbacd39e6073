using OrleansFs.Model;
using OrleansFs.Mounted.Tests.Mounts;
using OrleansFs.Mounted.Tests.Posix;
using Xunit;

namespace OrleansFs.Mounted.Tests;

/// <summary>flock(2) here; fcntl(2) locks belong to processes and are tested by a program (Programs/locks.c).</summary>
public sealed class LockTests(MountPool mounts)
{
    [Theory, OnEveryMount]
    public async Task A_whole_file_lock_belongs_to_an_open_file(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var one = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        using var two = Sys.Open($"{at}/f", Sys.O_RDWR);
        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_SH));
        Assert.Equal(Errno.None, two.Flock(Sys.LOCK_SH | Sys.LOCK_NB));
        Assert.Equal(Errno.EAGAIN, two.Flock(Sys.LOCK_EX | Sys.LOCK_NB));
        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_UN));
        Assert.Equal(Errno.None, two.Flock(Sys.LOCK_EX | Sys.LOCK_NB));
        Assert.Equal(Errno.EAGAIN, one.Flock(Sys.LOCK_SH | Sys.LOCK_NB));
        two.Close();
        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_EX));
    }

    [Theory, OnEveryMount]
    public async Task Who_waits_for_a_lock_gets_it(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var one = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_EX));
        var started = new TaskCompletionSource();
        var waiter = Task.Run(() =>
        {
            using var two = Sys.Open($"{at}/f", Sys.O_RDWR);
            started.SetResult();
            return two.Flock(Sys.LOCK_EX);
        });
        await started.Task;
        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_UN));
        Assert.Equal(Errno.None, await waiter.WaitAsync(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken));
    }

    /// <summary>As flock(2) has it: the shared lock is given up before the exclusive one is asked for, and is lost where that is not had.</summary>
    [Theory, OnEveryMount]
    public async Task Two_who_convert_a_shared_lock_do_not_wait_for_each_other(string kind)
    {
        string at = await mounts.EnterAsync(kind);
        using var one = Sys.Open($"{at}/f", Sys.O_CREAT | Sys.O_RDWR);
        using var two = Sys.Open($"{at}/f", Sys.O_RDWR);
        using var three = Sys.Open($"{at}/f", Sys.O_RDWR);
        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_SH));
        Assert.Equal(Errno.None, two.Flock(Sys.LOCK_SH));
        var converting = new[] { one, two }.Select(file => Task.Run(() =>
        {
            var error = file.Flock(Sys.LOCK_EX);
            return error == Errno.None ? file.Flock(Sys.LOCK_UN) : error;
        })).ToArray();
        Assert.All(await Task.WhenAll(converting).WaitAsync(TimeSpan.FromSeconds(60), TestContext.Current.CancellationToken), e => Assert.Equal(Errno.None, e));

        Assert.Equal(Errno.None, one.Flock(Sys.LOCK_SH));
        Assert.Equal(Errno.None, two.Flock(Sys.LOCK_SH));
        Assert.Equal(Errno.EAGAIN, one.Flock(Sys.LOCK_EX | Sys.LOCK_NB));
        Assert.Equal(Errno.None, two.Flock(Sys.LOCK_UN));
        Assert.Equal(Errno.None, three.Flock(Sys.LOCK_EX | Sys.LOCK_NB));
    }
}
