using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Output;

/// <summary>Where a report goes: the file that was named, or standard output.</summary>
internal static class ReportOutput
{
    /// <exception cref="CliException">The file cannot be written.</exception>
    public static void Write(Screen screen, string? file, string text)
    {
        if (file is null)
        {
            screen.Line(text);
            return;
        }

        try
        {
            File.WriteAllText(file, text + "\n");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{file}' cannot be written: {exception.Message}");
        }
    }
}
