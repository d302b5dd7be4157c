using System.CommandLine;
using System.Globalization;
using System.Text;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Notes;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Transparency;

namespace Rynxs.Cli.Proofs;

/// <summary><c>rynxs ledger publish</c>: anchors and signs a ledger that no server has open. A server does this by itself.</summary>
internal static class PublishCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> path = ProofArguments.Ledger();
        Option<string?> keys = ProofArguments.KeyDirectoryOption();
        Option<string?> policy = ProofArguments.Policy();
        var token = new Option<string?>("--witness-token") { Description = "File with the token that the witnesses want.", HelpName = "FILE" };
        var timeout = new Option<int>("--witness-timeout") { Description = "Seconds that each witness has, 1 to 60.", HelpName = "SECONDS", DefaultValueFactory = _ => 5 };
        var command = new Command("publish", "Anchors the agents' chains and signs a checkpoint of a ledger that is not open elsewhere; prints it.")
        {
            path, keys, policy, token, timeout,
        };
        command.SetAction((parsed, cancellationToken) => ProofArguments.GuardAsync(async () =>
        {
            int seconds = parsed.GetValue(timeout);
            if (seconds is < 1 or > 60)
            {
                throw new CliException($"--witness-timeout: {seconds} is not within 1 to 60.", ExitCodes.Usage);
            }

            LedgerLocation location = ProofArguments.LocationOf(parsed, path);
            WitnessSetup witnesses = WitnessSetup.Read(parsed.GetValue(policy), parsed.GetValue(token));
            using KeyDirectory signing = KeyDirectory.Open(ProofArguments.KeyDirectoryOf(parsed, keys));
            using var http = new HttpClient(new SocketsHttpHandler { AllowAutoRedirect = false });
            ILedger stored = await location.OpenLedgerAsync(cancellationToken);
            await using var ledger = new AnchoredLedger(stored);
            var trees = (ITreeHost)stored; // Every location gives one.
            foreach (ChainId chain in ledger.ListChains())
            {
                await ledger.OpenAsync(chain, new ChainOptions(), cancellationToken);
            }

            TransparencyLog log = await TransparencyLog.OpenAsync(
                new TransparencyLogOptions
                {
                    Ledger = ledger,
                    Control = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), cancellationToken),
                    Trees = trees.TreeOf,
                    Keys = signing,
                    Witnesses = [.. witnesses.Endpoints.Select(endpoint => new WitnessClient(http, endpoint, TimeSpan.FromSeconds(seconds)))],
                    Quorum = witnesses.Quorum,
                },
                cancellationToken);
            TransparencyStatus status = await log.PublishAsync(cancellationToken);
            byte[]? checkpoint = await trees.TreeOf(ChainId.Control).TryReadAsync(TilePath.Checkpoint, SignedNote.MaxBytes, cancellationToken);
            return Show(screen, status, Encoding.UTF8.GetString(checkpoint ?? []));
        }));
        return command;
    }

    private static int Show(Screen screen, TransparencyStatus status, string checkpoint)
    {
        screen.Text(checkpoint);
        foreach (WitnessReply reply in status.Witnesses)
        {
            screen.Note(string.Create(CultureInfo.InvariantCulture, $"witness {reply.Witness}: {reply.Outcome.ToString().ToLowerInvariant()}{(reply.Detail is null ? "" : ": " + reply.Detail)}"));
        }

        foreach (string alarm in status.Alarms)
        {
            screen.Note("ALARM " + alarm);
        }

        if (!status.QuorumMet)
        {
            screen.Note("rynxs: fewer witnesses cosigned than the policy requires.");
        }

        bool refused = status.Witnesses.Any(reply => reply.Outcome is WitnessOutcome.Ahead or WitnessOutcome.Refused);
        return refused || status.Alarms.Count > 0 ? ExitCodes.VerificationFailed : status.QuorumMet ? ExitCodes.Ok : ExitCodes.Failure;
    }
}
