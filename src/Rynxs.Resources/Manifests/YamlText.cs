using System.Text;
using System.Text.RegularExpressions;
using Rynxs.Resources.Client;
using Rynxs.Resources.Serialization;
using YamlDotNet.Core;
using YamlDotNet.Core.Events;

namespace Rynxs.Resources.Manifests;

/// <summary>
/// YAML into nodes, from the parser's events, so that every bound holds before anything is built. Anchors, aliases, tags, merge keys and
/// duplicate keys are refused. Plain scalars resolve as Kubernetes resolves them (YAML 1.1: <c>yes</c> and <c>y</c> are booleans), but forms of
/// numbers that versions of YAML read differently (<c>0755</c>, <c>0x1F</c>, <c>1_000</c>) are refused where a number is due instead of guessed.
/// </summary>
internal sealed partial class YamlText(string text, ManifestLimits limits)
{
    private readonly Parser _parser = new(new StringReader(text));
    private int _nodes;

    /// <summary>Document that is being read, from 0.</summary>
    public int Document { get; private set; }

    /// <summary>The documents in order; empty ones are null nodes.</summary>
    /// <exception cref="TextSyntaxException">Not YAML, over a bound, or one of the refused features.</exception>
    public IEnumerable<TextNode> Documents()
    {
        Expect<StreamStart>();
        while (!At<StreamEnd>())
        {
            DocumentStart start = Expect<DocumentStart>();
            if (start.Tags is { Count: > 0 } && start.Tags.Any(tag => tag.Handle is not ("!" or "!!")))
                throw Fail(start, "YAML tag directives are not supported");
            if (Document >= limits.MaxDocuments)
                throw Fail(start, $"more than {limits.MaxDocuments} documents");

            _nodes = 0;
            TextNode root = Node(start.Start.Index, depth: 0);
            DocumentEnd end = Expect<DocumentEnd>();
            int from = (int)Math.Min(start.Start.Index, text.Length);
            int to = (int)Math.Min(end.Start.Index, text.Length);
            if (to > from && Encoding.UTF8.GetByteCount(text.AsSpan(from, to - from)) > limits.MaxDocumentBytes)
                throw Fail(start, $"a document is larger than {limits.MaxDocumentBytes} bytes");
            yield return root;
            Document++;
        }
    }

    private TextNode Node(long documentStart, int depth)
    {
        ParsingEvent next = Next();
        if (++_nodes > limits.MaxNodes)
            throw Fail(next, $"more than {limits.MaxNodes} values in one document");
        if (depth > limits.MaxDepth)
            throw Fail(next, $"nested deeper than {limits.MaxDepth} levels");
        if (next.End.Index - documentStart > limits.MaxDocumentBytes)
            throw Fail(next, $"a document is larger than {limits.MaxDocumentBytes} bytes");

        if (next is AnchorAlias)
            throw Fail(next, "YAML aliases are not supported: write the value out");
        if (next is NodeEvent { Anchor.IsEmpty: false })
            throw Fail(next, "YAML anchors are not supported: write the value out");
        if (next is NodeEvent { Tag.IsEmpty: false })
            throw Fail(next, "YAML tags are not supported");

        switch (next)
        {
            case Scalar scalar:
                return Resolve(scalar);

            case SequenceStart:
                TextNode sequence = new(TextNodeKind.Sequence, "", Line(next), Column(next));
                while (!At<SequenceEnd>())
                    sequence.Items.Add(Node(documentStart, depth + 1));
                Expect<SequenceEnd>();
                return sequence;

            case MappingStart:
                return Members(documentStart, depth, new TextNode(TextNodeKind.Mapping, "", Line(next), Column(next)));

            default:
                throw Fail(next, "not valid YAML");
        }
    }

    private TextNode Members(long documentStart, int depth, TextNode mapping)
    {
        HashSet<string> seen = [];
        while (!At<MappingEnd>())
        {
            ParsingEvent at = _parser.Current ?? throw new TextSyntaxException("", FieldErrorCodes.Invalid, "not valid YAML", 0, 0);
            if (at is Scalar { Style: ScalarStyle.Plain, Value: "<<" })
                throw Fail(at, "YAML merge keys are not supported: write the values out");

            TextNode key = Node(documentStart, depth + 1);
            if (key.Kind != TextNodeKind.String)
            {
                throw Fail(at, key.Kind is TextNodeKind.Mapping or TextNodeKind.Sequence
                    ? "a key must be a string"
                    : $"the key {BadValue.Quote(((Scalar)at).Value)} is not a string in YAML: put it in quotation marks");
            }

            if (!seen.Add(key.Text))
                throw new TextSyntaxException("", FieldErrorCodes.Duplicate, $"duplicate field {BadValue.Quote(key.Text)}", Line(at), Column(at));

            mapping.Members.Add(new(key.Text, Node(documentStart, depth + 1)));
        }

        Expect<MappingEnd>();
        return mapping;
    }

    private static TextNode Resolve(Scalar scalar)
    {
        string text = scalar.Value;
        TextNode Make(TextNodeKind kind, string value, string? hint = null) =>
            new(kind, value, Line(scalar), Column(scalar)) { Hint = hint };

        if (scalar.Style != ScalarStyle.Plain)
            return Make(TextNodeKind.String, text);

        switch (text)
        {
            case "" or "~" or "null" or "Null" or "NULL":
                return Make(TextNodeKind.Null, "null");
            case "true" or "True" or "TRUE":
                return Make(TextNodeKind.Boolean, "true", "put it in quotation marks to mean text");
            case "false" or "False" or "FALSE":
                return Make(TextNodeKind.Boolean, "false", "put it in quotation marks to mean text");
            case "y" or "Y" or "yes" or "Yes" or "YES" or "on" or "On" or "ON":
                return Make(TextNodeKind.Boolean, "true", $"YAML reads {text} as a boolean; put it in quotation marks to mean text");
            case "n" or "N" or "no" or "No" or "NO" or "off" or "Off" or "OFF":
                return Make(TextNodeKind.Boolean, "false", $"YAML reads {text} as a boolean; put it in quotation marks to mean text");
        }

        if (NotFinite().IsMatch(text))
            throw new TextSyntaxException("", FieldErrorCodes.Invalid, $"{text} is not a finite number; put it in quotation marks to mean text", Line(scalar), Column(scalar));
        if (Ambiguous().IsMatch(text))
        {
            throw new TextSyntaxException("", FieldErrorCodes.Invalid,
                $"{BadValue.Quote(text)}: versions of YAML read this number differently; write it in decimal, or in quotation marks to mean text", Line(scalar), Column(scalar));
        }

        return Decimal().IsMatch(text)
            ? Make(TextNodeKind.Number, AsJson(text), "YAML reads it as a number; put it in quotation marks to mean text")
            : Make(TextNodeKind.String, text);
    }

    /// <summary>YAML allows <c>+1</c>, <c>.5</c> and <c>1.</c>, JSON does not.</summary>
    private static string AsJson(string number)
    {
        StringBuilder json = new(number);
        if (json[0] == '+')
            json.Remove(0, 1);
        int first = json[0] == '-' ? 1 : 0;
        if (json[first] == '.')
            json.Insert(first, '0');
        int dot = json.ToString().IndexOf('.', StringComparison.Ordinal);
        if (dot >= 0 && (dot + 1 == json.Length || !char.IsAsciiDigit(json[dot + 1])))
            json.Insert(dot + 1, '0');
        return json.ToString();
    }

    private bool At<T>()
        where T : ParsingEvent
    {
        if (_parser.Current is null)
            Advance();
        return _parser.Current is T;
    }

    private T Expect<T>()
        where T : ParsingEvent
    {
        ParsingEvent next = Next();
        return next as T ?? throw Fail(next, "not valid YAML");
    }

    private ParsingEvent Next()
    {
        if (_parser.Current is null)
            Advance();
        ParsingEvent current = _parser.Current ?? throw new TextSyntaxException("", FieldErrorCodes.Invalid, "the YAML ends too early", 0, 0);
        Advance();
        return current;
    }

    private void Advance()
    {
        try
        {
            _parser.MoveNext();
        }
        catch (YamlException e)
        {
            throw new TextSyntaxException("", FieldErrorCodes.Invalid, $"not valid YAML: {BadValue.Escape(e.Message, 160)}", (int)e.Start.Line, (int)e.Start.Column);
        }
        catch (Exception e) when (e is InvalidOperationException or ArgumentException or IndexOutOfRangeException or FormatException or OverflowException)
        {
            // The parser's own assertions give way on some broken texts ("...\n&a &a " was the first that the fuzz test found).
            throw new TextSyntaxException("", FieldErrorCodes.Invalid, "not valid YAML", (int)(_parser.Current?.End.Line ?? 0), (int)(_parser.Current?.End.Column ?? 0));
        }
    }

    private static int Line(ParsingEvent at) => (int)at.Start.Line;

    private static int Column(ParsingEvent at) => (int)at.Start.Column;

    private static TextSyntaxException Fail(ParsingEvent at, string message) =>
        new("", FieldErrorCodes.Invalid, message, Line(at), Column(at));

    [GeneratedRegex(@"\A[-+]?(\.(inf|Inf|INF))\z|\A\.(nan|NaN|NAN)\z")]
    private static partial Regex NotFinite();

    [GeneratedRegex(@"\A[-+]?(0[0-9_]+|0[xX][0-9a-fA-F_]+|0[oO][0-7_]+|0[bB][01_]+|[0-9][0-9_]*_[0-9_]*(\.[0-9_]*)?)\z")]
    private static partial Regex Ambiguous();

    [GeneratedRegex(@"\A[-+]?(\.[0-9]+|(0|[1-9][0-9]*)(\.[0-9]*)?)([eE][-+]?[0-9]+)?\z")]
    private static partial Regex Decimal();
}
