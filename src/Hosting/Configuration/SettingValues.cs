using System.Collections.Generic;

namespace TransparencyLog.Hosting;

/// <summary>The values of the settings of a program, each checked against its row of the table.</summary>
/// <param name="table">The table.</param>
/// <param name="given">The values that were set, by the names of settings.</param>
/// <param name="unknown">Variables that begin with TLOG_ and are not settings of the program.</param>
internal sealed class SettingValues(SettingTable table, IReadOnlyDictionary<string, GivenValue> given, IReadOnlyList<string> unknown)
{
    /// <summary>Variables that begin with TLOG_ and were not read.</summary>
    public IReadOnlyList<string> UnknownVariables => unknown;

    /// <summary>The text, or null when it is not set.</summary>
    public string? Text(TextSetting setting) => TextOf(setting);

    /// <summary>The text of a required setting.</summary>
    /// <exception cref="ConfigurationException">It is not set. The message says how to set it.</exception>
    public string Required(TextSetting setting) => TextOf(setting)
        ?? throw new ConfigurationException($"{setting.Name} is missing: {setting.Option} {setting.HelpName}, {table.VariableOf(setting)}, or {setting.Name} in the file of --config. {setting.Description}");

    /// <summary>The number, or its default.</summary>
    public int Number(NumberSetting setting) => Number(setting, setting.Standard ?? throw new ArgumentException($"{setting.Name} has no standard value", nameof(setting)));

    /// <summary>The number, or <paramref name="otherwise"/> when it is not set.</summary>
    public int Number(NumberSetting setting, int otherwise) => TextOf(setting) is string text && setting.TryRead(text, out int value) ? value : otherwise;

    /// <summary>The word, or its default.</summary>
    public T Word<T>(WordSetting<T> setting) where T : struct, Enum => TextOf(setting) is string text && setting.TryRead(text, out T value) ? value : setting.Standard;

    /// <summary>Whether the switch is on.</summary>
    public bool IsOn(SwitchSetting setting) => TextOf(setting) == "true";

    /// <summary>Makes an error that names the setting, its value and the source of the value.</summary>
    /// <param name="setting">The setting.</param>
    /// <param name="reason">What is wrong, worded to follow the value in a sentence.</param>
    public ConfigurationException Refusal(Setting setting, string reason) =>
        new(given.TryGetValue(setting.Name, out GivenValue value) ? $"{setting.Name}: '{value.Text}' {reason} ({value.Source})" : $"{setting.Name}: {reason}");

    private string? TextOf(Setting setting) => given.TryGetValue(setting.Name, out GivenValue value) ? value.Text : null;
}
