using System.CommandLine;
using System.Text;
using Rynxs.Cli.Client;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Export;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.Export;

/// <summary><c>rynxs ledger export</c>: ships records to a SIEM, from files, with a durable cursor.</summary>
internal static class ExportCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        var to = new Option<string>("--to")
        {
            Description = "syslog+tcp://HOST:PORT, syslog+tls://HOST:PORT, ocsf+https://…, ocsf+file:///PATH, otlp+http://HOST:4318, or - for OCSF lines on standard output.",
            HelpName = "URL", Required = true,
        };
        var cursor = new Option<string?>("--cursor") { Description = "File that keeps what has arrived (default: export/ below the state directory).", HelpName = "FILE" };
        var follow = new Option<bool>("--follow", "-f") { Description = "Goes on with new records and through failures, until interrupted." };
        var token = new Option<string?>("--token-file") { Description = "File with the bearer token for an HTTP receiver.", HelpName = "FILE" };
        var ca = new Option<string?>("--ca") { Description = "PEM file with the certificates to trust instead of the system's.", HelpName = "FILE" };
        var command = new Command("export", "Ships every record of every chain, at least once and in order. Each carries chain, sequence and leaf index.")
        {
            path, log, to, cursor, follow, token, ca,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string place = LogArguments.PathOf(parsed, path, log);
            string url = parsed.GetRequiredValue(to);
            if (url == "-")
            {
                return Print(screen, LogArguments.OpenAll(place), cancellationToken);
            }

            if (!ExportDestination.TryParse(url, out ExportDestination? destination, out string? problem))
            {
                throw new CliException("--to: " + problem, ExitCodes.Usage);
            }

            LogArguments.RequireFiles(place, "export");
            string cursorFile = parsed.GetValue(cursor) ?? DefaultCursor(place, parsed, destination);
            LogArguments.OpenAll(place); // A path with nothing to export is a mistake, not an empty log.
            try
            {
                await using IExportTarget target = new ExportTargetOptions
                {
                    Version = ProductVersion.Text,
                    BearerToken = parsed.GetValue(token) is { } file ? CheckpointCommand.ReadText(file).Trim() : null,
                    CaFile = parsed.GetValue(ca),
                }.Create(destination);
                var exporter = new LedgerExporter(
                    () => LogArguments.OpenAll(place), target, ExportCursor.Open(cursorFile, destination),
                    new ExporterOptions { Failed = (message, wait) => screen.Note($"rynxs: {message} Next attempt in {wait.TotalSeconds:0.0} s.") });
                if (parsed.GetValue(follow))
                {
                    await exporter.RunAsync(cancellationToken);
                }

                long sent = await exporter.DrainAsync(cancellationToken);
                screen.Line($"{sent} records sent to {destination.Name}");
                return ExitCodes.Ok;
            }
            catch (ExportException exception)
            {
                throw new CliException(exception.Message, hints: ["What arrived is in the cursor; run it again to go on."]);
            }
        });
        return command;
    }

    private static int Print(Screen screen, IReadOnlyList<LogSource> sources, CancellationToken cancellationToken)
    {
        foreach (LogSource source in sources)
        {
            foreach (LogRecord record in LogWalk.Read(source, cancellationToken))
            {
                screen.Line(Encoding.UTF8.GetString(OcsfFormat.Format(new ExportedEvent(source.Chain, record))));
            }
        }

        return ExitCodes.Ok;
    }

    private static string DefaultCursor(string place, ParseResult parsed, ExportDestination destination) =>
        Directory.Exists(Path.Combine(place, "ledger"))
            ? Path.Combine(place, "export", destination.Id + ".json")
            : Directory.Exists(ClientSettings.StateDirectoryOf(parsed)) && Path.GetFullPath(place).StartsWith(ClientSettings.StateDirectoryOf(parsed) + "/", StringComparison.Ordinal)
                ? Path.Combine(ClientSettings.StateDirectoryOf(parsed), "export", destination.Id + ".json")
                : throw new CliException("--cursor: a log outside a state directory needs a file for what has arrived.", ExitCodes.Usage);
}
