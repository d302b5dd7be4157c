using System.CommandLine;
using System.Text.Json.Nodes;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.LedgerFiles;

/// <summary><c>rynxs ledger tail</c>: the last records, and with <c>-f</c> those that come.</summary>
internal static class TailCommand
{
    private static readonly TimeSpan Poll = TimeSpan.FromMilliseconds(250);

    public static Command Create(Screen screen)
    {
        Argument<string?> path = LogArguments.Path();
        Option<string?> log = LogArguments.Log();
        var follow = new Option<bool>("--follow", "-f") { Description = "Goes on with each new record, until interrupted." };
        var lines = new Option<int>("--lines", "-n") { Description = "How many of the last records, 0 to 10000.", HelpName = "N", DefaultValueFactory = _ => 10 };
        Option<bool> json = LogArguments.Json();
        var command = new Command("tail", "Shows the last records of a chain, each verified on the way.") { path, log, follow, lines, json };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            int count = parsed.GetValue(lines);
            if (count is < 0 or > 10_000)
            {
                throw new CliException($"--lines: {count} is not within 0 to 10000.", ExitCodes.Usage);
            }

            string place = LogArguments.PathOf(parsed, path, log);
            if (parsed.GetValue(follow))
            {
                LogArguments.RequireFiles(place, "--follow");
            }

            LogRecord? last = ShowLast(place, count, parsed.GetValue(json), parsed.GetValue(follow), screen, cancellationToken);
            if (parsed.GetValue(follow))
            {
                await FollowAsync(place, last, parsed.GetValue(json), screen, cancellationToken);
            }

            return ExitCodes.Ok;
        });
        return command;
    }

    private static LogRecord? ShowLast(string place, int count, bool json, bool follow, Screen screen, CancellationToken cancellationToken)
    {
        var newest = new Queue<LogRecord>(count + 1);
        LogRecord? last = null;
        foreach (LogRecord record in LogWalk.Read(LogArguments.Open(place), cancellationToken))
        {
            last = record;
            newest.Enqueue(record);
            if (newest.Count > count)
            {
                newest.Dequeue();
            }
        }

        if (json && !follow)
        {
            LogArguments.WriteJson(screen, new JsonObject
            {
                ["events"] = new JsonArray([.. newest.Select(record => RecordView.ToJson(record, withPayload: true))]), ["count"] = newest.Count,
            });
            return last;
        }

        foreach (LogRecord record in newest)
        {
            RecordView.Show(screen, record, json);
        }

        return last;
    }

    // Polled: the writer may be another process on another kind of file system, where no notification is certain. Only the newest files are
    // read again, from the record that was shown last.
    private static async Task FollowAsync(string place, LogRecord? last, bool json, Screen screen, CancellationToken cancellationToken)
    {
        using var timer = new PeriodicTimer(Poll);
        long length = -1;
        while (await timer.WaitForNextTickAsync(cancellationToken))
        {
            LogSource source = LogArguments.Open(place);
            long now = source.Files.Sum(file => new FileInfo(file).Length);
            if (now == length)
            {
                continue;
            }

            length = now;
            LogSource recent = last is null || source.Files.Count < 2 ? source : source with { Files = [.. source.Files.TakeLast(2)] };
            Ledger.ChainHead? start = last is null ? null : new Ledger.ChainHead(last.Seq, last.EventHash);
            foreach (LogRecord record in LogWalk.Read(recent, start, cancellationToken))
            {
                RecordView.Show(screen, record, json);
                last = record;
            }
        }
    }
}
