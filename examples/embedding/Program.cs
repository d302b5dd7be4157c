// A ledger in a program of your own: no server, no Kubernetes, no web framework. Usage: Embedding DIRECTORY
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;
using Rynxs.Ledger.Files;
using Rynxs.Ledger.Verifier;

if (args is not [var directory])
{
    Console.Error.WriteLine("usage: Embedding DIRECTORY");
    return 64;
}

await using (FileLedger ledger = await FileLedger.OpenAsync(new FileLedgerOptions { Directory = directory }, CancellationToken.None))
{
    ILedgerChain chain = await ledger.OpenAsync(ChainId.Agent("shop", "pricing"), new ChainOptions(), CancellationToken.None);

    // The intent first: if this throws, do not act.
    SideBlob arguments = SideBlob.Create("{\"sku\":4711,\"price\":\"9.90\"}");
    AppendedRecord intent = await chain.AppendAsync(
        new LedgerEntry
        {
            Payload = new ToolIntent { CallId = "call-1", Tool = "price.set", Arguments = new CommittedText(arguments.Commitment.Value, arguments.Content.Length) },
            AggregateId = "shop/pricing",
            Principal = "agent:shop/pricing",
            IdempotencyKey = "call-1/intent", // Safe to repeat after a crash.
            Blobs = [arguments], // Free text lies beside the chain and can be erased; the record holds a salted commitment.
        },
        CancellationToken.None);
    Console.WriteLine($"recorded {intent.Seq} {intent.EventHash}");

    // Then the effect, and its outcome.
    await chain.AppendAsync(
        new LedgerEntry
        {
            Payload = new ToolOutcome { CallId = "call-1", Tool = "price.set", Status = "ok" },
            AggregateId = "shop/pricing",
            Principal = "agent:shop/pricing",
        },
        CancellationToken.None);

    await foreach (LedgerRecord record in chain.ReadAsync(fromSeq: 0, CancellationToken.None))
    {
        Console.WriteLine($"{record.Seq,4}  {record.Type}");
    }
}

// The verifier shares no code with the writer.
LedgerVerification verification = ChainVerifier.VerifyPath(directory, CancellationToken.None);
Console.WriteLine(verification.Valid ? $"valid, {verification.Records} records" : "INVALID");
return verification.Valid ? 0 : 2;
