using System.CommandLine;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.SandboxCode;

/// <summary><c>rynxs run FILE</c>: code of this machine in a fresh sandbox of the server.</summary>
internal static class RunCommand
{
    public const string Name = "run";

    private const int MaxCodeBytes = 1024 * 1024;

    /// <summary>What the server may need beside the program's own time: queueing and a cold start.</summary>
    private static readonly TimeSpan Overhead = TimeSpan.FromSeconds(120);

    public static Command Create(Screen screen)
    {
        var file = new Argument<string>("file") { Description = "The program; - reads it from standard input." };
        var agent = new Option<string>("--agent-id") { Description = "For whom it runs, in records and limits.", HelpName = "NAME", DefaultValueFactory = _ => "cli" };
        var timeout = new Option<int>("--timeout") { Description = "Seconds after which it is stopped, 1 to 600.", HelpName = "SECONDS", DefaultValueFactory = _ => 60 };
        var language = new Option<string?>("--language") { Description = "python or bash; else by the file's ending, else python." };
        language.AcceptOnlyFromAmong("python", "bash");
        var json = new Option<bool>("--json") { Description = "Prints the server's whole answer instead of the program's output." };
        var command = new Command(Name, "Runs a program in a fresh sandbox. Output and exit code are the program's; 124 timeout, 137 stopped, 125 our failure.")
        {
            file, agent, timeout, language, json,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            string path = parsed.GetRequiredValue(file);
            int seconds = parsed.GetValue(timeout);
            if (seconds is < 1 or > 600)
            {
                throw new CliException($"--timeout: {seconds} is not within 1 to 600 seconds.", ExitCodes.Usage);
            }

            ClientSettings settings = ClientSettings.Resolve(parsed);
            string body = Body(parsed.GetRequiredValue(agent), ReadCode(path), parsed.GetValue(language) ?? LanguageOf(path), seconds);
            return RunAsync(settings, body, TimeSpan.FromSeconds(seconds), parsed.GetValue(json), screen, cancellationToken);
        });
        return command;
    }

    /// <summary>A request of the execute API.</summary>
    internal static string Body(string agent, string code, string language, int timeoutSeconds)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("agent_id", agent);
            writer.WriteString("code", code);
            writer.WriteString("language", language);
            writer.WriteNumber("timeout_seconds", timeoutSeconds);
            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static string LanguageOf(string path) => Path.GetExtension(path) is ".sh" or ".bash" ? "bash" : "python";

    private static string ReadCode(string path)
    {
        if (Directory.Exists(path))
        {
            throw new CliException($"'{path}' is a directory; give the file of a program, or - for standard input.");
        }

        try
        {
            using Stream input = path == "-" ? Console.OpenStandardInput() : File.OpenRead(path);
            ReadOnlyMemory<byte> bytes = BoundedInput.Read(input, MaxCodeBytes + 1);
            return bytes.Length <= MaxCodeBytes
                ? new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes.Span)
                : throw new CliException($"'{path}' is longer than {MaxCodeBytes} bytes.");
        }
        catch (DecoderFallbackException)
        {
            throw new CliException($"'{path}' is not UTF-8 text.");
        }
        catch (Exception exception) when (exception is FileNotFoundException or DirectoryNotFoundException)
        {
            throw new CliException($"there is no file '{path}'.");
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{path}' cannot be read: {exception.Message}");
        }
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, string body, TimeSpan timeout, bool json, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        JsonElement answer = await client.SendAsync(HttpMethod.Post, "/api/v1/sandbox/execute", body, cancellationToken, timeout: timeout + Overhead)
            ?? throw new CliException("the server answered nothing.");
        if (json)
        {
            Objects.OutputFormat.Write(screen, answer, Objects.OutputFormat.Json);
            return ProgramOutcome.ExitCode(answer);
        }

        return ProgramOutcome.Show(answer, screen);
    }
}
