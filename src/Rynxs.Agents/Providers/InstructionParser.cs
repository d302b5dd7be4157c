using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;

namespace Rynxs.Agents.Providers;

/// <summary>
/// The instruction language of the provider <c>scripted</c> (docs/agents.md, "The scripted provider"): one instruction per line, or several
/// on a line joined by <c>then</c>. Nothing is guessed: a line that is none of the forms is an error that lists them.
/// </summary>
internal static class InstructionParser
{
    /// <summary>Most instructions of one message: 200.</summary>
    public const int MaxInstructions = 200;

    /// <summary>Every form, for errors and documentation.</summary>
    public static IReadOnlyList<string> Forms { get; } =
    [
        "run COMMAND in sandbox",
        "python: CODE   (or 'python:' followed by a block between ``` lines)",
        "read PATH",
        "write PATH: CONTENT   (or 'write PATH:' followed by a block between ``` lines)",
        "list [PATH]",
        "search PATTERN [in PATH]",
        "call TOOL {json}",
        "say TEXT",
        "complete {json}",
        "INSTRUCTION then INSTRUCTION   (or one instruction per line)",
    ];

    /// <summary>Parses a message.</summary>
    /// <exception cref="ModelProviderException"><c>invalid_instruction</c>: names the line and lists the forms.</exception>
    public static IReadOnlyList<Instruction> Parse(string text)
    {
        var instructions = new List<Instruction>();
        string[] lines = text.ReplaceLineEndings("\n").Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            string line = lines[i].Trim();
            if (line.Length == 0)
            {
                continue;
            }

            int at = i + 1;
            if (TryBlockHead(line, out string head) && i + 1 < lines.Length && lines[i + 1].TrimStart().StartsWith("```", StringComparison.Ordinal))
            {
                instructions.Add(WithBlock(head, ReadBlock(lines, ref i, at), at));
            }
            else
            {
                instructions.AddRange(SplitSteps(line).Select(step => ParseOne(step, at)));
            }

            if (instructions.Count > MaxInstructions)
            {
                throw new ModelProviderException("invalid_instruction", $"A message has at most {MaxInstructions} instructions.");
            }
        }

        return instructions.Count > 0 ? instructions : throw Unknown("", 1);
    }

    // 'python:' and 'write PATH:' with nothing after the colon.
    private static bool TryBlockHead(string line, out string head)
    {
        head = line;
        return line == "python:" || (line.StartsWith("write ", StringComparison.Ordinal) && line.EndsWith(':') && line.Length > "write :".Length);
    }

    private static string ReadBlock(string[] lines, ref int i, int at)
    {
        var block = new StringBuilder();
        for (i += 2; i < lines.Length; i++)
        {
            if (lines[i].Trim() == "```")
            {
                return block.ToString();
            }

            block.Append(lines[i]).Append('\n');
        }

        throw new ModelProviderException("invalid_instruction", $"Line {at}: the block is not closed by a line with ```.");
    }

    private static Instruction.Call WithBlock(string head, string block, int at) => head == "python:"
        ? Call("sandbox.python", ("code", block))
        : Call("fs.write", ("path", Require(head["write ".Length..^1].Trim(), head, at)), ("content", block));

    /// <summary>
    /// Splits at the word 'then' where an instruction's first word follows it, outside quotes and braces: <c>run echo then in sandbox</c> stays one step.
    /// </summary>
    private static IEnumerable<string> SplitSteps(string line)
    {
        int start = 0, depth = 0;
        char quote = '\0';
        for (int i = 0; i < line.Length; i++)
        {
            char c = line[i];
            if (quote != '\0')
            {
                if (c == '\\')
                {
                    i++;
                }
                else if (c == quote)
                {
                    quote = '\0';
                }
            }
            else if (c is '"' or '\'' && !IsApostrophe(line, i))
            {
                quote = c;
            }
            else if (c == '{')
            {
                depth++;
            }
            else if (c == '}')
            {
                depth = Math.Max(0, depth - 1);
            }
            else if (depth == 0 && i > start && line.AsSpan(i).StartsWith(" then ") && StartsInstruction(line[(i + 6)..].TrimStart()))
            {
                yield return line[start..i].Trim();
                start = i + 6;
                i = start - 1;
            }
        }

        yield return line[start..].Trim();
    }

    // In "say it's done" the quote sits inside a word and opens nothing.
    private static bool IsApostrophe(string line, int i) =>
        line[i] == '\'' && i > 0 && char.IsLetterOrDigit(line[i - 1]) && i + 1 < line.Length && char.IsLetterOrDigit(line[i + 1]);

    private static bool StartsInstruction(string rest) =>
        rest == "list" || rest.StartsWith("python:", StringComparison.Ordinal)
        || Array.Exists(FirstWords, word => rest.StartsWith(word, StringComparison.Ordinal));

    private static readonly string[] FirstWords = ["run ", "read ", "write ", "list ", "search ", "call ", "say ", "complete "];

    private static Instruction ParseOne(string step, int at)
    {
        if (step == "list")
        {
            return Call("fs.list", ("path", ""));
        }

        if (step.StartsWith("python:", StringComparison.Ordinal))
        {
            return Call("sandbox.python", ("code", Require(step["python:".Length..].Trim(), step, at)));
        }

        int space = step.IndexOf(' ', StringComparison.Ordinal);
        if (space < 0)
        {
            throw Unknown(step, at);
        }

        string rest = step[(space + 1)..].Trim();
        return step[..space] switch
        {
            "run" when rest.EndsWith(" in sandbox", StringComparison.Ordinal) =>
                Call("sandbox.shell", ("cmd", Require(rest[..^" in sandbox".Length].Trim(), step, at))),
            "read" => Call("fs.read", ("path", Require(rest, step, at))),
            "write" when rest.IndexOf(':', StringComparison.Ordinal) is > 0 and int colon =>
                Call("fs.write", ("path", rest[..colon].Trim()), ("content", rest[(colon + 1)..].TrimStart())),
            "list" => Call("fs.list", ("path", rest)),
            "search" => Search(Require(rest, step, at)),
            "call" => ParseCall(rest, step, at),
            "say" => new Instruction.Say(Require(rest, step, at)),
            "complete" => new Instruction.Call("task.complete", new JsonObject { ["result"] = ParseJson(rest, step, at) }.ToJsonString()),
            _ => throw Unknown(step, at),
        };
    }

    private static Instruction.Call Search(string rest)
    {
        int at = rest.LastIndexOf(" in ", StringComparison.Ordinal);
        return at > 0
            ? Call("fs.search", ("pattern", rest[..at].Trim()), ("path", rest[(at + 4)..].Trim()))
            : Call("fs.search", ("pattern", rest));
    }

    private static Instruction.Call ParseCall(string rest, string step, int at)
    {
        int space = rest.IndexOf(' ', StringComparison.Ordinal);
        if (space < 0)
        {
            throw new ModelProviderException("invalid_instruction", $"Line {at}: 'call' needs a tool and its arguments as JSON: call TOOL {{json}}.");
        }

        JsonNode? arguments = ParseJson(rest[space..].Trim(), step, at);
        return arguments is JsonObject
            ? new Instruction.Call(rest[..space], arguments.ToJsonString())
            : throw new ModelProviderException("invalid_instruction", $"Line {at}: the arguments of 'call' are a JSON object.");
    }

    private static JsonNode? ParseJson(string json, string step, int at)
    {
        try
        {
            return JsonNode.Parse(json, documentOptions: new JsonDocumentOptions { MaxDepth = 32, AllowDuplicateProperties = false });
        }
        catch (JsonException malformed)
        {
            throw new ModelProviderException(
                "invalid_instruction", $"Line {at}: '{Shorten(step)}' does not hold JSON where it should (character {malformed.BytePositionInLine}).", malformed);
        }
    }

    private static Instruction.Call Call(string tool, params ReadOnlySpan<(string Name, string Value)> arguments)
    {
        var json = new JsonObject();
        foreach ((string name, string value) in arguments)
        {
            json[name] = value;
        }

        return new Instruction.Call(tool, json.ToJsonString());
    }

    private static string Require(string value, string step, int at) => value.Length > 0 ? value : throw Unknown(step, at);

    private static ModelProviderException Unknown(string step, int at) => new(
        "invalid_instruction",
        $"Line {at}: '{Shorten(step)}' is not an instruction. The forms are:\n  {string.Join("\n  ", Forms)}");

    private static string Shorten(string text) => text.Length <= 80 ? text : string.Concat(text.AsSpan(0, 80), "…");
}

/// <summary>One parsed instruction.</summary>
internal abstract record Instruction
{
    private Instruction()
    {
    }

    /// <summary>A tool call.</summary>
    public sealed record Call(string Tool, string Arguments) : Instruction;

    /// <summary>Text for the answer.</summary>
    public sealed record Say(string Text) : Instruction;
}
