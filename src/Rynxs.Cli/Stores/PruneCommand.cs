using System.CommandLine;
using System.Globalization;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Files;

namespace Rynxs.Cli.Stores;

/// <summary><c>rynxs ledger prune</c>: old segments go to an archive; both verify afterwards.</summary>
internal static class PruneCommand
{
    public static Command Create(Screen screen)
    {
        var ledger = new Argument<string>("ledger") { Description = "The ledger's directory, or a state directory. No writer may have it open." };
        var before = new Option<string>("--before") { Description = "A sequence, or a time (RFC 3339): segments that lie wholly before it are moved.", HelpName = "SEQ|TIME", Required = true };
        var archive = new Option<string>("--archive") { Description = "Directory to which they are moved; made when it is missing.", HelpName = "DIR", Required = true };
        var command = new Command("prune", "Moves old segments to an archive. The chain records it, and what remains still verifies.") { ledger, before, archive };
        command.SetAction((parsed, cancellationToken) => StoreArguments.GuardAsync(async () =>
        {
            string path = parsed.GetRequiredValue(ledger);
            if (!Directory.Exists(path))
            {
                throw new CliException($"there is no directory '{path}'.");
            }

            string directory = Directory.Exists(Path.Combine(path, "ledger")) ? Path.Combine(path, "ledger") : path;
            IReadOnlyList<PrunedChain> pruned = await LedgerPruning.PruneAsync(
                new FileLedgerOptions { Directory = directory }, Before(parsed.GetRequiredValue(before)), parsed.GetRequiredValue(archive), cancellationToken);
            foreach (PrunedChain chain in pruned)
            {
                screen.Line(string.Create(
                    CultureInfo.InvariantCulture, $"{(chain.Segments > 0 ? "moved   " : "kept    ")} {chain.Id}  {chain.Segments} segments, {chain.Records} records, {chain.Bytes} bytes; begins with seq {chain.FirstSeq}"));
            }

            return ExitCodes.Ok;
        }));
        return command;
    }

    private static PruneBefore Before(string text) =>
        long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long seq) ? new PruneBefore.Sequence(seq)
        : DateTimeOffset.TryParse(text, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset moment) ? new PruneBefore.Time(moment)
        : throw new CliException($"--before: '{text}' is neither a sequence nor a time.", ExitCodes.Usage);
}
