// Finds misspelled options. The parser treats an unknown option as an argument, for example a file name, where the command still accepts one. It also treats
// an option as the value of the option before it, when that one has no value.

using System.CommandLine;
using System.CommandLine.Parsing;
using TransparencyLog.Hosting;

namespace TransparencyLog.Cli;

/// <summary>Explains a command line that does not work.</summary>
internal static class Misspelling
{
    /// <summary>The error in a command line, in words; null when there is none.</summary>
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

    /// <summary>A suggestion to append to a message that names an argument like <c>--wiat</c>; empty for other messages.</summary>
    public static string Hint(string message, ParseResult parsed)
    {
        // After -- everything is an argument, whatever it looks like.
        IEnumerable<string> arguments = parsed.Tokens.TakeWhile(token => token.Type != TokenType.DoubleDash).Where(token => token.Type == TokenType.Argument).Select(token => token.Value);
        string? misspelt = arguments.Where(IsLikeOption).FirstOrDefault(argument => message.Contains(argument, StringComparison.Ordinal));
        return misspelt is null ? "" : $" (did you mean the option {NearestName.Of(NameIn(misspelt), OptionsOf(parsed.CommandResult)).Name}?)";
    }

    private static bool IsLikeOption(string argument) => argument.StartsWith("--", StringComparison.Ordinal);

    /// <summary>The argument without the value in <c>--option=value</c>.</summary>
    private static string NameIn(string argument) => argument.Split('=')[0];

    /// <summary>The options of the command, and those that every command has.</summary>
    private static IEnumerable<string> OptionsOf(CommandResult command) => command.Command.Options.Select(option => option.Name).Union(["--help", "--version"]);
}
