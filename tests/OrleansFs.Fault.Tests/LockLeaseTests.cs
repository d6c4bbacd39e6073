using OrleansFs.Fault.Tests.Machine;
using OrleansFs.Fault.Tests.Product;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>Locks of programs on a mount over the network, when that mount's process is killed.</summary>
public sealed class LockLeaseTests
{
    private const string Hold = """
        import fcntl, sys
        files = [open(path, "r+") for path in sys.argv[1:]]
        fcntl.lockf(files[0], fcntl.LOCK_EX)
        fcntl.flock(files[1], fcntl.LOCK_EX)
        print("holds", flush=True)
        sys.stdin.read()
        """;

    private const string Want = """
        import fcntl, sys
        files = [open(path, "r+") for path in sys.argv[1:]]
        locks = [fcntl.lockf, fcntl.flock]
        for file, lock in zip(files, locks):
            try:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                print("refused", lock.__name__, flush=True)
        for file, lock in zip(files, locks):
            lock(file, fcntl.LOCK_EX)
            print("has", lock.__name__, flush=True)
        """;

    [Fact]
    public async Task Who_waits_for_locks_of_a_mount_that_is_killed_has_them_when_its_lease_is_over()
    {
        Needs.Fuse();
        await using var scratch = await Scratch.MakeAsync();
        await using var cluster = new TestCluster(scratch) { MasterOptions = [] };
        await cluster.StartMasterAsync();
        await cluster.StartClientAsync();
        string[] names = ["ranges", "whole"];
        foreach (string name in names)
            await File.WriteAllTextAsync(Path.Combine(cluster.MasterMount, name), name, TestContext.Current.CancellationToken);

        await using var holder = Child.Start("python3", ["-c", Hold, .. names.Select(n => Path.Combine(cluster.ClientMount, n))]);
        await holder.LineAsync(line => line == "holds", Limits.Command);
        await using var waiter = Child.Start("python3", ["-c", Want, .. names.Select(n => Path.Combine(cluster.MasterMount, n))]);
        await waiter.LineAsync(line => line == "refused lockf", Limits.Command);
        await waiter.LineAsync(line => line == "refused flock", Limits.Command);
        await cluster.KillClientAsync();
        await waiter.LineAsync(line => line == "has flock", Limits.LeaseOver);
        Assert.Equal(0, await waiter.ExitAsync(Limits.ProcessEnd));
        await cluster.StopMasterAsync();
        await cluster.ExpectCleanAsync("master");
    }
}
