using System.CommandLine;
using System.Globalization;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.LedgerFiles;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Forensics;
using Rynxs.Ledger.Recording;
using Rynxs.Ledger.Replay;

namespace Rynxs.Cli.Recording;

/// <summary><c>rynxs recording list|play|verify</c>: recorded output of sandboxes, checked against the audit chains.</summary>
internal static class RecordingCommand
{
    private static readonly TimeSpan LongestPause = TimeSpan.FromSeconds(2);

    public static Command Create(Screen screen) =>
        new("recording", "Shows the recorded output of sandboxes and checks it against the audit chains.") { List(screen), Play(screen), Verify(screen) };

    private static Command List(Screen screen)
    {
        Option<string?> agent = AgentOption();
        Option<bool> json = LogArguments.Json();
        var command = new Command("list", "Lists the recordings that the audit chains of a state directory know, oldest first per agent.") { agent, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            List<Kept> recordings = [.. Find(ClientSettings.StateDirectoryOf(parsed), parsed.GetValue(agent), cancellationToken)];
            if (parsed.GetValue(json))
            {
                LogArguments.WriteJson(screen, new JsonArray([.. recordings.Select(recording => (JsonNode)ToJson(recording))]));
                return Task.FromResult(ExitCodes.Ok);
            }

            var table = new ColumnTable("AGENT", "SEQ", "TIME", "RECORDING", "BYTES", "LENGTH", "STATE");
            foreach (Kept recording in recordings)
            {
                table.Add(
                    recording.Agent, Text(recording.Seq), recording.Time?.ToString("yyyy-MM-dd HH:mm:ss", CultureInfo.InvariantCulture) ?? "-", recording.Event.Recording,
                    Text(recording.Event.Bytes), Text(recording.Event.DurationMs) + " ms", File.Exists(recording.Path) ? recording.Event.CutBytes is null ? "whole" : "cut" : "missing");
            }

            table.WriteTo(screen);
            return Task.FromResult(ExitCodes.Ok);
        });
        return command;
    }

    private static Command Play(Screen screen)
    {
        var name = new Argument<string>("recording") { Description = "A name from 'recording list' (or its call), or the path of a .cast file." };
        var instant = new Option<bool>("--instant") { Description = "All at once; the default when standard output is not a terminal." };
        var raw = new Option<bool>("--dangerous-raw") { Description = "Sends the program's control characters to the terminal, which may then do what the program wants." };
        var command = new Command("play", "Plays a recording. One that the audit chain knows otherwise is refused with exit code 2.") { name, instant, raw };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            string path = Resolve(parsed, parsed.GetRequiredValue(name), screen, cancellationToken);
            IReadOnlyList<RecordedPiece> pieces = Read(path);
            bool wait = screen.IsInteractive && !parsed.GetValue(instant);
            TimeSpan at = TimeSpan.Zero;
            foreach (RecordedPiece piece in pieces)
            {
                if (wait && piece.At > at)
                {
                    TimeSpan pause = piece.At - at < LongestPause ? piece.At - at : LongestPause;
                    await Task.Delay(pause, TimeProvider.System, cancellationToken);
                }

                at = piece.At;
                if (parsed.GetValue(raw))
                {
                    await screen.Output.WriteAsync(piece.Text);
                }
                else
                {
                    screen.Text(piece.Text);
                }
            }

            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Verify(Screen screen)
    {
        Option<string?> agent = AgentOption();
        Option<bool> json = LogArguments.Json();
        var command = new Command("verify", "Compares every recording with the hash in its audit chain. Exit code 2 when one was changed; a missing one is named and is no failure.") { agent, json };
        command.SetAction((parsed, cancellationToken) =>
        {
            var results = new JsonArray();
            bool bad = false;
            foreach (Kept recording in Find(ClientSettings.StateDirectoryOf(parsed), parsed.GetValue(agent), cancellationToken))
            {
                string state = StateOf(recording);
                bad |= state == "changed";
                if (!parsed.GetValue(json))
                {
                    screen.Line($"{state,-8} {LogArguments.OneLine(recording.Agent)}  seq {recording.Seq}  {LogArguments.OneLine(recording.Event.Recording)}");
                }

                JsonObject result = ToJson(recording);
                result["state"] = state;
                results.Add((JsonNode)result);
            }

            if (parsed.GetValue(json))
            {
                LogArguments.WriteJson(screen, new JsonObject { ["valid"] = !bad, ["recordings"] = results });
            }

            return Task.FromResult(bad ? ExitCodes.VerificationFailed : ExitCodes.Ok);
        });
        return command;
    }

    private static Option<string?> AgentOption() => new("--agent") { Description = "Only of this agent, NAMESPACE/NAME.", HelpName = "AGENT" };

    private static IEnumerable<Kept> Find(string state, string? agent, CancellationToken cancellationToken)
    {
        foreach (LogSource source in LogArguments.OpenAll(state).Where(source => source.Chain.StartsWith("agents/", StringComparison.Ordinal)))
        {
            string owner = source.Chain["agents/".Length..];
            if (agent is not null && owner != agent)
            {
                continue;
            }

            foreach (LogRecord record in LogWalk.Read(source, cancellationToken).Where(record => record.Type == nameof(SessionRecorded)))
            {
                // The name comes from a log: only a plain file name may become part of a path.
                if (PayloadReading.Of(record.ToRecord()) is PayloadReading.Known { Payload: SessionRecorded recorded } && Path.GetFileName(recorded.Recording) == recorded.Recording
                    && recorded.Recording.EndsWith(".cast", StringComparison.Ordinal))
                {
                    yield return new Kept(owner, record.Seq, record.Time, recorded, Path.Combine(state, "recordings", owner, recorded.Recording));
                }
            }
        }
    }

    private static string Resolve(ParseResult parsed, string name, Screen screen, CancellationToken cancellationToken)
    {
        if (name.EndsWith(".cast", StringComparison.Ordinal) && File.Exists(name))
        {
            screen.Note("rynxs: played as it is; no audit chain was asked.");
            return name;
        }

        Kept found = Find(ClientSettings.StateDirectoryOf(parsed), agent: null, cancellationToken)
            .FirstOrDefault(recording => recording.Event.Recording == name || recording.Event.Recording == name + ".cast" || recording.Event.CallId == name)
            ?? throw new CliException($"no audit chain knows a recording '{UntrustedText.OneLine(name)}'.", hints: ["See: rynxs recording list"]);
        return StateOf(found) switch
        {
            "ok" => found.Path,
            "missing" => throw new CliException($"the file of '{name}' is not there: it was erased, or never reached this machine."),
            _ => throw new CliException($"the file of '{name}' is not what the audit chain says: it was changed.", ExitCodes.VerificationFailed),
        };
    }

    private static IReadOnlyList<RecordedPiece> Read(string path)
    {
        try
        {
            return SessionRecording.Read(path);
        }
        catch (Exception exception) when (exception is FormatException or IOException or UnauthorizedAccessException)
        {
            throw new CliException($"'{path}' cannot be played: {exception.Message}");
        }
    }

    private static string StateOf(Kept recording)
    {
        if (!File.Exists(recording.Path))
        {
            return "missing";
        }

        (string sha256, long bytes) = SessionRecording.Fingerprint(recording.Path);
        return sha256 == recording.Event.Sha256 && bytes == recording.Event.Bytes ? "ok" : "changed";
    }

    private static JsonObject ToJson(Kept recording) => new()
    {
        ["agent"] = recording.Agent, ["seq"] = recording.Seq, ["time"] = recording.Time?.ToString("O", CultureInfo.InvariantCulture), ["recording"] = recording.Event.Recording,
        ["call_id"] = recording.Event.CallId, ["sandbox"] = recording.Event.Sandbox, ["sha256"] = recording.Event.Sha256, ["bytes"] = recording.Event.Bytes,
        ["cut_bytes"] = recording.Event.CutBytes, ["redactions"] = recording.Event.Redactions, ["duration_ms"] = recording.Event.DurationMs, ["path"] = recording.Path,
    };

    private static string Text(long value) => value.ToString(CultureInfo.InvariantCulture);

    private sealed record Kept(string Agent, long Seq, DateTimeOffset? Time, SessionRecorded Event, string Path);
}
