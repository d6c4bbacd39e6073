using System.Reflection;
using System.Text;
using Orleans;
using Orleans.Concurrency;
using OrleansFs.GrainInterfaces;
using OrleansFs.Model;
using Xunit;

namespace OrleansFs.Cluster.Tests.Contracts;

/// <summary>
/// What goes over the wire, as a committed text: machines of one cluster may run different versions, so a change here is one that a review must see, and that they tell each other by
/// (<see cref="Contract"/>). To accept one, replace Contracts.txt, beside the interfaces, by the Contracts.actual.txt that the failed test has written into the folder of these tests.
/// </summary>
public sealed class ContractSnapshotTests
{
    [Fact]
    public void The_contract_is_the_committed_one()
    {
        string folder = typeof(ContractSnapshotTests).Assembly.GetCustomAttributes<AssemblyMetadataAttribute>().Single(a => a.Key == "SourceFolder").Value!;
        string committed = Path.Combine(folder, "../../grain-interfaces/OrleansFs.GrainInterfaces/Contracts.txt");
        string actual = Path.Combine(folder, "Contracts.actual.txt");
        string text = Describe();
        if (File.Exists(committed) && File.ReadAllText(committed) == text)
        {
            File.Delete(actual);
            return;
        }
        File.WriteAllText(actual, text);
        Assert.Fail($"the contract is not the committed one: compare {committed} and {actual}");
    }

    [Fact]
    public void Every_grain_interface_and_method_has_an_alias()
    {
        foreach (var grain in Grains())
        {
            Assert.NotNull(grain.GetCustomAttribute<AliasAttribute>());
            Assert.All(grain.GetMethods(), m => Assert.NotNull(m.GetCustomAttribute<AliasAttribute>()));
            Assert.Equal(grain.GetMethods().Length, grain.GetMethods().Select(m => m.GetCustomAttribute<AliasAttribute>()!.Alias).Distinct().Count());
            Assert.All(grain.GetMethods(), m => Assert.Equal(typeof(CancellationToken), m.GetParameters()[^1].ParameterType));
        }
    }

    private static IEnumerable<Type> Grains() =>
        typeof(INamespaceGrain).Assembly.GetExportedTypes().Where(t => t.IsInterface && typeof(IGrain).IsAssignableFrom(t)).OrderBy(t => t.Name, StringComparer.Ordinal);

    private static string Describe()
    {
        var text = new StringBuilder();
        foreach (var grain in Grains())
        {
            text.Append("grain ").Append(Alias(grain)).Append('\n');
            foreach (var method in grain.GetMethods().OrderBy(m => m.GetCustomAttribute<AliasAttribute>()!.Alias, StringComparer.Ordinal))
            {
                string parameters = string.Join(", ", method.GetParameters().Select(p => Name(p.ParameterType)));
                string options = string.Concat(
                    method.GetCustomAttribute<ReadOnlyAttribute>() is null ? "" : " [read-only]",
                    method.GetCustomAttribute<AlwaysInterleaveAttribute>() is null ? "" : " [interleave]",
                    method.GetCustomAttribute<ResponseTimeoutAttribute>() is { } t ? $" [{t.Timeout}]" : "");
                text.Append("  ").Append(method.GetCustomAttribute<AliasAttribute>()!.Alias).Append('(').Append(parameters).Append(") -> ").Append(Name(method.ReturnType.GetGenericArguments()[0]))
                    .Append(options).Append('\n');
            }
        }
        var types = new[] { typeof(InodeNumber).Assembly, typeof(INamespaceGrain).Assembly }.SelectMany(a => a.GetExportedTypes())
            .Where(t => t.GetCustomAttribute<AliasAttribute>() is not null && !t.IsInterface).OrderBy(Alias, StringComparer.Ordinal);
        foreach (var type in types)
        {
            text.Append(type.IsEnum ? "enum " : "type ").Append(Alias(type)).Append('\n');
            foreach (string member in type.IsEnum ? Values(type) : Members(type))
                text.Append("  ").Append(member).Append('\n');
        }
        foreach (var type in new[] { typeof(Errno), typeof(InodeFlags), typeof(AttributeMask), typeof(RenameFlags), typeof(XattrFlags), typeof(AllocateMode), typeof(ReadFlags), typeof(WriteFlags), typeof(SeekKind), typeof(LockKind) })
            text.Append("enum ").Append(type.Name).Append(": ").AppendJoin(", ", Values(type)).Append('\n');
        return text.ToString();
    }

    private static IEnumerable<string> Values(Type type) => Enum.GetValues(type).Cast<object>().Select(v => $"{v} = {Convert.ToInt64(v)}");

    private static IEnumerable<string> Members(Type type)
    {
        const BindingFlags All = BindingFlags.Instance | BindingFlags.Public | BindingFlags.NonPublic | BindingFlags.DeclaredOnly;
        var fields = type.GetFields(All).Select(f => (f.GetCustomAttribute<IdAttribute>()?.Id, Text: $"{f.Name}: {Name(f.FieldType)}"));
        var properties = type.GetProperties(All).Select(p => (p.GetCustomAttribute<IdAttribute>()?.Id, Text: $"{p.Name}: {Name(p.PropertyType)}"));
        return fields.Concat(properties).Where(m => m.Id is not null).OrderBy(m => m.Id).Select(m => $"{m.Id} {m.Text}");
    }

    private static string Alias(Type type) => type.GetCustomAttribute<AliasAttribute>()!.Alias;

    private static string Name(Type type)
    {
        if (type.IsArray)
            return Name(type.GetElementType()!) + "[]";
        if (!type.IsGenericType)
            return type.Name;
        return $"{type.Name[..type.Name.IndexOf('`', StringComparison.Ordinal)]}<{string.Join(", ", type.GetGenericArguments().Select(Name))}>";
    }
}
