using System.Buffers;
using System.CommandLine;
using System.IO.Pipelines;
using System.Runtime.CompilerServices;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger cat PATH</c>: the records of one chain, as stored or readable. It shows and does not judge: that is <c>verify</c>.</summary>
internal static class LedgerCat
{
    public static Command Create(Screen screen)
    {
        (Argument<string?> Argument, Option<string?> Alias) path = LedgerCommand.PathArgument();
        var from = new Option<long>("--from") { Description = "First sequence.", HelpName = "SEQ" };
        var until = new Option<long>("--until") { Description = "Last sequence.", HelpName = "SEQ", DefaultValueFactory = _ => long.MaxValue };
        var type = new Option<string[]>("--type") { Description = "Only this event type. May be repeated.", HelpName = "TYPE" };
        Option<string> output = OutputFormat.Create(OutputFormat.Json, OutputFormat.Table, OutputFormat.Yaml);
        var command = new Command("cat", "Prints the records of one chain; json is the stored lines, unchanged. Says nothing about validity.")
        {
            path.Argument, path.Alias, from, until, type, output,
        };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            var types = new HashSet<string>(parsed.GetValue(type) ?? [], StringComparer.Ordinal);
            string form = parsed.GetRequiredValue(output);
            await foreach (byte[] line in ReadAsync(LedgerCommand.PathOf(parsed, path), cancellationToken))
            {
                using JsonDocument document = Parse(line);
                JsonElement record = document.RootElement;
                long seq = record.Integer("event.seq") ?? -1;
                if (seq >= parsed.GetValue(from) && seq <= parsed.GetValue(until) && (types.Count == 0 || types.Contains(record.Text("event.type") ?? "")))
                {
                    Show(screen, record, line, form);
                }
            }

            return ExitCodes.Ok;
        });
        return command;
    }

    private static void Show(Screen screen, JsonElement record, byte[] line, string form)
    {
        switch (form)
        {
            case OutputFormat.Json:
                screen.Line(Encoding.UTF8.GetString(line));
                break;
            case OutputFormat.Yaml:
                screen.Line("---");
                OutputFormat.Write(screen, record, OutputFormat.Yaml);
                break;
            default:
                screen.Line($"{record.Text("event.seq"),8}  {record.Text("event.meta.time") ?? record.Text("event.ts"),-28}  "
                    + $"{record.Text("event.type"),-20}  {record.Text("event.aggregate_id")}  {RecordLine.OneLine(record.At("event.payload")?.GetRawText() ?? "", 200)}");
                break;
        }
    }

    private static JsonDocument Parse(byte[] line)
    {
        try
        {
            return JsonDocument.Parse(line, new JsonDocumentOptions { MaxDepth = LedgerLimits.MaxDepth + 4 });
        }
        catch (JsonException)
        {
            throw new CliException("a line is not JSON.", hints: ["'rynxs ledger verify' says which."]);
        }
    }

    /// <summary>The complete lines of a file, or of a chain directory's segments in order.</summary>
    private static async IAsyncEnumerable<byte[]> ReadAsync(string path, [EnumeratorCancellation] CancellationToken cancellationToken)
    {
        foreach (string file in Files(path))
        {
            await using FileStream stream = new(file, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            PipeReader reader = PipeReader.Create(stream);
            while (true)
            {
                ReadResult read = await reader.ReadAsync(cancellationToken);
                ReadOnlySequence<byte> buffer = read.Buffer;
                while (buffer.PositionOf((byte)'\n') is { } newline)
                {
                    yield return buffer.Slice(0, newline).ToArray();
                    buffer = buffer.Slice(buffer.GetPosition(1, newline));
                }

                if (buffer.Length > LedgerLimits.MaxRecordBytes)
                {
                    throw new CliException($"'{file}' has a line of more than {LedgerLimits.MaxRecordBytes} bytes.");
                }

                reader.AdvanceTo(buffer.Start, buffer.End);
                if (read.IsCompleted)
                {
                    break; // what is left has no newline: a write that never finished, or is going on
                }
            }

            await reader.CompleteAsync();
        }
    }

    private static string[] Files(string path)
    {
        if (File.Exists(path))
        {
            return [path];
        }

        if (!Directory.Exists(path))
        {
            throw new CliException($"there is no file or directory '{path}'.");
        }

        string[] segments = [.. Directory.EnumerateFiles(path, "*.jsonl").Order(StringComparer.Ordinal)];
        return segments.Length > 0
            ? segments
            : throw new CliException(
                $"'{path}' is not a chain: it has no *.jsonl.",
                hints: ["The chains of a state directory are ledger/control and ledger/agents/NAMESPACE/NAME below it."]);
    }
}
