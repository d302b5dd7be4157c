using System.Diagnostics.CodeAnalysis;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Variables that are in sight.</summary>
internal sealed record Scope(string Name, object? Value, Scope? Outer)
{
    public object? Find(string name)
    {
        for (Scope? scope = this; scope is not null; scope = scope.Outer)
        {
            if (scope.Name == name)
                return scope.Value;
        }

        return new CelError($"no such attribute(s): {name}");
    }
}

/// <summary>
/// Evaluates expressions. Types are looked at when a function meets them, as CEL does with dyn: a rule that the real server's type checker refuses
/// may compile here, and fails when it runs.
/// </summary>
[SuppressMessage("Performance", "CA1859", Justification = "A CEL value is any object, errors included.")]
internal sealed class Evaluator(CelBudget budget)
{
    /// <exception cref="CelBudgetException">It took too much.</exception>
    public object? Evaluate(Expr expression, Scope scope)
    {
        budget.Take(1);
        return expression switch
        {
            Expr.Literal literal => literal.Value,
            Expr.Ident ident => scope.Find(ident.Name),
            Expr.Select select => Select(select, scope),
            Expr.Call call => Call(call, scope),
            Expr.List list => List(list, scope),
            Expr.Map map => Map(map, scope),
            Expr.Fold fold => Fold(fold, scope),
            _ => throw new InvalidOperationException(expression.GetType().Name),
        };
    }

    private object? Select(Expr.Select select, Scope scope)
    {
        object? operand = Evaluate(select.Operand, scope);
        if (operand is CelError)
            return operand;
        bool chained = operand is CelOptional;
        if (operand is CelOptional optional)
        {
            if (!optional.Present)
                return select.Test ? false : CelOptional.None;
            operand = optional.Value;
        }

        if (operand is not CelMap map)
            return new CelError($"no such overload: {CelValues.TypeName(operand)}.{select.Field}");
        bool found = map.TryGet(select.Field, out object? value);
        if (select.Test)
            return found && value is not null;
        if (select.Optional || chained)
            return found ? new CelOptional(value, true) : CelOptional.None;
        return found ? value : new CelError($"no such key: {select.Field}");
    }

    private object? Call(Expr.Call call, Scope scope)
    {
        switch (call.Function)
        {
            case "&&":
                return Logic(call, scope, absorbing: false);
            case "||":
                return Logic(call, scope, absorbing: true);
            case "?:":
                return Evaluate(call.Arguments[0], scope) switch
                {
                    true => Evaluate(call.Arguments[1], scope),
                    false => Evaluate(call.Arguments[2], scope),
                    CelError error => error,
                    _ => new CelError("no such overload"),
                };
        }

        object? target = null;
        if (call.Target is not null)
        {
            target = Evaluate(call.Target, scope);
            if (target is CelError)
                return target;
        }

        object?[] arguments = new object?[call.Arguments.Count];
        for (int i = 0; i < arguments.Length; i++)
        {
            arguments[i] = Evaluate(call.Arguments[i], scope);
            if (arguments[i] is CelError)
                return arguments[i];
        }

        if (call.Target is not null)
            return Methods.Call(call.Function, target, arguments, budget);
        return arguments.Length switch
        {
            2 when Operators.TryBinary(call.Function, arguments[0], arguments[1], budget, out object? result) => result,
            1 when Operators.TryUnary(call.Function, arguments[0], out object? result) => result,
            _ => Functions.Call(call.Function, arguments, budget),
        };
    }

    /// <summary><c>false &amp;&amp; error</c> and <c>error &amp;&amp; false</c> are false: the error was not needed.</summary>
    private object? Logic(Expr.Call call, Scope scope, bool absorbing)
    {
        object? left = Evaluate(call.Arguments[0], scope);
        if (left is bool l && l == absorbing)
            return absorbing;
        object? right = Evaluate(call.Arguments[1], scope);
        if (right is bool r && r == absorbing)
            return absorbing;
        return (left, right) switch
        {
            (bool, bool) => !absorbing,
            (CelError, _) => left,
            (_, CelError) => right,
            _ => new CelError("no such overload"),
        };
    }

    private object? List(Expr.List list, Scope scope)
    {
        List<object?> items = [];
        foreach (Expr item in list.Items)
        {
            object? value = Evaluate(item, scope);
            if (value is CelError)
                return value;
            items.Add(value);
        }

        return new CelList(items);
    }

    private object? Map(Expr.Map map, Scope scope)
    {
        Dictionary<object, object?> entries = [];
        foreach ((Expr keyExpression, Expr valueExpression) in map.Entries)
        {
            object? key = Evaluate(keyExpression, scope);
            object? value = Evaluate(valueExpression, scope);
            if (key is CelError)
                return key;
            if (value is CelError)
                return value;
            if (key is not (string or long or ulong or bool or double))
                return new CelError($"unsupported key type: {CelValues.TypeName(key)}");
            if (!entries.TryAdd(CelLiteralMap.Key(key), value))
                return new CelError("Failed with repeated key");
        }

        return new CelLiteralMap(entries);
    }

    private object? Fold(Expr.Fold fold, Scope scope)
    {
        object? range = Evaluate(fold.Range, scope);
        IEnumerable<object?> items;
        switch (range)
        {
            case CelError:
                return range;
            case CelList list:
                items = list.Items;
                break;
            case CelMap map:
                items = map.Keys;
                break;
            default:
                return new CelError($"expression of type '{CelValues.TypeName(range)}' cannot be range of a comprehension (must be list, map, or dynamic)");
        }

        return fold.Kind switch
        {
            FoldKind.All => Quantify(fold, items, scope, decisive: false),
            FoldKind.Exists => Quantify(fold, items, scope, decisive: true),
            FoldKind.ExistsOne => One(fold, items, scope),
            _ => Collect(fold, items, scope),
        };
    }

    private object? Quantify(Expr.Fold fold, IEnumerable<object?> items, Scope scope, bool decisive)
    {
        object? error = null;
        foreach (object? item in items)
        {
            object? value = Evaluate(fold.Body, new Scope(fold.Variable, item, scope));
            if (value is bool verdict)
            {
                if (verdict == decisive)
                    return decisive;
            }
            else
            {
                error ??= value as CelError ?? new CelError("no such overload");
            }
        }

        return error ?? !decisive;
    }

    private object? One(Expr.Fold fold, IEnumerable<object?> items, Scope scope)
    {
        int count = 0;
        foreach (object? item in items)
        {
            switch (Evaluate(fold.Body, new Scope(fold.Variable, item, scope)))
            {
                case true:
                    count++;
                    break;
                case false:
                    break;
                case CelError error:
                    return error;
                default:
                    return new CelError("no such overload");
            }
        }

        return count == 1;
    }

    private object? Collect(Expr.Fold fold, IEnumerable<object?> items, Scope scope)
    {
        List<object?> result = [];
        foreach (object? item in items)
        {
            Scope inner = new(fold.Variable, item, scope);
            Expr? test = fold.Kind == FoldKind.Filter ? fold.Body : fold.Filter;
            if (test is not null)
            {
                object? verdict = Evaluate(test, inner);
                if (verdict is CelError)
                    return verdict;
                if (verdict is not bool)
                    return new CelError("no such overload");
                if (verdict is false)
                    continue;
            }

            object? value = fold.Kind == FoldKind.Filter ? item : Evaluate(fold.Body, inner);
            if (value is CelError)
                return value;
            budget.Take(1);
            result.Add(value);
        }

        return new CelList(result);
    }
}
