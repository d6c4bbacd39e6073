using System.CommandLine;
using System.CommandLine.Parsing;

namespace OrleansFs.Cli;

/// <summary>What is wrong with a command line, in one line.</summary>
internal static class Usage
{
    public static string Explain(ParseResult parsed)
    {
        // A misspelt option is taken for an argument, and what follows it is then one too many.
        string? option = parsed.CommandResult.Children.OfType<ArgumentResult>().SelectMany(a => a.Tokens).TakeWhile(t => parsed.UnmatchedTokens.Count > 0)
            .Select(t => t.Value).FirstOrDefault(v => v.StartsWith("--", StringComparison.Ordinal));
        string problem = option is not null ? $"'{option}' is not known here"
            : parsed.UnmatchedTokens is [var unknown, ..] ? $"'{unknown}' is not known here"
            : parsed.CommandResult.Command is RootCommand ? "name a command"
            : parsed.Errors[0].Message.TrimEnd('.');
        string command = parsed.CommandResult.Command is RootCommand ? "" : $" {parsed.CommandResult.Command.Name}";
        return $"{problem}; see 'orleansfs{command} --help'";
    }
}
