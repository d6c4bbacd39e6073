using System.CommandLine;

namespace OrleansFs.Cli;

/// <summary>What is wrong with a command line, in one line.</summary>
internal static class Usage
{
    public static string Explain(ParseResult parsed)
    {
        string problem = parsed.UnmatchedTokens is [var unknown, ..] ? $"'{unknown}' is not known here"
            : parsed.CommandResult.Command is RootCommand ? "name a command"
            : parsed.Errors[0].Message.TrimEnd('.');
        string command = parsed.CommandResult.Command is RootCommand ? "" : $" {parsed.CommandResult.Command.Name}";
        return $"{problem}; see 'orleansfs{command} --help'";
    }
}
