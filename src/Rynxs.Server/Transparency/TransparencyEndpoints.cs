using Rynxs.Ledger;
using Rynxs.Ledger.Anchors;
using Rynxs.Ledger.Merkle;
using Rynxs.Ledger.Witnessing;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Transparency;

/// <summary>Checkpoints and tiles for auditors, at the paths of C2SP tlog-tiles below a prefix for each chain.</summary>
internal static class TransparencyEndpoints
{
    private const int MaxTileBytes = 256 * 34;

    public static void MapTransparency(this IEndpointRouteBuilder endpoints, CheckpointPublisher publisher, string ledgerDirectory)
    {
        endpoints.MapGet("/api/v1/ledger/log", (HttpContext context) =>
        {
            RequestAccess.Require(context, RequestAccess.Auditors);
            return Results.Json(StatusOf(publisher), ServerJson.Default.LedgerLogStatus);
        });
        endpoints.MapGet("/api/v1/ledger/tlog/{**path}", (HttpContext context, string path) =>
        {
            RequestAccess.Require(context, RequestAccess.Auditors);
            return BlobAsync(context, ledgerDirectory, ChainId.Control, path);
        });
        endpoints.MapGet("/api/v1/ledger/agents/{ns}/{name}/tlog/{**path}", (HttpContext context, string ns, string name, string path) =>
        {
            RequestAccess.RequireIn(context, ns, "Agent", RequestAccess.Auditors);
            return BlobAsync(context, ledgerDirectory, ChainId.TryAgent(ns, name) ?? throw new ProblemException(Problem.NotFound("Agent")), path);
        });
    }

    private static async Task<IResult> BlobAsync(HttpContext context, string ledgerDirectory, ChainId chain, string path)
    {
        if (!TilePath.IsValid(path))
        {
            throw new ProblemException(Problem.NotFound("Tile"));
        }

        var store = new FileTreeStore(Path.Combine(ledgerDirectory, chain.RelativePath));
        bool isCheckpoint = path == TilePath.Checkpoint;
        byte[] blob = await store.TryReadAsync(path, isCheckpoint ? Ledger.Notes.SignedNote.MaxBytes : MaxTileBytes, context.RequestAborted)
            ?? throw new ProblemException(Problem.NotFound(isCheckpoint ? "Checkpoint" : "Tile"));

        // Tiles never change. They are for the one who asked with a token, not for shared caches.
        context.Response.Headers.CacheControl = isCheckpoint ? "no-store" : "private, max-age=31536000, immutable";
        return Results.Bytes(blob, isCheckpoint ? "text/plain; charset=utf-8" : "application/octet-stream");
    }

    private static LedgerLogStatus StatusOf(CheckpointPublisher publisher)
    {
        TransparencyStatus status = publisher.Log.Status;
        return new LedgerLogStatus(
            publisher.Log.Origin,
            [.. publisher.Keys.Select(key => key.ToString())],
            status.Checkpoint?.Size,
            status.Checkpoint?.Root.ToString(),
            status.PublishedAt,
            publisher.Log.Uncovered,
            status.QuorumMet,
            [.. status.Witnesses.Select(reply => new LedgerWitnessStatus(reply.Witness, NameOf(reply.Outcome), reply.Detail))],
            status.Alarms);
    }

    internal static string NameOf(WitnessOutcome outcome) => outcome switch
    {
        WitnessOutcome.Cosigned => "cosigned",
        WitnessOutcome.Ahead => "ahead",
        WitnessOutcome.Refused => "refused",
        _ => "unreachable",
    };
}

/// <summary>Body of <c>GET /api/v1/ledger/log</c>.</summary>
/// <param name="Origin">Name of the log.</param>
/// <param name="Keys">Keys that sign now, as vkeys, newest first.</param>
/// <param name="Size">Records of the control chain under the last checkpoint; null before the first.</param>
/// <param name="Root">Root of its tree, base64.</param>
/// <param name="PublishedAt">When this process published last; null when it has not.</param>
/// <param name="Uncovered">Records that no checkpoint or anchor covers yet.</param>
/// <param name="QuorumMet">Whether enough witnesses cosigned the last checkpoint.</param>
/// <param name="Witnesses">How asking each ended.</param>
/// <param name="Alarms">Chains that are no longer what was signed of them.</param>
internal sealed record LedgerLogStatus(
    string Origin, IReadOnlyList<string> Keys, long? Size, string? Root, DateTimeOffset? PublishedAt, long Uncovered, bool QuorumMet,
    IReadOnlyList<LedgerWitnessStatus> Witnesses, IReadOnlyList<string> Alarms);

/// <summary>One witness.</summary>
/// <param name="Name">Name of its key.</param>
/// <param name="State"><c>cosigned</c>, <c>unreachable</c>, <c>ahead</c> or <c>refused</c>.</param>
/// <param name="Detail">For people.</param>
internal sealed record LedgerWitnessStatus(string Name, string State, string? Detail);
