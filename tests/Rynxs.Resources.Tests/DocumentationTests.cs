using System.Collections;
using System.Reflection;
using System.Text.Json;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Tests;

public sealed class DocumentationTests
{
    [Fact]
    public void Every_field_of_every_kind_is_in_the_reference()
    {
        string document = File.ReadAllText(Path.Combine(AppContext.BaseDirectory, "Golden", "resources.md"));
        List<string> missing = [];
        foreach (ResourceType type in ResourceTypes.All)
        {
            string heading = $"\n## {type.Kind} (`{type.Plural}`, `{type.ShortNames[0]}`";
            int start = document.IndexOf(heading, StringComparison.Ordinal);
            start.ShouldBeGreaterThan(0, heading);
            string section = document[start..document.IndexOf("\n## ", start + 1, StringComparison.Ordinal)];
            foreach (string part in new[] { "Spec", "Status" })
                missing.AddRange(Fields(Part(type.ClrType, part), part.ToLowerInvariant()).Where(field => !section.Contains($"| `{field}` |", StringComparison.Ordinal)));
            missing.AddRange(type.SelectableFields.Keys.Where(field => !section.Contains($"`{field}`", StringComparison.Ordinal)).Select(field => $"selectable {type.Kind} {field}"));
        }

        missing.AddRange(Fields(typeof(ObjectMeta), "metadata").Where(field => !document.Contains($"| `{field}` |", StringComparison.Ordinal)));
        missing.AddRange(Fields(typeof(Condition), "").Where(field => !document.Contains($"| `{field}` |", StringComparison.Ordinal)));
        missing.ShouldBeEmpty();
    }

    private static Type Part(Type type, string name) => type.GetProperty(name).ShouldNotBeNull().PropertyType;

    /// <summary>Paths of the leaves, <c>[]</c> for the items of lists of objects; conditions are described once.</summary>
    private static IEnumerable<string> Fields(Type type, string prefix)
    {
        foreach (PropertyInfo property in type.GetProperties(BindingFlags.Public | BindingFlags.Instance))
        {
            string name = JsonNamingPolicy.CamelCase.ConvertName(property.Name);
            string path = prefix.Length == 0 ? name : $"{prefix}.{name}";
            Type target = Nullable.GetUnderlyingType(property.PropertyType) ?? property.PropertyType;
            Type? item = target.IsGenericType && target.GetGenericArguments().Length == 1 && typeof(IEnumerable).IsAssignableFrom(target) ? target.GetGenericArguments()[0] : null;
            if (item is not null || !IsOurs(target))
                yield return path;
            if (item is not null && IsOurs(item) && item != typeof(Condition))
            {
                foreach (string field in Fields(item, path + "[]"))
                    yield return field;
            }

            if (IsOurs(target))
            {
                foreach (string field in Fields(target, path))
                    yield return field;
            }
        }
    }

    private static bool IsOurs(Type type) => type.Assembly == typeof(Resource).Assembly;
}
