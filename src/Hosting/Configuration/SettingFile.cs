// The file of --config: one JSON object (RFC 8259, UTF-8) whose keys are names of settings. Numbers are written without quotes, texts with quotes, and switches
// as true or false. Comments and a comma after the last member are allowed, for people. A key that occurs twice is refused.
//
//     { "data": "/var/lib/log", "listen": "http://127.0.0.1:2025", "publish-gap-ms": 50 }

using System.Collections.Generic;
using System.Text.Json;
using TransparencyLog.Storage;

namespace TransparencyLog.Hosting;

/// <summary>Reads the file of --config.</summary>
internal static class SettingFile
{
    /// <summary>Largest file in bytes: all settings together need a few thousand.</summary>
    private const int MaxBytes = 64 * 1024;

    /// <summary>Most characters of a value that a message repeats.</summary>
    private const int MostQuoted = 60;

    private static readonly JsonDocumentOptions Rules = new() { CommentHandling = JsonCommentHandling.Skip, AllowTrailingCommas = true, MaxDepth = 8 };

    /// <exception cref="ConfigurationException">The file cannot be read, is not JSON, or has an unknown key or a value of the wrong type.</exception>
    public static IReadOnlyDictionary<string, GivenValue> Read(string path, SettingTable table)
    {
        try
        {
            if (!OperatorFile.TryRead(path, MaxBytes, out byte[] bytes)) throw new ConfigurationException($"config: no such file: {path}");
            ReadOnlyMemory<byte> text = bytes;
            if (text.Span.StartsWith("\uFEFF"u8)) text = text["\uFEFF"u8.Length..];
            using JsonDocument document = JsonDocument.Parse(text, Rules);
            return Members(document.RootElement, path, table);
        }
        catch (Exception failure) when (failure is IOException or UnauthorizedAccessException)
        {
            throw new ConfigurationException($"config: {failure.Message}", failure);
        }
        catch (Exception failure) when (failure is JsonException or InvalidOperationException)
        {
            // The JSON reader throws InvalidOperationException for text that is not Unicode: bytes that are not UTF-8, or half of a surrogate pair.
            throw new ConfigurationException($"config: {path} is not JSON: {failure.Message}", failure);
        }
    }

    private static Dictionary<string, GivenValue> Members(JsonElement root, string path, SettingTable table)
    {
        if (root.ValueKind != JsonValueKind.Object) throw new ConfigurationException($"config: {path} is not a JSON object");
        Dictionary<string, GivenValue> values = new(StringComparer.Ordinal);
        foreach (JsonProperty member in root.EnumerateObject())
        {
            string name = member.Name;
            if (name == SettingTable.Config.Name) throw new ConfigurationException($"config: {path}: a file of settings cannot name another one");
            if (table.Settings.FirstOrDefault(one => one.Name == name) is not Setting setting)
            {
                throw new ConfigurationException($"config: {path}: '{name}' is not a setting of {table.Program}; the nearest is {NearestName.Of(name.ToLowerInvariant(), table.Settings.Select(one => one.Name)).Name}");
            }

            if (setting.FromJson(member.Value) is not string text)
            {
                string raw = member.Value.GetRawText();
                throw new ConfigurationException($"{name}: {(raw.Length > MostQuoted ? raw[..MostQuoted] + "..." : raw)} is not {setting.Allowed}, which a file of settings writes {setting.JsonForm} ({path})");
            }

            if (!values.TryAdd(name, new GivenValue(text, path))) throw new ConfigurationException($"config: {path}: {name} stands there twice");
        }

        return values;
    }
}
