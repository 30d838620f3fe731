// All settings of a program, and how their values are found. There are three sources, and later ones win: the JSON file of --config, the environment, the
// command line. Every value of every source is checked, even when a later source replaces it.
//
// A misspelt setting must never be ignored silently. So a name that the program does not know
//   * is refused on the command line and in the file, with the nearest known name;
//   * is refused in the environment when it is within two letters of a known name. Names further away may belong to other programs, so they are only listed
//     once in the program's log;
//   * is never read when it has the form that container platforms derive from the names of services (TLOG_PORT=tcp://..., TLOG_SERVICE_HOST).

using System.Collections;
using System.Collections.Generic;

namespace TransparencyLog.Hosting;

/// <summary>The settings of one program.</summary>
/// <param name="program">The name of the program, for messages.</param>
/// <param name="prefix">The prefix of its environment variables: TLOG_, or TLOG_ and more.</param>
/// <param name="settings">The settings, in the order of the documents.</param>
internal sealed class SettingTable(string program, string prefix, params IReadOnlyList<Setting> settings)
{
    /// <summary>The prefix of the variables of all our programs. Other variables are ignored.</summary>
    private const string Family = "TLOG_";

    /// <summary>How many letters a variable may differ from a known one and still count as a misspelling of it.</summary>
    private const int MisspeltLetters = 2;

    /// <summary>The path of the file of settings: an option and a variable, but not a key of the file itself.</summary>
    public static TextSetting Config { get; } = new("config", "A JSON file of settings: one object with the names of settings as keys. The environment and the command line come before it.") { HelpName = "FILE", IsPath = true };

    /// <summary>The name of the program.</summary>
    public string Program => program;

    /// <summary>All settings except <see cref="Config"/>.</summary>
    public IReadOnlyList<Setting> Settings => settings;

    /// <summary>The settings that are options of a command.</summary>
    public IEnumerable<Setting> Of(string command) => settings.Where(setting => setting.Commands.Contains(command, StringComparer.Ordinal));

    /// <summary>The environment variable of a setting.</summary>
    public string VariableOf(Setting setting) => prefix + setting.Name.ToUpperInvariant().Replace('-', '_');

    /// <summary>The variables of this process.</summary>
    public static IReadOnlyDictionary<string, string> ProcessEnvironment()
    {
        Dictionary<string, string> variables = new(StringComparer.Ordinal);
        foreach (DictionaryEntry variable in Environment.GetEnvironmentVariables()) variables[(string)variable.Key] = (string?)variable.Value ?? "";
        return variables;
    }

    /// <summary>Finds and checks the values of all three sources.</summary>
    /// <param name="options">The values of the command line, by the names of settings.</param>
    /// <param name="environment">The variables of the process.</param>
    /// <exception cref="ConfigurationException">A name is unknown, or a value is not valid.</exception>
    public SettingValues Read(IReadOnlyDictionary<string, string> options, IReadOnlyDictionary<string, string> environment)
    {
        Dictionary<string, GivenValue> variables = new(StringComparer.Ordinal), given = new(StringComparer.Ordinal);
        List<string> unknown = [];
        Dictionary<string, Setting> known = settings.Append(Config).ToDictionary(VariableOf, StringComparer.Ordinal);
        foreach ((string name, string text) in environment.OrderBy(variable => variable.Key, StringComparer.Ordinal))
        {
            if (!name.StartsWith(Family, StringComparison.Ordinal) || IsInjected(name)) continue;
            if (known.TryGetValue(name, out Setting? setting))
            {
                variables.Add(setting.Name, new GivenValue(text, name));
                continue;
            }

            (string nearest, int letters) = NearestName.Of(name.ToUpperInvariant().Replace('-', '_'), known.Keys);
            if (letters <= MisspeltLetters) throw new ConfigurationException($"environment: {name} is not a setting of {program}; the nearest is {nearest}");
            unknown.Add(name);
        }

        string? file = options.GetValueOrDefault(Config.Name) ?? (variables.TryGetValue(Config.Name, out GivenValue named) ? named.Text : null);
        if (file is not null)
        {
            Checked(Config.Name, new GivenValue(file, options.ContainsKey(Config.Name) ? Config.Option : VariableOf(Config)));
            foreach ((string name, GivenValue value) in SettingFile.Read(file, this)) given[name] = Checked(name, value);
        }

        foreach ((string name, GivenValue value) in variables) given[name] = Checked(name, value);
        foreach ((string name, string text) in options) given[name] = Checked(name, new GivenValue(text, $"--{name}"));
        return new SettingValues(this, given, unknown);
    }

    /// <summary>
    /// Kubernetes and others set NAME_PORT, NAME_PORT_80_TCP, NAME_SERVICE_HOST and more for every service of a namespace. For a service that is called tlog,
    /// or tlog-something, the names of these variables begin with TLOG_.
    /// </summary>
    private static bool IsInjected(string variable) => variable.Contains("_PORT", StringComparison.Ordinal) || variable.Contains("_SERVICE_", StringComparison.Ordinal);

    private GivenValue Checked(string name, GivenValue value)
    {
        Setting setting = settings.FirstOrDefault(one => one.Name == name) ?? (name == Config.Name ? Config : throw new ArgumentException($"{name} is not a setting of {program}", nameof(name)));
        if (value.Text.Length == 0) throw new ConfigurationException($"{name}: is empty; leave it out for {(setting.Default is { Length: > 0 } usual ? $"the default, {usual}" : "none")} ({value.Source})");
        if (value.Text.Contains('\0', StringComparison.Ordinal)) throw new ConfigurationException($"{name}: holds a zero byte ({value.Source})");
        if (value.Source == setting.Option && value.Text.StartsWith("--", StringComparison.Ordinal))
        {
            throw new ConfigurationException($"{name}: '{value.Text}' looks like an option: {setting.Option} {setting.HelpName} lacks its value, or write ./{value.Text} for a file of that name");
        }

        if (setting is TextSetting text && text.IsRelative(value.Text) && IsWorkingDirectoryGone())
        {
            throw new ConfigurationException($"{name}: '{value.Text}' is a relative path, and the working directory of the process has been removed ({value.Source})");
        }

        return setting.IsAllowed(value.Text) ? value : throw new ConfigurationException($"{name}: '{value.Text}' is not {setting.Allowed} ({value.Source})");
    }

    private static bool IsWorkingDirectoryGone()
    {
        try
        {
            return Directory.GetCurrentDirectory().Length == 0;
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            return true;
        }
    }
}

/// <summary>A value and its source: an option, a variable, or a file.</summary>
internal readonly record struct GivenValue(string Text, string Source);
