using System.Reflection;

namespace TransparencyLog.Tests.Architecture;

/// <summary>
/// What each library shows to others stands in a text file beside it, so that a change of it is seen and meant. DEVTLOG_WRITE_SURFACE=1 writes the
/// files anew.
/// </summary>
public sealed class PublicSurfaceTests
{
    [Theory]
    [InlineData("TransparencyLog", "src/Core/Core.api.txt")]
    [InlineData("TransparencyLog.Signing", "src/Signing/Signing.api.txt")]
    [InlineData("TransparencyLog.Storage", "src/Storage/Storage.api.txt")]
    [InlineData("TransparencyLog.Store", "src/Store/Store.api.txt")]
    [InlineData("TransparencyLog.Client", "src/Client/Client.api.txt")]
    public void The_public_surface_is_the_one_that_is_written_down(string assembly, string file)
    {
        string path = Path.Combine(Repository.Root, file);
        string[] found = [.. Assembly.Load(assembly).GetExportedTypes().SelectMany(Describe).Order(StringComparer.Ordinal)];
        if (Environment.GetEnvironmentVariable("DEVTLOG_WRITE_SURFACE") == "1") File.WriteAllLines(path, found);
        Assert.InRange(found.Length, 20, 2000);
        Assert.Equal(File.ReadAllLines(path), found);
    }

    private static IEnumerable<string> Describe(Type type)
    {
        string name = Name(type);
        string kind = type switch
        {
            { IsEnum: true } => "enum",
            { IsInterface: true } => "interface",
            { IsValueType: true } => "struct",
            { IsAbstract: true, IsSealed: true } => "static class",
            { IsAbstract: true } => "abstract class",
            _ => "class",
        };
        yield return $"{kind} {name}";
        foreach (MemberInfo member in type.GetMembers(BindingFlags.Public | BindingFlags.Instance | BindingFlags.Static | BindingFlags.DeclaredOnly))
        {
            string? line = member switch
            {
                MethodInfo { IsSpecialName: true } => null,
                MethodInfo method => $"{Name(method.ReturnType)} {method.Name}({Parameters(method)})",
                ConstructorInfo constructor => $"new({Parameters(constructor)})",
                PropertyInfo property => $"{Name(property.PropertyType)} {property.Name} {{{(property.CanRead ? " get;" : "")}{(property.SetMethod is { IsPublic: true } ? " set;" : "")} }}",
                FieldInfo { IsSpecialName: false } field => $"{Name(field.FieldType)} {field.Name}{(field.IsLiteral ? $" = {field.GetRawConstantValue()}" : "")}",
                _ => null,
            };

            // What the compiler adds under names that no one can write.
            if (line is not null && !member.Name.StartsWith('<'))
            {
                yield return $"{name}: {line}";
            }
        }
    }

    private static string Parameters(MethodBase method) =>
        string.Join(", ", method.GetParameters().Select(parameter => $"{Name(parameter.ParameterType)} {parameter.Name}"));

    private static string Name(Type type)
    {
        if (type.IsByRef) return $"ref {Name(type.GetElementType()!)}";
        if (type.IsArray) return $"{Name(type.GetElementType()!)}[]";
        string name = type.IsNested && !type.IsGenericParameter ? $"{Name(type.DeclaringType!)}.{type.Name}" : type.Name;
        if (!type.IsGenericType) return name;
        int tick = name.IndexOf('`', StringComparison.Ordinal);
        return $"{(tick < 0 ? name : name[..tick])}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
    }
}
