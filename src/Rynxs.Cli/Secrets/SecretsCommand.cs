using System.CommandLine;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Secrets;

/// <summary><c>rynxs secrets rotate-key</c>: a new key for the Secrets of a running server.</summary>
internal static class SecretsCommand
{
    private const string Path = "/api/v1/secret-keys";
    private static readonly TimeSpan Between = TimeSpan.FromMilliseconds(200);

    public static Command Create(Screen screen) => new("secrets", "The key that seals Secrets at rest.") { RotateKey(screen) };

    private static Command RotateKey(Screen screen)
    {
        var background = new Option<bool>("--no-wait") { Description = "Do not wait until everything is sealed with the new key." };
        var command = new Command("rotate-key", "Seals Secrets with a new key and seals those that exist again, while the server serves. Old backups of the store need the old key file.")
        {
            background,
        };
        command.SetAction((parsed, cancellationToken) => RunAsync(ClientSettings.Resolve(parsed), !parsed.GetValue(background), screen, cancellationToken));
        return command;
    }

    private static async Task<int> RunAsync(ClientSettings settings, bool waits, Screen screen, CancellationToken cancellationToken)
    {
        using var client = new ApiClient(settings);
        JsonElement status = await client.SendAsync(HttpMethod.Post, Path + "/rotate", body: null, cancellationToken)
            ?? throw new CliException("the server did not say how far it has come.");
        string key = status.Text("key_id") ?? "?";
        screen.Line($"Secrets are sealed with key {key} from now on");
        while (waits && status.Text("exchanging") == "true")
        {
            await Task.Delay(Between, TimeProvider.System, cancellationToken);
            status = await client.GetAsync(Path, cancellationToken);
        }

        if (waits)
        {
            screen.Line($"every Secret is sealed with key {key}; the key file holds no other");
        }

        return ExitCodes.Ok;
    }
}
