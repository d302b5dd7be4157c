using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>
/// The part of type checking that catches what people get wrong: fields that the schema does not have, and rules that cannot be a boolean. What it
/// cannot tell it lets pass, for the evaluator to judge.
/// </summary>
internal sealed class StaticTypes(JsonObject root)
{
    private static readonly Dictionary<string, JsonObject?> NoVariables = [];

    /// <exception cref="CelSyntaxException">A field that is not there.</exception>
    public void Check(Expr expression) => SchemaOf(expression, NoVariables);

    /// <summary>Whether a value can be of a type, as far as can be told.</summary>
    public bool MayBe(Expr expression, string type) => expression switch
    {
        Expr.Literal literal => CelValues.TypeName(literal.Value) == type,
        Expr.List or Expr.Map => false,
        Expr.Fold { Kind: FoldKind.All or FoldKind.Exists or FoldKind.ExistsOne } => type == "bool",
        Expr.Fold => false,
        Expr.Select { Test: true } => type == "bool",
        Expr.Call { Function: "&&" or "||" or "!" or "==" or "!=" or "<" or "<=" or ">" or ">=" or "in" } => type == "bool",
        Expr.Call { Function: "?:" } choice => MayBe(choice.Arguments[1], type) && MayBe(choice.Arguments[2], type),
        _ => SchemaOf(expression, NoVariables) is not { } schema || TypeOf(schema) is not { } known || known == type,
    };

    private JsonObject? SchemaOf(Expr expression, IReadOnlyDictionary<string, JsonObject?> variables)
    {
        switch (expression)
        {
            case Expr.Ident ident:
                return variables.TryGetValue(ident.Name, out JsonObject? known) ? known : ident.Name is "self" or "oldSelf" ? root : null;
            case Expr.Select select:
                return Field(select, SchemaOf(select.Operand, variables));
            case Expr.Call call:
                JsonObject? target = call.Target is null ? null : SchemaOf(call.Target, variables);
                JsonObject? first = null;
                for (int i = 0; i < call.Arguments.Count; i++)
                {
                    JsonObject? argument = SchemaOf(call.Arguments[i], variables);
                    first = i == 0 ? argument : first;
                }

                // oldSelf of an optional transition rule is reached through value() and orValue().
                if (call.Function is "value" or "orValue")
                    return target;
                return call.Function == "[]" ? first?["items"] as JsonObject ?? first?["additionalProperties"] as JsonObject : null;
            case Expr.List list:
                foreach (Expr item in list.Items)
                    SchemaOf(item, variables);
                return null;
            case Expr.Map map:
                foreach ((Expr key, Expr value) in map.Entries)
                {
                    SchemaOf(key, variables);
                    SchemaOf(value, variables);
                }

                return null;
            case Expr.Fold fold:
                JsonObject? range = SchemaOf(fold.Range, variables);
                Dictionary<string, JsonObject?> inner = new(variables) { [fold.Variable] = range?["items"] as JsonObject };
                if (fold.Filter is not null)
                    SchemaOf(fold.Filter, inner);
                SchemaOf(fold.Body, inner);
                return fold.Kind == FoldKind.Filter ? range : null;
            default:
                return null;
        }
    }

    private JsonObject? Field(Expr.Select select, JsonObject? schema)
    {
        if (schema is null || schema["x-kubernetes-preserve-unknown-fields"].Flag() is true || schema["type"].Text() is not "object")
            return null;
        if (schema["additionalProperties"] is JsonObject others)
            return others;
        if (schema["properties"]?[select.Field] is JsonObject field)
            return field;
        bool always = (ReferenceEquals(schema, root) || schema["x-kubernetes-embedded-resource"].Flag() is true) && select.Field is "apiVersion" or "kind" or "metadata";
        return always ? null : throw new CelSyntaxException(select.Position, $"undefined field '{select.Field}'");
    }

    private static string? TypeOf(JsonObject schema) => (schema["type"].Text(), schema["format"].Text()) switch
    {
        ("boolean", _) => "bool",
        ("integer", _) => "int",
        ("number", _) => "double",
        ("string", null or "") => "string",
        ("array", _) => "list",
        ("object", _) => "map",
        _ => null,
    };
}
