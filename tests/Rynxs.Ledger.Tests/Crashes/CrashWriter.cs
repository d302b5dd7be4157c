using System.Globalization;
using Rynxs.Ledger.Checkpoints;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Replay;
using Rynxs.Ledger.Tests.Anchors;

namespace Rynxs.Ledger.Tests.Crashes;

/// <summary>
/// A process that appends until it is killed, and prints <c>SEQ HASH</c> for each acknowledged record. With <c>once</c> it tries ten
/// records, each in a segment of its own, prints how they fared and ends.
/// </summary>
internal static class CrashWriter
{
    public const string Argument = "--crash-writer";

    /// <summary>Behind a directory: append and publish until killed.</summary>
    public const string Publish = "publish";

    /// <summary>Behind a directory: ten records of about 7 KB in one segment.</summary>
    public const string Large = "large";

    public static async Task<int> RunAsync(string[] args)
    {
        if (args is [var published, Publish])
        {
            return await PublishAsync(published);
        }

        bool large = args is [_, Large];
        bool once = large || args is [_, "once"];
        await using FileLedger ledger = await FileLedger.OpenAsync(
            new FileLedgerOptions { Directory = args[0], SegmentBytes = large ? 1024 * 1024 : once ? 1 : 4096 }, CancellationToken.None);
        ILedgerChain chain = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), CancellationToken.None);
        if (once)
        {
            return await AppendUntilRefusedAsync(chain, large ? new string('x', 1000) : null);
        }

        using var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        var gate = new Lock();
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
        return 0;
    }

    /// <summary>
    /// Appends to both chains, anchors and publishes; prints each published checkpoint in base 64. Every tenth time it writes a checkpoint file of
    /// the original too, and keeps the newest three.
    /// </summary>
    private static async Task<int> PublishAsync(string directory)
    {
        using var output = new StreamWriter(Console.OpenStandardOutput()) { AutoFlush = true };
        string path = Path.Combine(directory, "ledger");
        await using PublishedLedger ledger = await PublishedLedger.OpenAsync(path, Path.Combine(directory, "keys"), TimeProvider.System);
        var checkpoints = new CheckpointDirectory(Path.Combine(directory, "checkpoints"));
        using SigningKey key = SigningKey.Generate("crash");
        for (int round = 0; ; round++)
        {
            await ledger.AppendAndPublishAsync(1 + (round % 7));
            output.WriteLine(Convert.ToBase64String(await File.ReadAllBytesAsync(Path.Combine(path, "control", "tlog", "checkpoint"))));
            if (round % 10 == 9)
            {
                checkpoints.Write(RynxsCheckpoint.Create(LogReplay.Run(LogSource.Open(path), new ReplayEnd.Head(), null, CancellationToken.None), key));
                checkpoints.Rotate(3);
            }
        }
    }

    /// <summary>Appends up to ten records; says how many were acknowledged and what refused the next ones.</summary>
    private static async Task<int> AppendUntilRefusedAsync(ILedgerChain chain, string? text)
    {
        int acknowledged = 0;
        int refused = 0;
        for (int number = 0; number < 10; number++)
        {
            try
            {
                await chain.AppendAsync(text is null ? Entries.Numbered(number) : Entries.WithText(text), CancellationToken.None);
                acknowledged++;
            }
            catch (LedgerUnavailableException exception)
            {
                refused++;
                Console.WriteLine("refused: " + exception.Message);
            }
        }

        Console.WriteLine(string.Create(CultureInfo.InvariantCulture, $"acknowledged {acknowledged} refused {refused}"));
        return 0;
    }
}
