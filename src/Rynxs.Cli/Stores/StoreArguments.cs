using Rynxs.Ledger;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Stores.Copying;

namespace Rynxs.Cli.Stores;

/// <summary>Where a ledger lies, as an argument; and what a store's failures are on the command line.</summary>
internal static class StoreArguments
{
    public const string Forms = "A directory, sqlite:PATH or s3://BUCKET/PREFIX.";

    /// <summary>Whether a text names a store other than files.</summary>
    public static bool IsStore(string text) => text.StartsWith("sqlite:", StringComparison.Ordinal) || text.StartsWith("s3://", StringComparison.Ordinal);

    /// <exception cref="CliException">It is none of the forms.</exception>
    public static LedgerLocation Parse(string text)
    {
        try
        {
            return LedgerLocation.Parse(text, Environment.GetEnvironmentVariable);
        }
        catch (ArgumentException exception)
        {
            throw new CliException(exception.Message, ExitCodes.Usage);
        }
    }

    /// <summary>Runs a command; failures of stores become one line.</summary>
    public static async Task<int> GuardAsync(Func<Task<int>> run)
    {
        try
        {
            return await run();
        }
        catch (Exception exception) when (exception is LedgerUnavailableException or LedgerLockedException or LedgerCopyException or FileNotFoundException
            or UnauthorizedAccessException or IOException or ArgumentException)
        {
            throw new CliException(exception.Message);
        }
    }
}
