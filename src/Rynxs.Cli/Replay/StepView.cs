using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.Replay;

/// <summary><c>--step</c>: record by record, with the state after each. The hash is computed only where the state changed.</summary>
internal static class StepView
{
    public static int Run(Screen screen, ReplayRequest request, CancellationToken cancellationToken)
    {
        bool waits = screen.IsInteractive && !request.Json && !Console.IsInputRedirected;
        if (waits)
        {
            screen.Note("Space or Enter: next record. s: the state. p: the payload. g: to the end. q: stop.");
        }

        var state = new UniverseState();
        string hash = state.Hash();
        long version = 0;
        bool stopped = false;
        foreach (LogRecord record in LogWalk.Read(request.Source, cancellationToken).TakeWhile(record => !stopped && request.End.Includes(record)))
        {
            state.Apply(record);
            if (state.Version != version)
            {
                (version, hash) = (state.Version, state.Hash());
            }

            Show(screen, record, hash, version, request.Json);
            if (waits)
            {
                (waits, stopped) = Wait(screen, record, state);
            }
        }

        return ExitCodes.Ok;
    }

    private static void Show(Screen screen, LogRecord record, string hash, long version, bool json)
    {
        if (json)
        {
            screen.Line(LogArguments.Element(new JsonObject
            {
                ["seq"] = record.Seq, ["type"] = record.Type, ["aggregate_id"] = record.AggregateId, ["event_hash"] = record.EventHash, ["state_version"] = version, ["state_hash"] = hash,
            }).GetRawText());
            return;
        }

        screen.Line($"{RecordView.Line(record)}  state {version}:{hash[..12]}");
    }

    /// <summary>Whether to wait again, and whether to stop.</summary>
    private static (bool Waits, bool Stopped) Wait(Screen screen, LogRecord record, UniverseState state)
    {
        while (true)
        {
            switch (char.ToLowerInvariant(Console.ReadKey(intercept: true).KeyChar))
            {
                case 's':
                    OutputFormat.Write(screen, JsonElement.Parse(state.ToCanonical()), OutputFormat.Json);
                    continue;
                case 'p':
                    screen.Line(LogArguments.OneLine(record.ToRecord().Payload.GetRawText(), 20_000));
                    continue;
                case 'g':
                    return (false, false);
                case 'q':
                    return (false, true);
                case ' ' or '\r' or '\n':
                    return (true, false);
            }
        }
    }
}
