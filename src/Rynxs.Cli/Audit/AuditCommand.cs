using System.CommandLine;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.Audit;

/// <summary><c>rynxs audit verify|show AGENT</c>: an agent's chain, verified on this machine, never by the server that wrote it.</summary>
internal static class AuditCommand
{
    public static Command Create(Screen screen) =>
        new("audit", "Verifies and shows the audit chain of an agent.")
        {
            Verify(screen),
            Show(screen),
        };

    /// <summary>Fetches the raw chain and verifies it here.</summary>
    public static async Task<LedgerVerification> FetchAndVerifyAsync(
        ApiClient client, string resourceNamespace, string agent, CancellationToken cancellationToken)
    {
        DirectoryInfo temporary = Directory.CreateTempSubdirectory("rynxs-audit-");
        try
        {
            string file = Path.Combine(temporary.FullName, agent + ".jsonl");
            await DownloadAsync(client, resourceNamespace, agent, file, cancellationToken);
            return LedgerCommand.VerifyPath(file, cancellationToken);
        }
        finally
        {
            temporary.Delete(recursive: true);
        }
    }

    /// <summary>Writes the raw chain to a file.</summary>
    public static async Task DownloadAsync(ApiClient client, string resourceNamespace, string agent, string file, CancellationToken cancellationToken)
    {
        await using FileStream output = new(file, FileMode.CreateNew, FileAccess.Write);
        await foreach (byte[] line in client.StreamAsync(ResourcePath.Agent(resourceNamespace, agent, "audit"), cancellationToken))
        {
            await output.WriteAsync(line, cancellationToken);
            output.WriteByte((byte)'\n');
        }
    }

    private static Command Verify(Screen screen)
    {
        var agent = new Argument<string>("agent") { Description = "The agent; it may be deleted." };
        var offline = new Option<bool>("--offline") { Description = "Reads the state directory instead of asking the server." };
        var json = new Option<bool>("--json") { Description = "One JSON object." };
        var command = new Command("verify", "Fetches the raw chain and verifies it here. Exit code 2 and the first bad sequence on damage.") { agent, offline, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string name = parsed.GetRequiredValue(agent);
            LedgerVerification verification;
            if (parsed.GetValue(offline))
            {
                string resourceNamespace = parsed.GetValue(GlobalOptions.Namespace) ?? "rynxs";
                string chain = Ledger.ChainId.Agent(resourceNamespace, name).RelativePath;
                verification = LedgerCommand.VerifyPath(Path.Combine(ClientSettings.StateDirectoryOf(parsed), "ledger", chain), cancellationToken);
            }
            else
            {
                ClientSettings settings = ClientSettings.Resolve(parsed);
                using var client = new ApiClient(settings);
                verification = await FetchAndVerifyAsync(client, settings.Namespace, name, cancellationToken);
            }

            return VerificationReport.Show(verification, parsed.GetValue(json), screen);
        });
        return command;
    }

    private static Command Show(Screen screen)
    {
        var agent = new Argument<string>("agent") { Description = "The agent." };
        Option<string> output = OutputFormat.Create(OutputFormat.Table, OutputFormat.Json);
        var command = new Command("show", "Prints the whole chain; json is the raw lines, which 'rynxs ledger verify' accepts.") { agent, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            await foreach (byte[] line in client.StreamAsync(
                ResourcePath.Agent(settings.Namespace, parsed.GetRequiredValue(agent), "audit"), cancellationToken))
            {
                if (parsed.GetRequiredValue(output) == OutputFormat.Json)
                {
                    screen.Line(System.Text.Encoding.UTF8.GetString(line));
                    continue;
                }

                using JsonDocument record = JsonDocument.Parse(line);
                JsonElement root = record.RootElement;
                screen.Line($"{root.Text("event.seq"),6}  {root.Text("event.meta.time"),-28}  {root.Text("event.type"),-18}  "
                    + RecordLine.OneLine(root.At("event.payload")?.GetRawText() ?? "", 200));
            }

            return ExitCodes.Ok;
        });
        return command;
    }
}
