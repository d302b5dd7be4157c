using System.Globalization;
using System.Text;

namespace Rynxs.ResourceServer.Schemas.Expressions;

internal enum TokenKind
{
    End,
    Ident,
    Int,
    Uint,
    Double,
    String,
    Bytes,

    /// <summary>An operator or a bracket.</summary>
    Symbol,
}

/// <param name="Kind">What it is.</param>
/// <param name="Text">The text, or the value of a string with its escapes resolved.</param>
/// <param name="Position">Characters before it.</param>
/// <param name="Data">Value of a bytes literal.</param>
internal readonly record struct Token(TokenKind Kind, string Text, int Position, byte[]? Data = null);

/// <summary>Splits CEL into tokens.</summary>
internal static class Lexer
{
    private static readonly string[] Two = ["&&", "||", "==", "!=", "<=", ">=", ".?", "[?"];

    /// <exception cref="CelSyntaxException">A character or literal that CEL does not have.</exception>
    public static List<Token> Read(string text)
    {
        List<Token> tokens = [];
        int i = 0;
        while (true)
        {
            i = SkipBlank(text, i);
            if (i >= text.Length)
            {
                tokens.Add(new Token(TokenKind.End, "", text.Length));
                return tokens;
            }

            (Token token, i) = Next(text, i);
            tokens.Add(token);
        }
    }

    private static int SkipBlank(string text, int i)
    {
        while (i < text.Length)
        {
            if (text[i] is ' ' or '\t' or '\n' or '\r' or '\f')
                i++;
            else if (text[i] == '/' && i + 1 < text.Length && text[i + 1] == '/')
                i = text.IndexOf('\n', i) is var end and >= 0 ? end : text.Length;
            else
                break;
        }

        return i;
    }

    private static (Token, int) Next(string text, int i)
    {
        char c = text[i];
        if (IsStringStart(text, i, out int prefix))
            return Quoted(text, i, prefix);
        if (char.IsAsciiLetter(c) || c == '_')
        {
            int end = i;
            while (end < text.Length && (char.IsAsciiLetterOrDigit(text[end]) || text[end] == '_'))
                end++;
            return (new Token(TokenKind.Ident, text[i..end], i), end);
        }

        if (char.IsAsciiDigit(c) || c == '.' && i + 1 < text.Length && char.IsAsciiDigit(text[i + 1]))
            return Number(text, i);
        if (c == '`')
        {
            int end = text.IndexOf('`', i + 1);
            if (end < 0)
                throw new CelSyntaxException(i, "Syntax error: unterminated quoted identifier");
            return (new Token(TokenKind.Ident, text[(i + 1)..end], i), end + 1);
        }

        foreach (string symbol in Two)
        {
            if (string.CompareOrdinal(text, i, symbol, 0, 2) == 0)
                return (new Token(TokenKind.Symbol, symbol, i), i + 2);
        }

        if ("+-*/%!<>?:.,()[]{}".Contains(c))
            return (new Token(TokenKind.Symbol, c.ToString(), i), i + 1);
        throw new CelSyntaxException(i, $"Syntax error: token recognition error at: '{(char.IsControl(c) ? '?' : c)}'");
    }

    private static (Token, int) Number(string text, int start)
    {
        int i = start;
        if (text[i] == '0' && i + 1 < text.Length && text[i + 1] is 'x' or 'X')
        {
            i += 2;
            while (i < text.Length && char.IsAsciiHexDigit(text[i]))
                i++;
            return Integer(text, start, i);
        }

        while (i < text.Length && char.IsAsciiDigit(text[i]))
            i++;
        bool isDouble = false;
        if (i + 1 < text.Length && text[i] == '.' && char.IsAsciiDigit(text[i + 1]))
        {
            isDouble = true;
            i++;
            while (i < text.Length && char.IsAsciiDigit(text[i]))
                i++;
        }

        if (i < text.Length && text[i] is 'e' or 'E')
        {
            int exponent = i + 1;
            if (exponent < text.Length && text[exponent] is '+' or '-')
                exponent++;
            if (exponent < text.Length && char.IsAsciiDigit(text[exponent]))
            {
                isDouble = true;
                i = exponent;
                while (i < text.Length && char.IsAsciiDigit(text[i]))
                    i++;
            }
        }

        return isDouble ? (new Token(TokenKind.Double, text[start..i], start), i) : Integer(text, start, i);
    }

    private static (Token, int) Integer(string text, int start, int end) =>
        end < text.Length && text[end] is 'u' or 'U'
            ? (new Token(TokenKind.Uint, text[start..end], start), end + 1)
            : (new Token(TokenKind.Int, text[start..end], start), end);

    private static bool IsStringStart(string text, int i, out int prefix)
    {
        prefix = 0;
        while (i + prefix < text.Length && prefix < 2 && text[i + prefix] is 'r' or 'R' or 'b' or 'B')
            prefix++;
        return i + prefix < text.Length && text[i + prefix] is '"' or '\'';
    }

    private static (Token, int) Quoted(string text, int start, int prefix)
    {
        bool raw = text.AsSpan(start, prefix).IndexOfAny('r', 'R') >= 0;
        bool bytes = text.AsSpan(start, prefix).IndexOfAny('b', 'B') >= 0;
        int i = start + prefix;
        char quote = text[i];
        bool triple = i + 2 < text.Length && text[i + 1] == quote && text[i + 2] == quote;
        i += triple ? 3 : 1;
        StringBuilder value = new();
        List<byte> data = [];
        while (true)
        {
            if (i >= text.Length || !triple && text[i] is '\n' or '\r')
                throw new CelSyntaxException(start, "Syntax error: unterminated string");
            if (text[i] == quote && (!triple || i + 2 < text.Length && text[i + 1] == quote && text[i + 2] == quote))
            {
                i += triple ? 3 : 1;
                break;
            }

            if (text[i] == '\\' && !raw)
            {
                i = Escape(text, i, bytes, value, data);
                continue;
            }

            if (bytes)
            {
                int length = char.IsHighSurrogate(text[i]) && i + 1 < text.Length ? 2 : 1;
                data.AddRange(Encoding.UTF8.GetBytes(text.Substring(i, length)));
                i += length;
            }
            else
            {
                value.Append(text[i++]);
            }
        }

        return (bytes ? new Token(TokenKind.Bytes, "", start, [.. data]) : new Token(TokenKind.String, value.ToString(), start), i);
    }

    private static int Escape(string text, int i, bool bytes, StringBuilder value, List<byte> data)
    {
        if (i + 1 >= text.Length)
            throw new CelSyntaxException(i, "Syntax error: unterminated string");
        char c = text[i + 1];
        int simple = "abfnrtv\\?\"'`".IndexOf(c, StringComparison.Ordinal);
        if (simple >= 0)
        {
            Put("\a\b\f\n\r\t\v\\?\"'`"[simple]);
            return i + 2;
        }

        (int digits, int radix, int from) = c switch
        {
            'x' or 'X' => (2, 16, i + 2),
            'u' when !bytes => (4, 16, i + 2),
            'U' when !bytes => (8, 16, i + 2),
            >= '0' and <= '3' => (3, 8, i + 1),
            _ => throw new CelSyntaxException(i, $"Syntax error: invalid escape '\\{c}'"),
        };
        if (from + digits > text.Length)
            throw new CelSyntaxException(i, "Syntax error: invalid escape");
        string number = text.Substring(from, digits);
        int code = 0;
        foreach (char digit in number)
        {
            int worth = char.IsAsciiHexDigit(digit) ? Convert.ToInt32(digit.ToString(), 16) : radix;
            if (worth >= radix)
                throw new CelSyntaxException(i, "Syntax error: invalid escape");
            code = checked(code * radix + worth) is var next && next <= 0x10FFFF ? next : throw new CelSyntaxException(i, "Syntax error: invalid escape");
        }

        if (bytes)
            data.Add((byte)code);
        else if (Rune.IsValid(code))
            value.Append(new Rune(code).ToString());
        else
            throw new CelSyntaxException(i, "Syntax error: invalid escape");
        return from + digits;

        void Put(char simpleChar)
        {
            if (bytes)
                data.Add((byte)simpleChar);
            else
                value.Append(simpleChar);
        }
    }

    /// <summary>Value of an integer token, or null when it does not fit.</summary>
    public static long? Long(string text, bool negative)
    {
        bool hex = text.StartsWith("0x", StringComparison.OrdinalIgnoreCase);
        if (!ulong.TryParse(hex ? text[2..] : text, hex ? NumberStyles.AllowHexSpecifier : NumberStyles.None, CultureInfo.InvariantCulture, out ulong magnitude))
            return null;
        if (negative)
            return magnitude <= 1UL << 63 ? unchecked(-(long)magnitude) : null;
        return magnitude <= long.MaxValue ? (long)magnitude : null;
    }
}
