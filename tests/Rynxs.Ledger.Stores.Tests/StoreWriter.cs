using System.Globalization;
using Rynxs.Ledger.Stores.S3;
using Rynxs.Ledger.Stores.Sqlite;
using Rynxs.Ledger.Tests;

namespace Rynxs.Ledger.Stores.Tests;

/// <summary>A process that appends until it is killed, and prints <c>SEQ HASH</c> for each acknowledged record, or <c>fenced</c> and ends.</summary>
internal static class StoreWriter
{
    public const string Argument = "--store-writer";

    public static async Task<int> RunAsync(string[] args)
    {
        await using ILedger ledger = args switch
        {
            ["sqlite", var path] => await SqliteLedger.OpenAsync(new SqliteLedgerOptions { Path = path }, CancellationToken.None),
            ["s3", var endpoint, var bucket, var access, var secret] => await S3Ledger.OpenAsync(
                new S3LedgerOptions { Bucket = bucket, Endpoint = new Uri(endpoint), AccessKey = access, SecretKey = secret }, CancellationToken.None),
            _ => throw new ArgumentException("a store", nameof(args)),
        };
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), CancellationToken.None);
        using var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        var gate = new Lock();
        try
        {
            await Task.WhenAll(Enumerable.Range(0, 4).Select(async writer =>
            {
                for (int number = 0; ; number++)
                {
                    AppendedRecord appended = await chain.AppendAsync(
                        Entries.Numbered(number, blobText: number % 3 == 0 ? $"blob {writer} {number}" : null), CancellationToken.None);
                    lock (gate)
                    {
                        output.WriteLine(string.Create(CultureInfo.InvariantCulture, $"{appended.Seq} {appended.EventHash}"));
                    }
                }
            }));
        }
        catch (LedgerFencedException)
        {
            output.WriteLine("fenced");
        }

        return 0;
    }
}
