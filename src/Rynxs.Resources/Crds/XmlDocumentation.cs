using System.Reflection;
using System.Text;
using System.Text.Json;
using System.Xml.Linq;

namespace Rynxs.Resources.Crds;

/// <summary>Summaries from the compiler's documentation file, as plain text for descriptions.</summary>
internal sealed class XmlDocumentation(XDocument file)
{
    private readonly Dictionary<string, XElement> _members = file.Descendants("member")
        .Where(member => member.Attribute("name") is not null && member.Element("summary") is not null)
        .ToDictionary(member => member.Attribute("name")?.Value ?? "", member => member.Element("summary") ?? member);

    /// <summary>Of a property.</summary>
    /// <exception cref="InvalidOperationException">It has none: a field that <c>kubectl explain</c> cannot explain.</exception>
    public string Of(PropertyInfo property) => Find($"P:{property.DeclaringType?.FullName}.{property.Name}");

    /// <summary>Of a type.</summary>
    /// <exception cref="InvalidOperationException">It has none.</exception>
    public string Of(Type type) => Find($"T:{type.FullName}");

    private string Find(string member) => _members.TryGetValue(member, out XElement? summary)
        ? Plain(summary)
        : throw new InvalidOperationException($"{member} has no summary to describe it with.");

    private static string Plain(XElement summary)
    {
        StringBuilder text = new();
        foreach (XNode node in summary.DescendantNodes())
        {
            if (node is XText words)
                text.Append(words.Value);
            else if (node is XElement { Name.LocalName: "see" } see && see.Attribute("cref") is { } target)
                text.Append(JsonNamingPolicy.CamelCase.ConvertName(target.Value[(target.Value.LastIndexOf('.') + 1)..]));
        }

        return string.Join(' ', text.ToString().Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries));
    }
}
