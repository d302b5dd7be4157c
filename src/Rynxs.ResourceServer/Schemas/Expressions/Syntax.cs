namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>A parsed CEL expression. Macros are expanded: all that is left are these seven forms.</summary>
internal abstract record Expr(int Position)
{
    /// <summary>Levels of this expression: evaluation uses the stack.</summary>
    public int Depth { get; set; } = 1;

    /// <summary>A constant: null, bool, long, ulong, double, string or byte[].</summary>
    public sealed record Literal(object? Value, int Position) : Expr(Position);

    public sealed record Ident(string Name, int Position) : Expr(Position);

    /// <summary><c>operand.field</c>, <c>operand.?field</c>, or <c>has(operand.field)</c> as a test.</summary>
    public sealed record Select(Expr Operand, string Field, bool Test, bool Optional, int Position) : Expr(Position);

    /// <summary>A function, method or operator (whose name is its text, such as <c>&amp;&amp;</c> or <c>?:</c>).</summary>
    public sealed record Call(string Function, Expr? Target, IReadOnlyList<Expr> Arguments, int Position) : Expr(Position);

    public sealed record List(IReadOnlyList<Expr> Items, int Position) : Expr(Position);

    public sealed record Map(IReadOnlyList<(Expr Key, Expr Value)> Entries, int Position) : Expr(Position);

    /// <summary>A macro over a list's items or a map's keys.</summary>
    public sealed record Fold(FoldKind Kind, Expr Range, string Variable, Expr? Filter, Expr Body, int Position) : Expr(Position);
}

internal enum FoldKind
{
    All,
    Exists,
    ExistsOne,
    Filter,
    Map,
}

/// <summary>The text is no CEL, or names something that there is not.</summary>
internal sealed class CelSyntaxException(int position, string problem) : Exception(problem)
{
    /// <summary>Characters before the place.</summary>
    public int Position => position;
}

/// <summary>An evaluation took more than it was given.</summary>
internal sealed class CelBudgetException() : Exception("cost budget exceeded");

/// <summary>Work that may still be done: a hostile rule stops here and not the server. About one unit a step, one for ten characters looked at.</summary>
internal sealed class CelBudget(long units)
{
    /// <summary>Largest list, map or text that an expression may make.</summary>
    public const int MaxSize = 1_000_000;

    private long _left = units;

    public void Take(long cost)
    {
        _left -= cost;
        if (_left < 0)
            throw new CelBudgetException();
    }
}
