using System.Reflection;

namespace OrleansFs.Cli;

/// <summary>The version of this program, as <c>--version</c> shows it.</summary>
internal static class ProgramVersion
{
    public static string Text { get; } = typeof(ProgramVersion).Assembly.GetCustomAttribute<AssemblyInformationalVersionAttribute>()?.InformationalVersion ?? "unknown";
}
