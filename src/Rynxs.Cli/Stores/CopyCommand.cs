using System.CommandLine;
using System.Globalization;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger;
using Rynxs.Ledger.Stores.Copying;
using Rynxs.Ledger.Stores.Sqlite;

namespace Rynxs.Cli.Stores;

/// <summary><c>rynxs ledger copy</c> and <c>rynxs ledger backup</c>.</summary>
internal static class CopyCommand
{
    public static Command Copy(Screen screen)
    {
        var source = new Argument<string>("source") { Description = StoreArguments.Forms + " It may be in use." };
        var target = new Argument<string>("target") { Description = StoreArguments.Forms + " Nothing else may write to it." };
        var command = new Command("copy", "Copies every chain and side blob to another store, verifying each on the way. Repeat it to go on, or to follow.") { source, target };
        command.SetAction((parsed, cancellationToken) => StoreArguments.GuardAsync(async () =>
        {
            LedgerLocation from = StoreArguments.Parse(parsed.GetRequiredValue(source));
            LedgerLocation to = StoreArguments.Parse(parsed.GetRequiredValue(target));
            if (from == to)
            {
                throw new CliException("source and target are the same.", ExitCodes.Usage);
            }

            await using LedgerReader reader = from.OpenReader();
            await using ILedger ledger = await to.OpenLedgerAsync(cancellationToken);
            await LedgerCopy.RunAsync(
                reader, ledger,
                chain => screen.Line(string.Create(
                    CultureInfo.InvariantCulture,
                    $"copied   {chain.Id}  {chain.Head.Seq - chain.Before.Seq} records, {chain.Blobs} blobs, head seq {chain.Head.Seq} {chain.Head.EventHash}")),
                cancellationToken);
            return ExitCodes.Ok;
        }));
        return command;
    }

    public static Command Backup(Screen screen)
    {
        var source = new Argument<string>("source") { Description = "sqlite:PATH. It may be in use." };
        var target = new Argument<string>("target") { Description = "The new file; an existing one is not replaced." };
        var command = new Command("backup", "Copies a SQLite ledger while it is in use, and checks the copy.") { source, target };
        command.SetAction((parsed, cancellationToken) => StoreArguments.GuardAsync(async () =>
        {
            if (StoreArguments.Parse(parsed.GetRequiredValue(source)) is not LedgerLocation.Sqlite sqlite)
            {
                throw new CliException("only sqlite:PATH has a backup; use 'rynxs ledger copy' for other stores.", ExitCodes.Usage);
            }

            await SqliteLedger.BackupAsync(sqlite.Path, parsed.GetRequiredValue(target), cancellationToken);
            screen.Line($"wrote {parsed.GetRequiredValue(target)}; verify it with: rynxs ledger verify sqlite:{parsed.GetRequiredValue(target)}");
            return ExitCodes.Ok;
        }));
        return command;
    }
}
