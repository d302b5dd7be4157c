using System.CommandLine;
using System.Text.Json;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Objects;

/// <summary>The forms of <c>-o</c>.</summary>
internal static class OutputFormat
{
    public const string Table = "table";
    public const string Wide = "wide";
    public const string Json = "json";
    public const string Yaml = "yaml";
    public const string Name = "name";

    private static readonly JsonWriterOptions Indented = new() { Indented = true, Encoder = System.Text.Encodings.Web.JavaScriptEncoder.UnsafeRelaxedJsonEscaping };

    public static Option<string> Create(params string[] forms)
    {
        var option = new Option<string>("--output", "-o")
        {
            Description = "Form of the output: " + string.Join(", ", forms) + ".",
            HelpName = "FORM",
            DefaultValueFactory = _ => forms[0],
        };
        option.AcceptOnlyFromAmong(forms);
        return option;
    }

    public static void Write(Screen screen, JsonElement element, string form)
    {
        if (form == Yaml)
        {
            screen.Text(YamlWriter.Write(element));
            return;
        }

        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer, Indented))
        {
            element.WriteTo(writer);
        }

        screen.Line(System.Text.Encoding.UTF8.GetString(buffer.GetBuffer(), 0, (int)buffer.Length));
    }
}
