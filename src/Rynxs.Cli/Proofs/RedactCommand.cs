using System.CommandLine;
using System.Globalization;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Cli.Client;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Files;

namespace Rynxs.Cli.Proofs;

/// <summary><c>rynxs ledger redact</c>: erases texts from a ledger that no server has open. Chain and proofs stay valid.</summary>
internal static class RedactCommand
{
    public static Command Create(Screen screen)
    {
        Argument<string?> path = ProofArguments.Ledger();
        Option<string> chain = ProofArguments.Chain();
        var commitment = new Option<string[]>("--commitment") { Description = "The commitment whose text is erased (sha256:HEX). May be repeated.", HelpName = "SHA256" };
        var record = new Option<long[]>("--record") { Description = "Sequence of a record all of whose texts are erased. May be repeated.", HelpName = "SEQ" };
        var reason = new Option<string>("--reason") { Description = "Why; recorded, not secret, at most 500 characters.", HelpName = "TEXT", Required = true };
        var command = new Command("redact", "Erases texts beside a chain and records who asked and why. A server that has the ledger open is asked to do it.")
        {
            path, chain, commitment, record, reason,
        };
        command.SetAction((parsed, cancellationToken) => ProofArguments.GuardAsync(async () =>
        {
            string why = parsed.GetRequiredValue(reason);
            if (why.Length is 0 or > BlobErasure.MaxReasonLength)
            {
                throw new CliException($"--reason: 1 to {BlobErasure.MaxReasonLength} characters.", ExitCodes.Usage);
            }

            string directory = ProofArguments.LedgerOf(parsed, path);
            ChainId id = ProofArguments.ChainOf(parsed, chain);
            if (!Directory.Exists(Path.Combine(directory, id.RelativePath)))
            {
                throw new CliException($"--chain: there is no chain {id}.");
            }

            if (parsed.GetValue(path) is null && await AskServerAsync(parsed, id, why, parsed.GetValue(record) ?? [], [.. (parsed.GetValue(commitment) ?? []).Select(Parse)], screen, cancellationToken))
            {
                return ExitCodes.Ok;
            }

            await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, cancellationToken);
            ILedgerChain opened = await ledger.OpenAsync(id, new ChainOptions(), cancellationToken);
            List<Commitment> commitments = [.. (parsed.GetValue(commitment) ?? []).Select(Parse)];
            foreach (long seq in parsed.GetValue(record) ?? [])
            {
                commitments.AddRange(await OfRecordAsync(opened, seq, cancellationToken));
            }

            if (commitments.Count == 0)
            {
                throw new CliException("give --commitment or --record.", ExitCodes.Usage);
            }

            int erased = await BlobErasure.EraseAsync(directory, opened, commitments, "cli:" + Environment.UserName, why, cancellationToken);
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"{erased} of {commitments.Count} texts erased from {id}; the rest was not there"));
            screen.Note("Backups, snapshots and old blocks of the device may still hold them.");
            return ExitCodes.Ok;
        }));
        return command;
    }

    /// <summary>The server of the state directory, when one runs: it has the lock, and removes recordings of the same calls as well.</summary>
    private static async Task<bool> AskServerAsync(
        ParseResult parsed, ChainId chain, string reason, long[] records, Commitment[] commitments, Screen screen, CancellationToken cancellationToken)
    {
        if (ClientSettings.FromState(ClientSettings.StateDirectoryOf(parsed)) is not { } settings || records.Length + commitments.Length == 0)
        {
            return false;
        }

        var body = new JsonObject
        {
            ["chain"] = chain.RelativePath, ["reason"] = reason,
            ["records"] = new JsonArray([.. records.Select(seq => (JsonNode)seq)]),
            ["commitments"] = new JsonArray([.. commitments.Select(one => (JsonNode)one.Value)]),
        };
        using var client = new ApiClient(settings);
        JsonElement answer = await client.SendAsync(HttpMethod.Post, "/api/v1/ledger/redact", body.ToJsonString(), cancellationToken) ?? default;
        screen.Line(string.Create(
            CultureInfo.InvariantCulture,
            $"{answer.GetProperty("erased").GetInt64()} of {answer.GetProperty("commitments").GetInt64()} texts erased from {chain}, and {answer.GetProperty("recordings").GetInt64()} recordings; the rest was not there"));
        screen.Note("Backups, snapshots and old blocks of the device may still hold them, and so may what the agent wrote itself.");
        return true;
    }

    private static Commitment Parse(string text) =>
        text.Length == 71 && text.StartsWith("sha256:", StringComparison.Ordinal) && text.Skip(7).All(char.IsAsciiHexDigitLower)
            ? new Commitment(text)
            : throw new CliException($"--commitment: '{text}' is not sha256: and 64 hexadecimal digits.", ExitCodes.Usage);

    private static async Task<IReadOnlyList<Commitment>> OfRecordAsync(ILedgerChain chain, long seq, CancellationToken cancellationToken)
    {
        if (seq >= 0)
        {
            await foreach (LedgerRecord record in chain.ReadAsync(seq, cancellationToken))
            {
                IReadOnlyList<Commitment> found = BlobErasure.CommitmentsOf(record);
                return found.Count > 0
                    ? found
                    : throw new CliException(string.Create(CultureInfo.InvariantCulture, $"--record: record {seq} ({record.Type}) holds no text beside the chain."));
            }
        }

        throw new CliException(string.Create(CultureInfo.InvariantCulture, $"--record: there is no record {seq} in {chain.Id}."));
    }
}
