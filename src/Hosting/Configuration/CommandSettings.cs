// The command line of a program: options made from its table of settings, and the message for a command line that does not parse.

using System.Collections.Generic;
using System.CommandLine;
using System.CommandLine.Parsing;

namespace TransparencyLog.Hosting;

/// <summary>The settings that are options of one command.</summary>
internal sealed class CommandSettings
{
    private readonly SettingTable _table;
    private readonly Dictionary<Setting, Option> _options = [];

    /// <summary>Adds an option for each setting to the command, and --config.</summary>
    /// <param name="command">The command.</param>
    /// <param name="table">The table of the program.</param>
    /// <param name="settings">The settings; null for all settings that the table has for a command of this name.</param>
    public CommandSettings(Command command, SettingTable table, IEnumerable<Setting>? settings = null)
    {
        _table = table;
        foreach (Setting setting in (settings ?? table.Of(command.Name)).Append(SettingTable.Config))
        {
            Option option = setting switch
            {
                SwitchSetting => new Option<bool>(setting.Option),
                TextSetting { Repeats: true } => new Option<string[]>(setting.Option),
                _ => new Option<string?>(setting.Option),
            };
            option.Description = Describe(setting);
            option.HelpName = setting.HelpName;
            _options.Add(setting, option);
            command.Options.Add(option);
        }
    }

    /// <summary>Reads the values from the command line, the environment of the process and the file of --config.</summary>
    /// <exception cref="ConfigurationException">A name is unknown, or a value is not valid.</exception>
    public SettingValues Read(ParseResult result)
    {
        Dictionary<string, string> given = new(StringComparer.Ordinal);
        foreach ((Setting setting, Option option) in _options)
        {
            if (result.GetResult(option) is not { Implicit: false }) continue;
            string? text = option switch
            {
                Option<bool> on => result.GetValue(on) ? "true" : "false",
                Option<string[]> several => string.Join(',', result.GetValue(several) ?? []),
                _ => result.GetValue((Option<string?>)option),
            };
            if (text is not null) given.Add(setting.Name, text);
        }

        return _table.Read(given, SettingTable.ProcessEnvironment());
    }

    /// <summary>Parses a command line. An argument that begins with @ has no special meaning: only files that an option names are read.</summary>
    /// <param name="root">The commands.</param>
    /// <param name="args">The arguments of the process.</param>
    /// <param name="complaint">The error, in one line; null when the arguments parse.</param>
    public static ParseResult Parse(RootCommand root, string[] args, out string? complaint)
    {
        ParseResult result = root.Parse(args, new ParserConfiguration { ResponseFileTokenReplacer = null });
        complaint = OptionAsValue(result.CommandResult);
        if (complaint is not null || result.Errors.Count == 0) return result;
        string? unknown = result.UnmatchedTokens.FirstOrDefault(token => token.StartsWith("--", StringComparison.Ordinal));
        if (unknown is null)
        {
            complaint = string.Join(' ', result.Errors.Select(error => error.Message));
            return result;
        }

        string name = unknown.Split('=')[0];
        complaint = $"unknown option {name}; the nearest is {NearestName.Of(name, OptionsOf(result.CommandResult)).Name}";
        return result;
    }

    /// <summary>Describes an option that the parser took for the value of the option before it; null when there is none.</summary>
    private static string? OptionAsValue(CommandResult command)
    {
        HashSet<string> options = [.. OptionsOf(command)];
        foreach (OptionResult given in command.Children.OfType<OptionResult>())
        {
            if (given.Tokens.FirstOrDefault(token => options.Contains(token.Value)) is Token value) return $"{given.Option.Name} lacks its value: {value.Value} is an option";
        }

        return null;
    }

    private static IEnumerable<string> OptionsOf(CommandResult command) => command.Command.Options.Select(option => option.Name).DefaultIfEmpty("--help");

    private static string Describe(Setting setting)
    {
        string range = setting.Range.Length == 0 || setting is SwitchSetting ? "" : $" {char.ToUpperInvariant(setting.Range[0])}{setting.Range[1..]}.";
        string standard = setting.Default.Length == 0 || setting is SwitchSetting ? "" : $" Default: {setting.Default}.";
        return $"{setting.Description}{range}{standard}";
    }
}
