using System.Globalization;

namespace OrleansFs.Fault.Tests.Work;

/// <summary>A process that compares a volume with what the workers did: apart from the test, so that a volume that hangs hangs nothing else.</summary>
internal static class VerifyProcess
{
    /// <summary>Arguments: the position of the cut, "all" or "touched" for the files that are read, then for each worker KIND FOLDER LOG FAMILY. Prints a line for each violation, and the counts.</summary>
    public static int Run(string[] arguments)
    {
        long position = long.Parse(arguments[0], CultureInfo.InvariantCulture);
        var findings = new Findings { IncludesUntouched = arguments[1] == "all" };
        for (int i = 2; i < arguments.Length; i += 4)
        {
            try
            {
                WorkKinds.All[arguments[i]].Verify(arguments[i + 1], int.Parse(arguments[i + 3], CultureInfo.InvariantCulture), History.Read(arguments[i + 2], position), findings);
            }
            catch (Exception e) when (e is IOException or UnauthorizedAccessException or Microsoft.Data.Sqlite.SqliteException)
            {
                findings.Violation($"{arguments[i + 1]} cannot be read: {e.Message}");
            }
        }
        foreach (string violation in findings.Violations)
            Console.WriteLine($"violation: {violation}");
        Console.WriteLine($"checked {findings.Checked} lost {findings.LostSteps}");
        return findings.Violations.Count == 0 ? 0 : 1;
    }
}
