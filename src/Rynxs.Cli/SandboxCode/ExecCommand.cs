using System.CommandLine;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.SandboxCode;

/// <summary><c>rynxs exec AGENT -- COMMAND…</c>: a program in the agent's own sandbox, with its workspace.</summary>
internal static class ExecCommand
{
    public const string Name = "exec";

    private const int MaxInputBytes = 1024 * 1024;

    private static readonly TimeSpan Overhead = TimeSpan.FromSeconds(120);

    public static Command Create(Screen screen)
    {
        var agent = new Argument<string>("agent") { Description = "The agent." };
        var arguments = new Argument<string[]>("command") { Description = "Program and arguments, after --; no shell is involved.", Arity = ArgumentArity.OneOrMore };
        var timeout = new Option<int>("--timeout") { Description = "Seconds after which it is stopped, 1 to 600.", HelpName = "SECONDS", DefaultValueFactory = _ => 60 };
        var stdin = new Option<bool>("--stdin", "-i") { Description = "Passes standard input on, up to 1 MiB." };
        var command = new Command(Name, "Runs a program in an agent's sandbox. Output and exit code are the program's; 124 timeout, 137 stopped, 125 our failure.")
        {
            agent, arguments, timeout, stdin,
        };
        command.SetAction((parsed, cancellationToken) =>
        {
            int seconds = parsed.GetValue(timeout);
            if (seconds is < 1 or > 600)
            {
                throw new CliException($"--timeout: {seconds} is not within 1 to 600 seconds.", ExitCodes.Usage);
            }

            ClientSettings settings = ClientSettings.Resolve(parsed);
            string? input = parsed.GetValue(stdin) ? ReadInput() : null;
            return RunAsync(settings, parsed.GetRequiredValue(agent), parsed.GetRequiredValue(arguments), input, seconds, screen, cancellationToken);
        });
        return command;
    }

    /// <summary>Runs it and gives the server's answer.</summary>
    internal static async Task<JsonElement> ExecuteAsync(
        ApiClient client, string resourceNamespace, string agent, IReadOnlyList<string> arguments, string? input, int timeoutSeconds, CancellationToken cancellationToken)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteStartArray("argv");
            foreach (string argument in arguments)
            {
                writer.WriteStringValue(argument);
            }

            writer.WriteEndArray();
            if (input is not null)
            {
                writer.WriteString("stdin", input);
            }

            writer.WriteNumber("timeout_seconds", timeoutSeconds);
            writer.WriteEndObject();
        }

        return await client.SendAsync(
            HttpMethod.Post,
            ResourcePath.Agent(resourceNamespace, agent, "exec"),
            Encoding.UTF8.GetString(buffer.ToArray()),
            cancellationToken,
            timeout: TimeSpan.FromSeconds(timeoutSeconds) + Overhead) ?? throw new CliException("the server answered nothing.");
    }

    private static string ReadInput()
    {
        using Stream stdin = Console.OpenStandardInput();
        ReadOnlyMemory<byte> bytes = BoundedInput.Read(stdin, MaxInputBytes + 1);
        if (bytes.Length > MaxInputBytes)
        {
            throw new CliException($"standard input is longer than {MaxInputBytes} bytes.");
        }

        try
        {
            return new UTF8Encoding(false, throwOnInvalidBytes: true).GetString(bytes.Span);
        }
        catch (DecoderFallbackException)
        {
            // The API takes text; replacing what is none would give the program other input than was meant.
            throw new CliException("standard input is not UTF-8 text; write binary data into the agent's files and read it there.");
        }
    }

    private static async Task<int> RunAsync(
        ClientSettings settings, string agent, string[] arguments, string? input, int seconds, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        return ProgramOutcome.Show(await ExecuteAsync(client, settings.Namespace, agent, arguments, input, seconds, cancellationToken), screen);
    }
}
