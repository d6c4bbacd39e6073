using System.Text.Json;
using OrleansFs.Fault.Tests.Machine;
using Xunit;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>What the program says of a volume.</summary>
internal static class Report
{
    /// <summary>Runs it to its end, which has to be a good one, and gives what it printed.</summary>
    public static async Task<string> OfAsync(params string[] arguments)
    {
        var result = await Tool.TryRunAsync(Programs.OrleansFs, Limits.Command, arguments);
        Assert.True(result.ExitCode == 0, $"orleansfs {string.Join(' ', arguments)}: exit {result.ExitCode}: {result.Output}{result.Errors}");
        return result.Output;
    }

    public static async Task<JsonElement> StatusAsync(string mountPoint) => JsonDocument.Parse(await OfAsync("status", mountPoint, "--json")).RootElement;

    public static async Task<JsonElement> ReplicasAsync(string where) => JsonDocument.Parse(await OfAsync("replicas", where, "--json")).RootElement;

    public static async Task<JsonElement> ReplicaAsync(string where, string name) =>
        (await ReplicasAsync(where)).GetProperty("replicas").EnumerateArray().Single(r => r.GetProperty("name").GetString() == name);

    /// <summary>Everything is on the disks of so many replicas.</summary>
    public static Task DrainAsync(string mountPoint, int copies) => OfAsync("drain", mountPoint, "--copies", $"{copies}", "--wait", "60s");

    public static long Number(this JsonElement element, string name) => element.GetProperty(name).GetInt64();
}
