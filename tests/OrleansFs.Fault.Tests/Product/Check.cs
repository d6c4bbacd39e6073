using OrleansFs.Fault.Tests.Machine;
using Xunit;

namespace OrleansFs.Fault.Tests.Product;

/// <summary><c>orleansfs fsck</c>.</summary>
internal static class Check
{
    /// <summary>The volume in a data folder that nobody has open is sound.</summary>
    public static async Task CleanAsync(string? data, bool verifyData)
    {
        Assert.NotNull(data);
        var result = await Tool.TryRunAsync(Programs.OrleansFs, Limits.Check, ["fsck", "--data", data, .. verifyData ? ["--verify-data"] : Array.Empty<string>()]);
        Assert.True(result.ExitCode == 0, $"fsck of {data}: exit {result.ExitCode}: {result.Output}{result.Errors}");
    }
}
