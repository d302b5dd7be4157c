using System.CommandLine;

namespace Rynxs.Cli.Output;

/// <summary>The forms of <c>get -o</c>.</summary>
internal abstract record OutputForm
{
    private OutputForm()
    {
    }

    public static Option<string?> Option() => new("--output", "-o")
    {
        Description = "Form of the output: wide, yaml, json, name, jsonpath=TEMPLATE or custom-columns=HEADER:PATH,….",
        HelpName = "FORM",
    };

    /// <exception cref="CliException">There is no such form, or its template is wrong.</exception>
    public static OutputForm Parse(string? text)
    {
        try
        {
            return text switch
            {
                null or "" or "table" => new Table(Wide: false),
                "wide" => new Table(Wide: true),
                "json" => new Json(),
                "yaml" => new Yaml(),
                "name" => new Name(),
                _ when text.StartsWith("jsonpath=", StringComparison.Ordinal) => new JsonPath(JsonPathTemplate.Parse(text["jsonpath=".Length..])),
                _ when text.StartsWith("custom-columns=", StringComparison.Ordinal) => new Columns([.. text["custom-columns=".Length..]
                    .Split(',').Select(column => column.Split(':', 2) is [{ Length: > 0 } header, { Length: > 0 } path]
                        ? (header, JsonPathTemplate.Parse(path))
                        : throw new FormatException($"'{column}' is not HEADER:PATH"))]),
                _ => throw new CliException(
                    $"-o: there is no form '{text}'.", ExitCodes.Usage, "Forms: wide, yaml, json, name, jsonpath=TEMPLATE, custom-columns=HEADER:PATH,…"),
            };
        }
        catch (FormatException exception)
        {
            throw new CliException($"-o: {exception.Message}.", ExitCodes.Usage);
        }
    }

    /// <summary>The server's own columns.</summary>
    public sealed record Table(bool Wide) : OutputForm;

    public sealed record Json : OutputForm;

    public sealed record Yaml : OutputForm;

    public sealed record Name : OutputForm;

    public sealed record JsonPath(JsonPathTemplate Template) : OutputForm;

    public sealed record Columns(IReadOnlyList<(string Header, JsonPathTemplate Path)> List) : OutputForm;
}
