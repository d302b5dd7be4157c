using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Cli.LedgerFiles;

/// <summary>Shows what a verification found, and gives its exit code.</summary>
internal static class VerificationReport
{
    public static int Show(LedgerVerification verification, bool json, Screen screen)
    {
        if (json)
        {
            OutputFormat.Write(screen, ToJson(verification), OutputFormat.Json);
        }
        else
        {
            foreach (ChainReport chain in verification.Chains)
            {
                Show(chain, screen);
            }
        }

        return verification.Valid ? ExitCodes.Ok : ExitCodes.VerificationFailed;
    }

    private static void Show(ChainReport chain, Screen screen)
    {
        if (chain.Failure is { } failure)
        {
            string place = failure.Line > 0 ? $"{failure.File}, line {failure.Line}" : failure.File;
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"INVALID  {chain.Chain}{(failure.Seq < 0 ? "" : $"  seq {failure.Seq}")}  {failure.Code}: {failure.Message} ({place})"));
            screen.Line($"  expected  {failure.Expected ?? "-"}");
            screen.Line($"  actual    {failure.Actual ?? "-"}");
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"  {chain.Records} records before it verify"));
        }
        else
        {
            string trusted = chain.FromSeq > 0 ? string.Create(CultureInfo.InvariantCulture, $", from seq {chain.FromSeq} whose predecessor was not seen") : "";
            screen.Line(string.Create(
                CultureInfo.InvariantCulture, $"valid    {chain.Chain}  {chain.Records} records, head seq {chain.HeadSeq} {chain.HeadHash}{trusted}"));
        }

        if (chain.Checkpoint is { } checkpoint)
        {
            string signed = checkpoint.SignedBy.Count == 0
                ? "no key was pinned: who signed it is not known"
                : string.Create(CultureInfo.InvariantCulture, $"signed by {checkpoint.SignedBy.Count} pinned key(s), cosigned by {checkpoint.CosignedBy.Count} witness(es)");
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"  checkpoint  {checkpoint.Origin}  {checkpoint.Size} records, {signed}; {chain.TilesChecked} tiles, {chain.MarksChecked} anchors or kept checkpoints agree"));
        }

        if (chain.BlobsWithheld > 0)
        {
            screen.Line(string.Create(CultureInfo.InvariantCulture, $"  withheld  {chain.BlobsWithheld} of {chain.BlobsReferenced} texts are not here; {chain.BlobsErased} erasures are recorded"));
        }

        if (chain.TornTail is { } torn)
        {
            screen.Line(string.Create(
                CultureInfo.InvariantCulture, $"  warning   the last {torn.Bytes} bytes of {torn.File} are an unfinished write (or one going on now); they are not part of the chain"));
        }
    }

    private static JsonElement ToJson(LedgerVerification verification)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteBoolean("valid", verification.Valid);
            writer.WriteNumber("records", verification.Records);
            writer.WriteStartArray("chains");
            foreach (ChainReport chain in verification.Chains)
            {
                Write(writer, chain);
            }

            writer.WriteEndArray();
            writer.WriteEndObject();
        }

        using JsonDocument document = JsonDocument.Parse(Encoding.UTF8.GetString(buffer.ToArray()));
        return document.RootElement.Clone();
    }

    private static void Write(Utf8JsonWriter writer, ChainReport chain)
    {
        writer.WriteStartObject();
        writer.WriteString("chain", chain.Chain);
        writer.WriteBoolean("valid", chain.Valid);
        writer.WriteNumber("records", chain.Records);
        writer.WriteNumber("from_seq", chain.FromSeq);
        writer.WriteNumber("head_seq", chain.HeadSeq);
        writer.WriteString("head_hash", chain.HeadHash);
        writer.WriteNumber("tiles_checked", chain.TilesChecked);
        writer.WriteNumber("marks_checked", chain.MarksChecked);
        if (chain.BlobsWithheld is { } withheld)
        {
            writer.WriteNumber("blobs_withheld", withheld);
            writer.WriteNumber("blobs_erased", chain.BlobsErased);
        }

        if (chain.Checkpoint is { } checkpoint)
        {
            writer.WriteStartObject("checkpoint");
            writer.WriteString("origin", checkpoint.Origin);
            writer.WriteNumber("size", checkpoint.Size);
            writer.WriteString("root", checkpoint.Root);
            Write(writer, "signed_by", checkpoint.SignedBy);
            Write(writer, "cosigned_by", checkpoint.CosignedBy);
            writer.WriteEndObject();
        }

        if (chain.Failure is { } failure)
        {
            writer.WriteStartObject("failure");
            writer.WriteString("file", failure.File);
            writer.WriteNumber("line", failure.Line);
            writer.WriteNumber("seq", failure.Seq);
            writer.WriteString("code", failure.Code);
            writer.WriteString("message", failure.Message);
            writer.WriteString("expected", failure.Expected);
            writer.WriteString("actual", failure.Actual);
            writer.WriteEndObject();
        }

        if (chain.TornTail is { } torn)
        {
            writer.WriteStartObject("torn_tail");
            writer.WriteString("file", torn.File);
            writer.WriteNumber("offset", torn.Offset);
            writer.WriteNumber("bytes", torn.Bytes);
            writer.WriteEndObject();
        }

        writer.WriteEndObject();
    }

    private static void Write(Utf8JsonWriter writer, string name, IReadOnlyList<string> values)
    {
        writer.WriteStartArray(name);
        foreach (string value in values)
        {
            writer.WriteStringValue(value);
        }

        writer.WriteEndArray();
    }
}
