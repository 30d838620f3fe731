using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Hostile;

/// <summary>The tables of settings in spec/operations.md are those of the programs. DEVTLOG_WRITE_SETTINGS=1 writes them.</summary>
public sealed class SettingsDocumentTests
{
    private static readonly string Path = System.IO.Path.Combine(Repository.Root, "spec/operations.md");

    [Fact]
    public void N13_the_tables_of_settings_in_the_document_are_those_of_the_programs()
    {
        string document = File.ReadAllText(Path);
        foreach (SettingTable table in (SettingTable[])[LogSettings.Table, WitnessSettings.Table])
        {
            string begin = $"<!-- settings of {table.Program} -->\n", end = $"<!-- end of the settings of {table.Program} -->\n";
            int from = document.IndexOf(begin, StringComparison.Ordinal) + begin.Length, to = document.IndexOf(end, StringComparison.Ordinal);
            Assert.InRange(from, begin.Length, to);
            string text = Markdown(table);
            if (Environment.GetEnvironmentVariable("DEVTLOG_WRITE_SETTINGS") == "1") document = document[..from] + text + document[to..];
            else Assert.Equal(text, document[from..to]);
        }

        if (Environment.GetEnvironmentVariable("DEVTLOG_WRITE_SETTINGS") == "1") File.WriteAllText(Path, document);
    }

    private static string Markdown(SettingTable table)
    {
        StringBuilder text = new("| name | default | range | |\n|---|---|---|---|\n");
        foreach (Setting setting in table.Settings)
        {
            string of = setting.Commands.Contains("serve", StringComparer.Ordinal) ? "" : $" ({string.Join(", ", setting.Commands)})";
            text.Append(System.Globalization.CultureInfo.InvariantCulture, $"| `{setting.Name}`{of} | {setting.Default} | {(setting.Range.Length > 0 ? setting.Range : setting.HelpName?.Replace("|", "\\|", StringComparison.Ordinal))} | {setting.Description} |\n");
        }

        return text.ToString();
    }
}
