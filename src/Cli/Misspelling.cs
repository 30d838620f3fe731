// Options that were meant and not written. The parser passes an unknown option to an argument where the command has one that is free, as a file name perhaps, and the option that
// follows one without its value becomes that value.

using System.CommandLine;
using System.CommandLine.Parsing;
using TransparencyLog.Hosting;

namespace TransparencyLog.Cli;

/// <summary>What may have been meant by a command line that does not work.</summary>
internal static class Misspelling
{
    /// <summary>What is wrong with a command line; null when it parses.</summary>
    public static string? Complaint(ParseResult parsed)
    {
        CommandResult command = parsed.CommandResult;
        HashSet<string> options = [.. OptionsOf(command)];
        foreach (OptionResult given in command.Children.OfType<OptionResult>())
        {
            if (given.Tokens.FirstOrDefault(token => options.Contains(token.Value)) is Token value) return $"{given.Option.Name} lacks its value: {value.Value} is an option";
        }

        if (parsed.Errors.Count == 0) return null;
        string message = string.Join(' ', parsed.Errors.Select(error => error.Message));
        return parsed.UnmatchedTokens.FirstOrDefault(IsLikeOption) is string unknown ? $"unknown option {NameIn(unknown)}; the nearest is {NearestName.Of(NameIn(unknown), options).Name}" : message;
    }

    /// <summary>What to add to a message that names an argument like <c>--wiat</c>; nothing to other messages.</summary>
    public static string Hint(string message, ParseResult parsed)
    {
        // After -- everything is an argument, whatever it looks like.
        IEnumerable<string> arguments = parsed.Tokens.TakeWhile(token => token.Type != TokenType.DoubleDash).Where(token => token.Type == TokenType.Argument).Select(token => token.Value);
        string? misspelt = arguments.Where(IsLikeOption).FirstOrDefault(argument => message.Contains(argument, StringComparison.Ordinal));
        return misspelt is null ? "" : $" (did you mean the option {NearestName.Of(NameIn(misspelt), OptionsOf(parsed.CommandResult)).Name}?)";
    }

    private static bool IsLikeOption(string argument) => argument.StartsWith("--", StringComparison.Ordinal);

    /// <summary>Without the value in <c>--option=value</c>.</summary>
    private static string NameIn(string argument) => argument.Split('=')[0];

    /// <summary>Those of the command, and those of every command.</summary>
    private static IEnumerable<string> OptionsOf(CommandResult command) => command.Command.Options.Select(option => option.Name).Union(["--help", "--version"]);
}
