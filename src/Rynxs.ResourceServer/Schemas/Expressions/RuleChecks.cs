using System.Runtime.CompilerServices;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Evaluates the CEL rules of a schema over a document.</summary>
internal sealed class RuleChecks
{
    /// <summary>For all rules of a document together.</summary>
    private const long DocumentBudget = 5_000_000;

    private const int MaxMessage = 2_048;

    /// <summary>What the compiler made of each schema node's rules; nodes are compared by reference and live as long as their kind.</summary>
    private static readonly ConditionalWeakTable<StructuralSchema, CompiledRule[]> Compiled = [];

    /// <summary>Whether a node or anything below it has rules.</summary>
    private static readonly ConditionalWeakTable<StructuralSchema, StrongBox<bool>> Marked = [];

    private readonly List<StatusCause> _causes;
    private readonly CelBudget _budget = new(DocumentBudget);

    private RuleChecks(List<StatusCause> causes) => _causes = causes;

    public static bool HasRules(StructuralSchema schema)
    {
        if (!Marked.TryGetValue(schema, out StrongBox<bool>? mark))
        {
            mark = new StrongBox<bool>(Search(schema, []));
            Marked.AddOrUpdate(schema, mark);
        }

        return mark.Value;
    }

    public static void Check(JsonObject document, JsonObject? old, StructuralSchema schema, List<StatusCause> causes)
    {
        RuleChecks checks = new(causes);
        try
        {
            checks.Walk(document, old, schema, "");
        }
        catch (CelBudgetException)
        {
            causes.Add(new StatusCause(CauseReasons.Invalid,
                "Invalid value: \"\": validation failed due to running out of cost budget, no further validation rules will be run", FieldPaths.Root));
        }
    }

    /// <summary>What is wrong with a rule, for the CRD that holds it.</summary>
    /// <param name="rule">The rule.</param>
    /// <param name="schema">JSON schema of its place.</param>
    /// <param name="path">Of the rule in the CRD.</param>
    public static IEnumerable<StatusCause> Compile(ValidationRule rule, JsonObject schema, string path)
    {
        if (string.IsNullOrWhiteSpace(rule.Rule))
        {
            yield return new StatusCause(CauseReasons.Required, "Required value: rule is not specified", path + ".rule");
            yield break;
        }

        string shown = JsonScalars.Canonical(new JsonObject
        {
            ["Rule"] = rule.Rule,
            ["Message"] = rule.Message ?? "",
            ["MessageExpression"] = rule.MessageExpression ?? "",
        });
        if (Problem(rule.Rule, schema, "bool", out IReadOnlySet<string> used) is { } wrong)
            yield return new StatusCause(CauseReasons.Invalid, $"Invalid value: {shown}: {wrong}", path + ".rule");
        else if (rule.OptionalOldSelf && !used.Contains("oldSelf"))
            yield return new StatusCause(CauseReasons.Invalid, "Invalid value: true: may not be set if oldSelf is not used in rule", path + ".optionalOldSelf");
        if (rule.MessageExpression is { } expression && Problem(expression, schema, "string", out _) is { } wrongMessage)
            yield return new StatusCause(CauseReasons.Invalid, $"Invalid value: {shown}: {wrongMessage}", path + ".messageExpression");
        if (rule.Message is { } message)
        {
            if (message.AsSpan().IndexOfAny('\n', '\r') >= 0)
                yield return new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Quote(message)}: must not contain line breaks", path + ".message");
            else if (message.Length > MaxMessage)
                yield return new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Quote(message[..40])}: must have a maximum length of {MaxMessage} characters", path + ".message");
        }

        if (rule.Reason is not null and not (CauseReasons.Invalid or CauseReasons.Forbidden or CauseReasons.Required or CauseReasons.Duplicate))
        {
            yield return new StatusCause(CauseReasons.NotSupported,
                $"Unsupported value: {JsonScalars.Quote(rule.Reason)}: supported values: \"FieldValueDuplicate\", \"FieldValueForbidden\", \"FieldValueInvalid\", \"FieldValueRequired\"", path + ".reason");
        }

        if (rule.FieldPath is { } field && !Leads(field, schema))
            yield return new StatusCause(CauseReasons.Invalid, $"Invalid value: {JsonScalars.Quote(field)}: must be a valid path", path + ".fieldPath");
    }

    private static string? Problem(string text, JsonObject schema, string type, out IReadOnlySet<string> used)
    {
        used = new HashSet<string>();
        string subject = type == "bool" ? "" : "messageExpression ";
        try
        {
            (Expr expression, used) = Parser.Parse(text, "self", "oldSelf");
            StaticTypes types = new(schema);
            types.Check(expression);
            return types.MayBe(expression, type) ? null : type == "bool" ? "cel expression must evaluate to a bool" : "messageExpression must evaluate to a string";
        }
        catch (CelSyntaxException e)
        {
            return $"{subject}compilation failed: ERROR: <input>:1:{e.Position + 1}: {e.Message}";
        }
    }

    private static bool Leads(string path, JsonObject schema)
    {
        JsonNode? node = schema;
        foreach (string name in path.Split('.', StringSplitOptions.RemoveEmptyEntries))
        {
            node = node is JsonObject place
                ? place["properties"]?[name] ?? (place["additionalProperties"] as JsonObject)
                : null;
        }

        return path.StartsWith('.') && node is JsonObject && !ReferenceEquals(node, schema);
    }

    private static bool Search(StructuralSchema schema, HashSet<StructuralSchema> seen)
    {
        if (!seen.Add(schema))
            return false;
        return schema.Rules.Count > 0 || schema.Properties.Values.Any(child => Search(child, seen))
            || schema.AdditionalProperties is { } others && Search(others, seen) || schema.Items is { } items && Search(items, seen);
    }

    private void Walk(JsonNode? node, JsonNode? old, StructuralSchema schema, string path)
    {
        if (node is null || _causes.Count > SchemaValidator.MaxCauses || !HasRules(schema))
            return;
        foreach (CompiledRule rule in RulesOf(schema))
            Apply(rule, node, old, schema, path);
        switch (node)
        {
            case JsonObject map:
                foreach ((string name, JsonNode? value) in map)
                {
                    if (schema.Properties.GetValueOrDefault(name) is { } property)
                        Walk(value, SchemaValidator.Counterpart(old, name), property, FieldPaths.Child(path, name));
                    else if (schema.AdditionalProperties is { } others)
                        Walk(value, SchemaValidator.Counterpart(old, name), others, FieldPaths.Key(path, name));
                }

                break;
            case JsonArray list when schema.Items is { } items && HasRules(items):
                Dictionary<string, JsonNode?>? known = SchemaValidator.ItemsByKey(old, schema);
                for (int i = 0; i < list.Count; i++)
                {
                    JsonNode? counterpart = known is not null && list[i] is JsonObject item
                        ? known.GetValueOrDefault(ListChecks.KeyOf(item, schema.ListMapKeys, items))
                        : null;
                    Walk(list[i], counterpart, items, FieldPaths.Index(path, i));
                }

                break;
        }
    }

    private void Apply(CompiledRule rule, JsonNode node, JsonNode? old, StructuralSchema schema, string path)
    {
        if (rule.IsTransition && old is null && !rule.Source.OptionalOldSelf)
            return;
        object? self = CelValues.From(node, schema);
        Scope scope = new("self", self, null);
        if (rule.IsTransition)
        {
            object? before = old is null ? null : CelValues.From(old, schema);
            if (rule.Source.OptionalOldSelf)
                before = old is null ? CelOptional.None : new CelOptional(before, true);
            scope = new Scope("oldSelf", before, scope);
        }

        Evaluator evaluator = new(_budget);
        object? verdict = rule.Expression is null ? new CelError(rule.Problem ?? "") : evaluator.Evaluate(rule.Expression, scope);
        if (verdict is true)
            return;

        // What an update leaves as it was is not held against it, unless the rule is about change.
        if (!rule.IsTransition && old is not null && JsonNode.DeepEquals(node, old))
            return;
        string text = rule.Source.Rule.Trim();
        string field = rule.Source.FieldPath is { } below ? path + (path.Length == 0 ? below.TrimStart('.') : below) : path;
        if (field.Length == 0)
            field = FieldPaths.Root;
        if (verdict is not bool)
        {
            string type = node switch { JsonObject => "object", JsonArray => "array", _ => schema.Type.ToString().ToLowerInvariant() };
            string problem = verdict is CelError error ? error.Message : "rule did not yield a boolean";
            _causes.Add(new StatusCause(CauseReasons.Invalid,
                $"Invalid value: \"{type}\": {problem} evaluating rule: {rule.Source.Message ?? text}", path.Length == 0 ? FieldPaths.Root : path));
            return;
        }

        string detail = Message(rule, evaluator, scope) ?? rule.Source.Message ?? $"failed rule: {text}";
        string? value = node is JsonObject or JsonArray ? null : JsonScalars.Canonical(node);
        string reason = rule.Source.Reason ?? CauseReasons.Invalid;
        _causes.Add(new StatusCause(reason, reason switch
        {
            CauseReasons.Required => $"Required value: {detail}",
            CauseReasons.Forbidden => $"Forbidden: {detail}",
            CauseReasons.Duplicate => $"Duplicate value: {value ?? JsonScalars.Canonical(node)}",
            _ => value is null ? $"Invalid value: {detail}" : $"Invalid value: {value}: {detail}",
        }, field));
    }

    /// <summary>A message that is no good line of text is left out, and the other message told.</summary>
    private static string? Message(CompiledRule rule, Evaluator evaluator, Scope scope) =>
        rule.Message is not null && evaluator.Evaluate(rule.Message, scope) is string text
        && text.Trim() is { Length: > 0 and <= MaxMessage } line && line.AsSpan().IndexOfAny('\n', '\r') < 0
            ? line
            : null;

    private static CompiledRule[] RulesOf(StructuralSchema schema)
    {
        if (schema.Rules.Count == 0)
            return [];
        if (!Compiled.TryGetValue(schema, out CompiledRule[]? rules))
        {
            rules = [.. schema.Rules.Select(CompiledRule.From)];
            Compiled.AddOrUpdate(schema, rules);
        }

        return rules;
    }

    /// <summary>A rule that does not parse (which no admitted CRD has) fails whatever it is asked.</summary>
    private sealed record CompiledRule(ValidationRule Source, Expr? Expression, Expr? Message, bool IsTransition, string? Problem)
    {
        public static CompiledRule From(ValidationRule rule)
        {
            Expr? message = null;
            try
            {
                (Expr expression, IReadOnlySet<string> used) = Parser.Parse(rule.Rule, "self", "oldSelf");
                if (rule.MessageExpression is not null)
                    (message, _) = Parser.Parse(rule.MessageExpression, "self", "oldSelf");
                return new CompiledRule(rule, expression, message, used.Contains("oldSelf"), null);
            }
            catch (CelSyntaxException e)
            {
                return new CompiledRule(rule, null, null, false, e.Message);
            }
        }
    }
}
