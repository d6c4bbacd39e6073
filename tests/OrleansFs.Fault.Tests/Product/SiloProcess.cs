using OrleansFs.Fault.Tests.Machine;
using Xunit;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>A process of <c>orleansfs silo</c>, from the moment at which it serves.</summary>
internal sealed class SiloProcess : IAsyncDisposable
{
    private readonly Child _child;

    private SiloProcess(Child child) => _child = child;

    public IReadOnlyList<string> Lines => _child.Lines;

    /// <summary>What it logged that nobody should have to read.</summary>
    public IEnumerable<string> Troubles => Lines.Where(MountProcess.IsTrouble);

    /// <param name="data">The folder of the copy.</param>
    /// <param name="name">Its name.</param>
    /// <param name="cluster">CONN.</param>
    /// <param name="more">Further arguments.</param>
    public static async Task<SiloProcess> ReplicaAsync(string data, string name, string cluster, params string[] more)
    {
        var child = Child.Start(Programs.OrleansFs, ["silo", "--data", data, "--name", name, "--role", "replica", "--cluster", cluster, "--memory", "32MiB", .. more]);
        try
        {
            await child.LineAsync(line => line.StartsWith($"{name}: serving ", StringComparison.Ordinal), Limits.MountReady);
            return new SiloProcess(child);
        }
        catch
        {
            await child.DisposeAsync();
            throw;
        }
    }

    public Task KillAsync() => _child.KillAsync();

    public async Task StopWellAsync()
    {
        int code = await _child.TerminateAsync(Limits.MountEnd);
        Assert.True(code == 0, $"exit code {code}:\n{string.Join('\n', Lines)}");
    }

    public ValueTask DisposeAsync() => _child.DisposeAsync();
}
