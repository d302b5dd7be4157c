using System.Globalization;
using Rynxs.Ledger.Blobs;
using Rynxs.Ledger.Events;

namespace Rynxs.Ledger.Tests;

/// <summary>Entries that tests append.</summary>
internal static class Entries
{
    /// <summary>A tool outcome that carries a number, and a side blob when a text is given.</summary>
    public static LedgerEntry Numbered(int number, string? blobText = null)
    {
        SideBlob? blob = blobText is null ? null : SideBlob.Create(blobText);
        return new LedgerEntry
        {
            Payload = new ToolOutcome
            {
                CallId = string.Create(CultureInfo.InvariantCulture, $"call-{number}"),
                Tool = "sandbox.shell",
                Status = "ok",
                ExitCode = number,
                Result = blob is null ? null : new CommittedText(blob.Commitment.Value, blob.Content.Length),
            },
            AggregateId = "rynxs/my-agent",
            Principal = "agent:rynxs/my-agent",
            Blobs = blob is null ? [] : [blob],
        };
    }

    /// <summary>An entry with a text in each field that takes one.</summary>
    public static LedgerEntry WithText(string text) => new()
    {
        Payload = new RequestDenied { Verb = text, Resource = text, Reason = text },
        AggregateId = text,
        Principal = text,
        Decider = text,
        TraceId = text,
    };
}
