using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;

namespace Rynxs.EndToEndTests.Evidence;

/// <summary>Ledgers in files for the commands that work on them.</summary>
internal static class LedgerFiles
{
    public static readonly ChainId Agent = ChainId.Agent("rynxs", "my-agent");

    /// <summary>Opens (or makes) a ledger, appends to its control chain and to an agent's, whose records have texts, and closes it.</summary>
    /// <returns>The commitments of the texts.</returns>
    public static async Task<IReadOnlyList<Commitment>> AppendAsync(string path, int records, string what = "text")
    {
        List<Commitment> commitments = [];
        await using FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = path }, TestContext.Current.CancellationToken);
        ILedgerChain control = await ledger.OpenAsync(ChainId.Control, new ChainOptions(), TestContext.Current.CancellationToken);
        ILedgerChain agent = await ledger.OpenAsync(Agent, new ChainOptions(), TestContext.Current.CancellationToken);
        for (int number = 0; number < records; number++)
        {
            SideBlob blob = SideBlob.Create($"{what} {number}");
            commitments.Add(blob.Commitment);
            await control.AppendAsync(
                new LedgerEntry { Payload = new RequestDenied { Verb = "get", Resource = $"{what}-{number}", Reason = "forbidden" }, AggregateId = "server", Principal = "user:test" },
                TestContext.Current.CancellationToken);
            await agent.AppendAsync(
                new LedgerEntry
                {
                    Payload = new ToolOutcome
                    {
                        CallId = $"call-{number}", Tool = "sandbox.shell", Status = "ok", ExitCode = number,
                        Result = new CommittedText(blob.Commitment.Value, blob.Content.Length),
                    },
                    AggregateId = "rynxs/my-agent", Principal = "agent:rynxs/my-agent", Blobs = [blob],
                },
                TestContext.Current.CancellationToken);
        }

        return commitments;
    }

    /// <summary>A copy of everything but locks, as a restored backup is one.</summary>
    public static void Copy(string from, string to)
    {
        Directory.CreateDirectory(to, File.GetUnixFileMode(from));
        foreach (string directory in Directory.EnumerateDirectories(from))
        {
            Copy(directory, Path.Combine(to, Path.GetFileName(directory)));
        }

        foreach (string file in Directory.EnumerateFiles(from).Where(file => Path.GetFileName(file) != "LOCK"))
        {
            File.Copy(file, Path.Combine(to, Path.GetFileName(file)), overwrite: true);
        }
    }
}
