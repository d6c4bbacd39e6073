using System.Reflection;

namespace OrleansFs.Fault.Tests.Product;

/// <summary>The programs that the tests run.</summary>
internal static class Programs
{
    /// <summary>The product: the one built with these tests, or the one that ORLEANSFS_PROGRAM names.</summary>
    public static string OrleansFs { get; } = Environment.GetEnvironmentVariable("ORLEANSFS_PROGRAM")
        ?? typeof(Programs).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "Product").Value!;

    /// <summary>This executable, for workers and verifications.</summary>
    public static string Self { get; } = Path.Combine(AppContext.BaseDirectory, "OrleansFs.Fault.Tests");
}
