using System.Globalization;
using Xunit;

namespace OrleansFs.Fault.Tests;

/// <summary>Where the choices of a test come from. Printed always; ORLEANSFS_FAULT_SEED plays them again, ORLEANSFS_FAULT_ROUNDS makes a run longer or shorter.</summary>
internal static class Seed
{
    private static readonly long s_began = TimeProvider.System.GetTimestamp();

    /// <summary>A generator for this test, whose seed is in the output.</summary>
    public static Random Make()
    {
        int seed = Variable("ORLEANSFS_FAULT_SEED") ?? Random.Shared.Next();
        Say($"seed {seed} (ORLEANSFS_FAULT_SEED={seed} plays it again)");
        return new Random(seed);
    }

    public static int Rounds(int usual) => Variable("ORLEANSFS_FAULT_ROUNDS") ?? usual;

    public static void Say(string line)
    {
        TestContext.Current.TestOutputHelper?.WriteLine(line);
        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"[{TestContext.Current.TestCase?.TestMethodName}] +{TimeProvider.System.GetElapsedTime(s_began).TotalSeconds:F1} s {line}"));
    }

    private static int? Variable(string name) =>
        int.TryParse(Environment.GetEnvironmentVariable(name), NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out int value) ? value : null;
}
