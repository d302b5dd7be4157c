using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Checks that a document can be merged: fields declared, forms and scalars as the schema says, items that can be told apart.</summary>
internal static class TypedValidation
{
    /// <exception cref="TypedException">With the message of the real server.</exception>
    public static void Check(JsonNode? document, TypeRef type, bool allowDuplicates)
    {
        List<(string Path, string Message)> errors = [];
        Visit(document, type, allowDuplicates, "", errors);
        if (errors.Count > 0)
            throw new TypedException(Describe(errors));
    }

    public static string Describe(List<(string Path, string Message)> errors)
    {
        IEnumerable<string> lines = errors.Select(error => error.Path.Length == 0 ? error.Message : $"{error.Path}: {error.Message}");
        return errors.Count == 1 ? lines.First() : string.Join("\n", lines.Select(line => "  " + line).Prepend("errors:"));
    }

    /// <summary>Null where the value is a scalar of the type (or null, or absent); otherwise what is wrong.</summary>
    public static string? CheckScalar(ScalarType type, Slot slot, string prefix)
    {
        JsonNode? value = slot.Node;
        if (!slot.IsPresent || value is null)
            return null;
        return type switch
        {
            ScalarType.Numeric when !DocumentValue.IsNumber(value) => $"{prefix}expected numeric (int or float), got {GoText.TypeName(value)}",
            ScalarType.Text when !DocumentValue.IsText(value) => $"{prefix}expected string, got &value.valueUnstructured{{Value:{GoText.Syntax(value)}}}",
            ScalarType.Boolean when !DocumentValue.IsBoolean(value) => $"{prefix}expected boolean, got &{{{GoText.Plain(value)}}}",
            ScalarType.Untyped when !DocumentValue.IsScalar(value) => $"{prefix}expected any scalar, got &{{{GoText.Plain(value)}}}",
            _ => null,
        };
    }

    private static void Visit(JsonNode? value, TypeRef type, bool allowDuplicates, string path, List<(string Path, string Message)> errors)
    {
        Atom atom = type.Resolve().For(Slot.Of(value));
        switch (atom.Form)
        {
            case AtomForm.Map when value is JsonObject map:
                foreach ((string name, JsonNode? member) in map)
                {
                    TypeRef field = atom.FieldType(name);
                    if (!field.Exists)
                    {
                        errors.Add(($"{path}.{name}", "field not declared in schema"));
                        return;
                    }

                    Visit(member, field, allowDuplicates, $"{path}.{name}", errors);
                }

                break;
            case AtomForm.Map when value is not null:
                errors.Add((path, $"expected map, got &{{{GoText.Plain(value)}}}"));
                break;
            case AtomForm.Scalar:
                if (CheckScalar(atom.Scalar, Slot.Of(value), "") is { } wrong)
                    errors.Add((path, wrong));
                break;
            case AtomForm.List when value is JsonArray list:
                VisitItems(list, atom, allowDuplicates, path, errors);
                break;
            case AtomForm.List when value is not null:
                errors.Add((path, $"expected list, got &{{{GoText.Plain(value)}}}"));
                break;
        }
    }

    private static void VisitItems(JsonArray list, Atom atom, bool allowDuplicates, string path, List<(string Path, string Message)> errors)
    {
        HashSet<PathElement> seen = [];
        for (int i = 0; i < list.Count; i++)
        {
            PathElement element = PathElement.Index(i);
            if (atom.IsAssociativeList)
            {
                try
                {
                    element = atom.ItemElement(list[i]);
                }
                catch (TypedException e)
                {
                    errors.Add((path, $"element {i}: {e.Message}"));
                    return;
                }

                if (!seen.Add(element) && !allowDuplicates)
                    errors.Add((path, $"duplicate entries for key {element}"));
            }

            Visit(list[i], atom.ItemType, allowDuplicates, path + element, errors);
        }
    }
}
