// The rows of a program's table of settings (SettingTable.cs). A row has the name of a setting, its allowed values, its default and its description. The
// options of the command line, the keys of the file of --config, the environment variables, the text of --help and the tables of spec/operations.md are all
// derived from the rows.

using System.Collections.Generic;
using System.Globalization;
using System.Text;
using System.Text.Json;

namespace TransparencyLog.Hosting;

/// <summary>One setting of a program.</summary>
/// <param name="Name">Its name: lower-case words with hyphens between them. It is also the key in the file.</param>
/// <param name="Description">Its effect, in whole sentences without markup.</param>
internal abstract record Setting(string Name, string Description)
{
    /// <summary>The commands that have it as an option.</summary>
    public IReadOnlyList<string> Commands { get; init; } = ["serve"];

    /// <summary>The placeholder for the value in the help; null for a switch, which has no value.</summary>
    public string? HelpName { get; init; }

    /// <summary>The allowed values, for people; empty where <see cref="HelpName"/> says it.</summary>
    public string Range { get; init; } = "";

    /// <summary>The value when it is not set, for people; empty when there is none.</summary>
    public string Default { get; init; } = "";

    /// <summary>The option on the command line.</summary>
    public string Option => $"--{Name}";

    /// <summary>How a JSON file writes the value, for a message.</summary>
    internal abstract string JsonForm { get; }

    /// <summary>The text of a JSON value; null when the value has another type.</summary>
    internal abstract string? FromJson(JsonElement value);

    /// <summary>The allowed values, for a message.</summary>
    internal abstract string Allowed { get; }

    /// <summary>Whether a value is allowed.</summary>
    internal abstract bool IsAllowed(string text);
}

/// <summary>A text: a path, a URL, a name. Any further rules are checked where the value is used.</summary>
internal sealed record TextSetting(string Name, string Description) : Setting(Name, Description)
{
    /// <summary>Whether the option may be given several times. The values are then joined with commas, as the file and the environment write them.</summary>
    public bool Repeats { get; init; }

    /// <summary>Whether it names files or directories, which may be relative to the working directory.</summary>
    public bool IsPath { get; init; }

    /// <summary>Whether a value has a path that is relative to the working directory.</summary>
    internal bool IsRelative(string text) => IsPath && (Repeats ? text.Split(',') : [text]).Any(path => path is not ['/', ..] && !path.Contains("://", StringComparison.Ordinal));

    internal override string JsonForm => "in quotes";

    internal override string? FromJson(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    internal override string Allowed => "a text";

    internal override bool IsAllowed(string text) => true;
}

/// <summary>A whole number in decimal digits: no sign, no leading zero, no exponent.</summary>
internal sealed record NumberSetting : Setting
{
    private readonly int _least, _most, _multiple;

    /// <param name="name">The name of the setting.</param>
    /// <param name="least">The smallest value.</param>
    /// <param name="most">The largest value.</param>
    /// <param name="standard">The value when it is not set; null when it depends on something else, and then <see cref="Setting.Default"/> describes
    /// it.</param>
    /// <param name="description">Its effect.</param>
    /// <param name="multiple">The value has to be a multiple of this.</param>
    public NumberSetting(string name, int least, int most, int? standard, string description, int multiple = 1) : base(name, description)
    {
        (_least, _most, _multiple, Standard) = (least, most, multiple, standard);
        HelpName = "N";
        Range = string.Create(CultureInfo.InvariantCulture, $"{(multiple == 1 ? "" : string.Create(CultureInfo.InvariantCulture, $"a multiple of {multiple:N0} from "))}{least:N0} to {most:N0}");
        Default = standard is int value ? value.ToString("N0", CultureInfo.InvariantCulture) : "";
    }

    /// <summary>The value when it is not set.</summary>
    public int? Standard { get; }

    internal override string JsonForm => "without quotes";

    internal override string? FromJson(JsonElement value) => value.ValueKind == JsonValueKind.Number ? value.GetRawText() : null;

    internal override string Allowed => string.Create(CultureInfo.InvariantCulture, $"a {(_multiple == 1 ? "whole number" : $"multiple of {_multiple}")} from {_least} to {_most}");

    internal override bool IsAllowed(string text) => TryRead(text, out _);

    internal bool TryRead(string text, out int value)
    {
        bool read = Strict.TryReadSize(Encoding.UTF8.GetBytes(text), out long number) && number >= _least && number <= _most && number % _multiple == 0;
        value = read ? (int)number : 0;
        return read;
    }
}

/// <summary>One of several words.</summary>
/// <typeparam name="T">The words are the names of its values in lower case. With <see cref="AnyCase"/>, input in any letter case is accepted.</typeparam>
internal sealed record WordSetting<T> : Setting where T : struct, Enum
{
    public WordSetting(string name, T standard, string description) : base(name, description)
    {
        Standard = standard;
        HelpName = "WORD";
        Range = string.Join(", ", Words);
        Default = WordOf(standard);
    }

    /// <summary>The value when it is not set.</summary>
    public T Standard { get; }

    /// <summary>Whether letter case is ignored.</summary>
    public bool AnyCase { get; init; }

    internal override string JsonForm => "in quotes";

    private static IEnumerable<string> Words => Enum.GetValues<T>().Select(WordOf);

    internal override string? FromJson(JsonElement value) => value.ValueKind == JsonValueKind.String ? value.GetString() : null;

    internal override string Allowed => $"one of {Range}";

    internal override bool IsAllowed(string text) => TryRead(text, out _);

    internal bool TryRead(string text, out T value)
    {
        foreach (T one in Enum.GetValues<T>())
        {
            value = one;
            if (string.Equals(text, WordOf(one), AnyCase ? StringComparison.OrdinalIgnoreCase : StringComparison.Ordinal)) return true;
        }

        value = default;
        return false;
    }

    private static string WordOf(T value) => value.ToString().ToLowerInvariant();
}

/// <summary>On or off. On the command line, the option alone means on; the file and the environment write true or false.</summary>
internal sealed record SwitchSetting : Setting
{
    public SwitchSetting(string name, string description) : base(name, description)
    {
        Range = "true, false";
        Default = "false";
    }

    internal override string JsonForm => "without quotes";

    internal override string? FromJson(JsonElement value) => value.ValueKind switch { JsonValueKind.True => "true", JsonValueKind.False => "false", _ => null };

    internal override string Allowed => "true or false";

    internal override bool IsAllowed(string text) => text is "true" or "false";
}
