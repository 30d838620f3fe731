using System.Text;
using TransparencyLog.Hosting;
using TransparencyLog.Server;
using TransparencyLog.Witness;

namespace TransparencyLog.Tests.Hostile;

/// <summary>N-13: the settings of both programs, asked the same questions. What the operator did not mean is never a setting that is silently not in force.</summary>
public sealed class SettingsDoorTests : IDisposable
{
    private readonly string _root = Directory.CreateTempSubdirectory("tlog-settings-").FullName;

    /// <summary>Both programs.</summary>
    public static TheoryData<string> Programs => ["tlog-server", "tlog-witness"];

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_an_unknown_key_of_a_file_is_refused_with_the_nearest_one(string program)
    {
        foreach (Setting setting in Table(program).Settings)
        {
            foreach (string name in (string[])[setting.Name.Remove(setting.Name.Length / 2, 1), $"{setting.Name}x", setting.Name.ToUpperInvariant(), $"x{setting.Name}"])
            {
                if (Table(program).Settings.Any(other => other.Name == name)) continue;
                string message = Refused(program, Config($$"""{ "{{name}}": 1 }"""));
                Assert.Contains($"'{name}' is not a setting of {program}; the nearest is ", message, StringComparison.Ordinal);
                Assert.Contains(PathOf("config"), message, StringComparison.Ordinal);
                if (setting.Name.Length > 5) Assert.EndsWith($" {setting.Name}", message, StringComparison.Ordinal);
            }
        }

        Assert.Contains("cannot name another", Refused(program, Config("""{ "config": "other" }""")), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_a_variable_within_two_letters_of_a_known_one_is_refused_with_it(string program)
    {
        foreach (Setting setting in Table(program).Settings.Append(SettingTable.Config))
        {
            string variable = Table(program).VariableOf(setting);
            int middle = variable.LastIndexOf('_') + 1;
            foreach (string name in (string[])[variable.Remove(middle, 1), variable.Insert(middle, "X"), $"{variable}XY", $"{variable[..^1]}Q", variable.ToLowerInvariant().Replace("tlog_", "TLOG_", StringComparison.Ordinal), variable.Insert(middle, "_")])
            {
                if (Table(program).Settings.Append(SettingTable.Config).Any(other => Table(program).VariableOf(other) == name)) continue;
                string message = Refused(program, [], (name, "1"));
                Assert.StartsWith($"environment: {name} is not a setting of {program}; the nearest is TLOG_", message, StringComparison.Ordinal);
                if (setting.Name.Length > 5) Assert.EndsWith($" {variable}", message, StringComparison.Ordinal);
            }
        }
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_other_variables_of_the_family_are_listed_and_those_of_a_container_platform_are_not_read(string program)
    {
        SettingValues values = Table(program).Read(new Dictionary<string, string>(), new Dictionary<string, string>
        {
            ["TLOG_SOMETHING_ELSE"] = "x",
            ["TLOG_ANOTHER_COLOUR"] = "",
            ["DEVTLOG_POLCY"] = "x",
            ["tlog_polcy"] = "x",
            ["PATH"] = "x",
            ["TLOG_PORT"] = "tcp://10.0.0.1:2025",
            ["TLOG_PORT_2025_TCP_ADDR"] = "10.0.0.1",
            ["TLOG_SERVICE_HOST"] = "10.0.0.1",
            ["TLOG_SERVICE_PORT"] = "2025",
            ["TLOG_SERVER_SERVICE_HOST"] = "10.0.0.1",
            ["TLOG_WITNESS_PORT"] = "tcp://10.0.0.2:2026",
            ["TLOG_WITNESS_SERVICE_PORT_HTTP"] = "2026",
            ["TLOG_DATA_PORT_80_TCP"] = "tcp://10.0.0.3:80",
        });
        Assert.Equal(["TLOG_ANOTHER_COLOUR", "TLOG_SOMETHING_ELSE"], values.UnknownVariables);
        foreach (Setting setting in Table(program).Settings)
        {
            Assert.DoesNotContain("_PORT", Table(program).VariableOf(setting), StringComparison.Ordinal);
            Assert.DoesNotContain("_SERVICE_", Table(program).VariableOf(setting), StringComparison.Ordinal);
        }
    }

    /// <summary>One environment may serve both programs: all settings of one are at most a line in the log of the other.</summary>
    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_no_variable_of_one_program_is_taken_for_a_misspelling_by_the_other(string program)
    {
        SettingTable other = Table(Programs.Select(row => row.Data).Single(name => name != program));
        foreach (Setting setting in other.Settings.Append(SettingTable.Config))
        {
            string name = other.VariableOf(setting);
            Assert.Equal([name], Table(program).Read(new Dictionary<string, string>(), new Dictionary<string, string> { [name] = "x" }).UnknownVariables);
        }
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_a_value_of_another_type_or_beyond_its_range_is_refused_by_name_wherever_it_stands(string program)
    {
        foreach (Setting setting in Table(program).Settings)
        {
            string[] wrong = setting switch
            {
                NumberSetting => ["\"5\"", "5.0", "1e1", "-1", "99999999999999999999", "true", "null", "[5]", "{}", "\"\""],
                SwitchSetting => ["\"true\"", "1", "null", "[true]", "\"\""],
                TextSetting => ["5", "true", "null", "[\"x\"]", "{\"x\":\"y\"}", "\"\"", "\"a\\u0000b\""],
                _ => ["5", "true", "null", "[]", "{}", "\"\"", "\"Neither\"", "\"0\""],
            };
            foreach (string value in wrong)
            {
                string message = Refused(program, Config($$"""{ "{{setting.Name}}": {{value}} }"""));
                Assert.StartsWith($"{setting.Name}: ", message, StringComparison.Ordinal);
                Assert.Contains(PathOf("config"), message, StringComparison.Ordinal);
            }

            string variable = Table(program).VariableOf(setting);
            foreach (string text in (string[])(setting is TextSetting ? ["", "a\0b"] : ["", " ", "012", "+1", "-1", "1.0", " 1", "0x1", "yes", "TRUE", "١", "99999999999999999999"]))
            {
                Assert.StartsWith($"{setting.Name}: ", Refused(program, [], (variable, text)), StringComparison.Ordinal);
                Assert.Contains($"({variable})", Refused(program, [], (variable, text)), StringComparison.Ordinal);
                Assert.Contains($"({setting.Option})", Refused(program, new() { [setting.Name] = text }), StringComparison.Ordinal);
            }
        }

        // Also where a later source replaces it.
        Dictionary<string, string> given = Config("""{ "body-limit-s": 301 }""");
        given["body-limit-s"] = "5";
        Assert.StartsWith("body-limit-s: '301' is not a whole number from 1 to 300", Refused(program, given), StringComparison.Ordinal);
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_a_file_is_one_object_without_a_key_twice(string program)
    {
        foreach (string text in (string[])["", "null", "[]", "\"data\"", "{", "{}{}", "{\"data\":\"a\" \"listen\":\"b\"}", "{data:\"a\"}", "{'data':'a'}", "{\"body-limit-s\":012}", "{\"body-limit-s\":+1}", "{\"data\":\"\\ud800\"}", "{\"\\udc00\":1}"])
        {
            string message = Refused(program, Config(text));
            Assert.StartsWith("config: ", message, StringComparison.Ordinal);
            Assert.Contains(PathOf("config"), message, StringComparison.Ordinal);
        }

        Assert.Contains("body-limit-s stands there twice", Refused(program, Config("""{ "body-limit-s": 5, "body-limit-s": 5 }""")), StringComparison.Ordinal);
        Assert.Contains("no such file", Refused(program, new() { ["config"] = PathOf("absent") }), StringComparison.Ordinal);
        Assert.Contains("more than 65536 bytes", Refused(program, Config(new string(' ', 64 * 1024 + 1))), StringComparison.Ordinal);
        Assert.StartsWith("config: is empty", Refused(program, new() { ["config"] = "" }), StringComparison.Ordinal);
        Assert.StartsWith("config: ", Refused(program, new() { ["config"] = _root }), StringComparison.Ordinal);

        // What is allowed, for people.
        NumberSetting limit = (NumberSetting)Table(program).Settings.Single(setting => setting.Name == "body-limit-s");
        Assert.Equal(7, Table(program).Read(Config("\uFEFF{ // seconds\n \"body-limit-s\": 7, /* the last */ }\n"), new Dictionary<string, string>()).Number(limit));
    }

    [Theory]
    [MemberData(nameof(Programs))]
    public void N13_the_command_line_comes_before_the_environment_and_that_before_the_file(string program)
    {
        SettingTable table = Table(program);
        NumberSetting limit = (NumberSetting)table.Settings.Single(setting => setting.Name == "body-limit-s");
        Dictionary<string, string> file = Config("""{ "body-limit-s": 1 }"""), environment = new() { [table.VariableOf(limit)] = "2" };
        Assert.Equal(15, table.Read(new Dictionary<string, string>(), new Dictionary<string, string>()).Number(limit));
        Assert.Equal(1, table.Read(file, new Dictionary<string, string>()).Number(limit));
        Assert.Equal(2, table.Read(file, environment).Number(limit));
        Assert.Equal(1, table.Read(new Dictionary<string, string>(), new Dictionary<string, string> { [table.VariableOf(SettingTable.Config)] = PathOf("config") }).Number(limit));
        file["body-limit-s"] = "3";
        Assert.Equal(3, table.Read(file, environment).Number(limit));
    }

    private static SettingTable Table(string program) => program == "tlog-server" ? LogSettings.Table : WitnessSettings.Table;

    private static string Refused(string program, Dictionary<string, string> options, params (string Name, string Value)[] environment) =>
        Assert.Throws<ConfigurationException>(() => Table(program).Read(options, environment.ToDictionary(one => one.Name, one => one.Value))).Message;

    private Dictionary<string, string> Config(string text)
    {
        File.WriteAllText(PathOf("config"), text, new UTF8Encoding(encoderShouldEmitUTF8Identifier: false));
        return new() { ["config"] = PathOf("config") };
    }

    private string PathOf(string name) => Path.Combine(_root, name);
}
