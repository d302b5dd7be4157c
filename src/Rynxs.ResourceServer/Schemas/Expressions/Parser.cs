using System.Globalization;

namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>From text to <see cref="Expr"/>, macros expanded. Bounds: 10,000 characters, 64 levels, names that are not known are refused.</summary>
internal sealed class Parser
{
    private const int MaxLength = 10_000;
    private const int MaxDepth = 64;
    private const int MaxNodes = 5_000;
    private const int MaxTreeDepth = 250;

    private readonly List<Token> _tokens;
    private readonly List<string> _variables;
    private int _at;
    private int _depth;
    private int _nodes;

    private Parser(List<Token> tokens, IEnumerable<string> variables)
    {
        _tokens = tokens;
        _variables = [.. variables];
    }

    /// <summary>Names of variables that the expression used.</summary>
    public HashSet<string> Used { get; } = [];

    /// <exception cref="CelSyntaxException">What is wrong, and where.</exception>
    public static (Expr Expression, IReadOnlySet<string> Variables) Parse(string text, params string[] variables)
    {
        if (text.Length > MaxLength)
            throw new CelSyntaxException(0, $"expression is {text.Length} characters, at most {MaxLength} are allowed");
        Parser parser = new(Lexer.Read(text), variables);
        Expr result = parser.Ternary();
        if (parser.Peek.Kind != TokenKind.End)
            throw parser.Unexpected();
        return (result, parser.Used);
    }

    private Token Peek => _tokens[_at];

    private bool Is(string symbol) => Peek.Kind == TokenKind.Symbol && Peek.Text == symbol;

    private bool Accept(string symbol)
    {
        if (!Is(symbol))
            return false;
        _at++;
        return true;
    }

    private void Expect(string symbol)
    {
        if (!Accept(symbol))
            throw Unexpected(symbol);
    }

    private CelSyntaxException Unexpected(string? due = null) =>
        new(Peek.Position, $"Syntax error: mismatched input '{(Peek.Kind == TokenKind.End ? "<EOF>" : Peek.Text)}'{(due is null ? "" : $" expecting '{due}'")}");

    private T Node<T>(T node)
        where T : Expr
    {
        node.Depth = 1 + Children(node).Select(child => child.Depth).DefaultIfEmpty().Max();
        if (node.Depth > MaxTreeDepth)
            throw new CelSyntaxException(node.Position, $"expression has more than {MaxTreeDepth} levels");
        if (++_nodes > MaxNodes)
            throw new CelSyntaxException(node.Position, $"expression has more than {MaxNodes} parts");
        return node;
    }

    private static IEnumerable<Expr> Children(Expr node) => node switch
    {
        Expr.Select select => [select.Operand],
        Expr.Call { Target: { } target } call => call.Arguments.Prepend(target),
        Expr.Call call => call.Arguments,
        Expr.List list => list.Items,
        Expr.Map map => map.Entries.SelectMany(entry => new[] { entry.Key, entry.Value }),
        Expr.Fold { Filter: { } filter } fold => [fold.Range, filter, fold.Body],
        Expr.Fold fold => [fold.Range, fold.Body],
        _ => [],
    };

    private Expr Ternary()
    {
        if (++_depth > MaxDepth)
            throw new CelSyntaxException(Peek.Position, $"expression is nested more than {MaxDepth} levels deep");
        Expr condition = Or();
        if (Is("?"))
        {
            int position = Peek.Position;
            _at++;
            Expr yes = Or();
            Expr no;
            Expect(":");
            no = Ternary();
            condition = Node(new Expr.Call("?:", null, [condition, yes, no], position));
        }

        _depth--;
        return condition;
    }

    private Expr Or() => Left(And, "||");

    private Expr And() => Left(Relation, "&&");

    private Expr Relation()
    {
        Expr left = Left(Product, "+", "-");
        while (true)
        {
            Token token = Peek;
            bool isIn = token is { Kind: TokenKind.Ident, Text: "in" };
            if (!isIn && !(token.Kind == TokenKind.Symbol && token.Text is "==" or "!=" or "<" or "<=" or ">" or ">="))
                return left;
            _at++;
            left = Node(new Expr.Call(token.Text, null, [left, Left(Product, "+", "-")], token.Position));
        }
    }

    private Expr Product() => Left(Unary, "*", "/", "%");

    private Expr Left(Func<Expr> next, params string[] operators)
    {
        Expr left = next();
        while (Peek.Kind == TokenKind.Symbol && operators.Contains(Peek.Text))
        {
            Token token = Peek;
            _at++;
            left = Node(new Expr.Call(token.Text, null, [left, next()], token.Position));
        }

        return left;
    }

    private Expr Unary()
    {
        Token token = Peek;
        if (token.Kind != TokenKind.Symbol || token.Text is not ("!" or "-"))
            return Member();
        int count = 0;
        while (Accept(token.Text))
            count++;
        if (token.Text == "-" && Peek.Kind is TokenKind.Int or TokenKind.Double && count == 1)
            return Suffixes(Constant(negative: true));
        Expr operand = Member();
        return count % 2 == 0 && token.Text == "-" ? operand : Repeat(operand, token.Text == "!" ? "!" : "neg", token.Text == "!" ? (count - 1) % 2 + 1 : 1, token.Position);
    }

    /// <summary>Two negations are not nothing: the operand must still be a boolean.</summary>
    private Expr Repeat(Expr operand, string function, int times, int position)
    {
        for (int i = 0; i < times; i++)
            operand = Node(new Expr.Call(function, null, [operand], position));
        return operand;
    }

    private Expr Member() => Suffixes(Primary());

    private Expr Suffixes(Expr operand)
    {
        while (true)
        {
            int position = Peek.Position;
            if (Accept(".?"))
            {
                operand = Node(new Expr.Select(operand, Unescape(Name()), Test: false, Optional: true, position));
            }
            else if (Accept("."))
            {
                string name = Name();
                operand = Accept("(") ? Method(operand, name, position) : Node(new Expr.Select(operand, Unescape(name), Test: false, Optional: false, position));
            }
            else if (Accept("[?"))
            {
                Expr index = Ternary();
                Expect("]");
                operand = Node(new Expr.Call("[?]", null, [operand, index], position));
            }
            else if (Accept("["))
            {
                Expr index = Ternary();
                Expect("]");
                operand = Node(new Expr.Call("[]", null, [operand, index], position));
            }
            else
            {
                return operand;
            }
        }
    }

    private string Name()
    {
        if (Peek.Kind != TokenKind.Ident)
            throw Unexpected("IDENTIFIER");
        return _tokens[_at++].Text;
    }

    private Expr Primary()
    {
        Token token = Peek;
        switch (token.Kind)
        {
            case TokenKind.Int or TokenKind.Uint or TokenKind.Double or TokenKind.String or TokenKind.Bytes:
                return Constant(negative: false);
            case TokenKind.Ident:
                _at++;
                return Identifier(token);
            case TokenKind.Symbol when token.Text == "(":
                _at++;
                Expr inner = Ternary();
                Expect(")");
                return inner;
            case TokenKind.Symbol when token.Text == "[":
                _at++;
                return Node(new Expr.List(Arguments("]"), token.Position));
            case TokenKind.Symbol when token.Text == "{":
                _at++;
                return Entries(token.Position);
            case TokenKind.Symbol when token.Text == ".":
                // A leading dot asks for the outermost scope; there is but one.
                _at++;
                return Primary();
            default:
                throw Unexpected();
        }
    }

    private Expr Identifier(Token token)
    {
        switch (token.Text)
        {
            case "true" or "false":
                return Node(new Expr.Literal(token.Text == "true", token.Position));
            case "null":
                return Node(new Expr.Literal(null, token.Position));
            case "in":
                throw new CelSyntaxException(token.Position, "Syntax error: mismatched input 'in'");
        }

        if (Accept("("))
            return Function(token.Text, token.Position);
        if (_variables.Contains(token.Text))
        {
            Used.Add(token.Text);
            return Node(new Expr.Ident(token.Text, token.Position));
        }

        if (Library.IsNamespace(token.Text) && Is("."))
        {
            _at++;
            string name = $"{token.Text}.{Name()}";
            if (Accept("("))
                return Function(name, token.Position);
            throw new CelSyntaxException(token.Position, $"undeclared reference to '{name}' (in container '')");
        }

        if (Library.IsType(token.Text))
            return Node(new Expr.Literal(new CelType(token.Text), token.Position));
        throw new CelSyntaxException(token.Position, $"undeclared reference to '{token.Text}' (in container '')");
    }

    private Expr Function(string name, int position)
    {
        if (name == "has")
        {
            Expr operand = Ternary();
            Expect(")");
            return operand is Expr.Select { Test: false, Optional: false } select
                ? Node(select with { Test = true })
                : throw new CelSyntaxException(position, "invalid argument to has() macro");
        }

        List<Expr> arguments = Arguments(")");
        if (!Library.HasFunction(name, arguments.Count))
            throw new CelSyntaxException(position, $"undeclared reference to '{name}' (in container '')");
        return Node(new Expr.Call(name, null, arguments, position));
    }

    private Expr Method(Expr target, string name, int position)
    {
        FoldKind? fold = name switch
        {
            "all" => FoldKind.All,
            "exists" => FoldKind.Exists,
            "exists_one" or "existsOne" => FoldKind.ExistsOne,
            "filter" => FoldKind.Filter,
            "map" => FoldKind.Map,
            _ => null,
        };
        if (fold is { } kind)
            return Fold(kind, target, position);
        List<Expr> arguments = Arguments(")");
        if (!Library.HasMethod(name, arguments.Count))
            throw new CelSyntaxException(position, $"undeclared reference to '{name}' (in container '')");
        if (name == "matches" && arguments is [Expr.Literal { Value: string pattern }] && !Re2Pattern.TryGet(pattern, out _, out _))
            throw new CelSyntaxException(arguments[0].Position, "invalid matches argument");
        return Node(new Expr.Call(name, target, arguments, position));
    }

    private Expr.Fold Fold(FoldKind kind, Expr range, int position)
    {
        Token variable = Peek;
        string name = Name();
        if (name is "true" or "false" or "null" or "in" or "self" or "oldSelf")
            throw new CelSyntaxException(variable.Position, "argument is not an identifier");
        Expect(",");
        _variables.Add(name);
        Expr first = Ternary();
        Expr? second = Accept(",") ? Ternary() : null;
        if (second is not null && kind != FoldKind.Map)
            throw new CelSyntaxException(position, "macro takes two arguments");
        Expect(")");
        _variables.RemoveAt(_variables.Count - 1);
        return Node(new Expr.Fold(kind, range, name, second is null ? null : first, second ?? first, position));
    }

    private List<Expr> Arguments(string close)
    {
        List<Expr> arguments = [];
        while (!Accept(close))
        {
            if (arguments.Count > 0)
            {
                Expect(",");
                if (close == "]" && Accept(close))
                    break;
            }

            arguments.Add(Ternary());
        }

        return arguments;
    }

    private Expr.Map Entries(int position)
    {
        List<(Expr, Expr)> entries = [];
        while (!Accept("}"))
        {
            if (entries.Count > 0)
            {
                Expect(",");
                if (Accept("}"))
                    break;
            }

            Expr key = Ternary();
            Expect(":");
            entries.Add((key, Ternary()));
        }

        return Node(new Expr.Map(entries, position));
    }

    private Expr.Literal Constant(bool negative)
    {
        Token token = _tokens[_at++];
        object? value = token.Kind switch
        {
            TokenKind.Int => Lexer.Long(token.Text, negative),
            TokenKind.Uint => token.Text.StartsWith("0x", StringComparison.OrdinalIgnoreCase)
                ? ulong.TryParse(token.Text.AsSpan(2), NumberStyles.AllowHexSpecifier, CultureInfo.InvariantCulture, out ulong hex) ? hex : null
                : ulong.TryParse(token.Text, NumberStyles.None, CultureInfo.InvariantCulture, out ulong number) ? number : null,
            TokenKind.Double => double.Parse(token.Text, NumberStyles.Float, CultureInfo.InvariantCulture) * (negative ? -1 : 1),
            TokenKind.Bytes => token.Data,
            _ => token.Text,
        };
        return value is null
            ? throw new CelSyntaxException(token.Position, $"Syntax error: invalid number '{token.Text}'")
            : Node(new Expr.Literal(value, token.Position));
    }

    /// <summary>Fields whose names are no identifiers are written escaped: <c>a__dash__b</c>, <c>__namespace__</c>.</summary>
    public static string Unescape(string name)
    {
        if (!name.Contains("__", StringComparison.Ordinal))
            return name;
        if (name.Length > 4 && name.StartsWith("__", StringComparison.Ordinal) && name.EndsWith("__", StringComparison.Ordinal) && Keywords.Contains(name[2..^2]))
            return name[2..^2];
        return name.Replace("__underscores__", "\0", StringComparison.Ordinal).Replace("__dot__", ".", StringComparison.Ordinal)
            .Replace("__dash__", "-", StringComparison.Ordinal).Replace("__slash__", "/", StringComparison.Ordinal).Replace("\0", "__", StringComparison.Ordinal);
    }

    private static readonly HashSet<string> Keywords =
    [
        "true", "false", "null", "in", "as", "break", "const", "continue", "else", "for", "function", "if", "import", "let", "loop", "package",
        "namespace", "return", "var", "void", "while",
    ];
}
