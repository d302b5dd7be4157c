using System.Globalization;
using System.Text;
using System.Text.Json;
using Rynxs.Ledger;
using Rynxs.Ledger.Blobs;
using Rynxs.ResourceServer.Storage;
using Rynxs.Resources.Agents;
using Rynxs.Resources.Identity;
using Rynxs.Resources.Meta;
using Rynxs.Server.Audit;
using Rynxs.Server.Identity;
using Rynxs.Server.Problems;
using Rynxs.Server.State;

namespace Rynxs.Server.Agents;

/// <summary>What an agent did: its audit with previews, the raw chain, and its outbox, as lines of JSON.</summary>
internal sealed class AgentLogEndpoints(ResourceStore store, AgentChains chains, StateDirectory state, AgentWorkspaces workspaces, CancellationToken stopping)
{
    private const string LinesType = "application/x-ndjson";
    private const int MaxPreviewBytes = 4096;
    private const int MaxTail = 100_000;

    public void Map(IEndpointRouteBuilder endpoints)
    {
        endpoints.MapGet("/api/v1/namespaces/{ns}/agents/{name}/logs", LogsAsync);
        endpoints.MapGet("/api/v1/namespaces/{ns}/agents/{name}/audit", AuditAsync);
        endpoints.MapGet("/api/v1/namespaces/{ns}/agents/{name}/outbox", OutboxAsync);
    }

    private async Task LogsAsync(HttpContext context, string ns, string name)
    {
        ILedgerChain chain = await RequireChainAsync(context, ns, name, RequestAccess.Readers);
        bool follow = context.Request.Query["follow"].ToString() switch
        {
            "1" or "true" => true,
            "" or "0" or "false" => false,
            _ => throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "unsupported_value", "'0' or '1'.", "follow")),
        };
        long next = Math.Max(0, chain.Head.Seq + 1 - Tail(context));
        using var ended = CancellationTokenSource.CreateLinkedTokenSource(context.RequestAborted, stopping);
        context.Response.ContentType = LinesType;
        await context.Response.StartAsync(ended.Token);
        try
        {
            while (true)
            {
                await foreach (LedgerRecord record in chain.ReadAsync(next, ended.Token))
                {
                    await WriteLineAsync(context, chain, record, ended.Token);
                    next = record.Seq + 1;
                }

                await context.Response.Body.FlushAsync(ended.Token);
                if (!follow)
                {
                    return;
                }

                await chain.WaitForAppendAsync(next - 1, ended.Token);
            }
        }
        catch (OperationCanceledException) when (ended.IsCancellationRequested)
        {
            // The follower left, or the server stops.
        }
    }

    private async Task AuditAsync(HttpContext context, string ns, string name)
    {
        ILedgerChain chain = await RequireChainAsync(context, ns, name, RequestAccess.Auditors);
        long records = chain.Head.Seq + 1;
        context.Response.ContentType = LinesType;

        // The segments themselves, byte for byte, up to the head: an auditor verifies these bytes, not our idea of them.
        string directory = Path.Combine(state.LedgerDirectory, chain.Id.RelativePath);
        foreach (string segment in Directory.EnumerateFiles(directory, "records-*.jsonl").Order(StringComparer.Ordinal))
        {
            await using var stream = new FileStream(segment, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
            using var lines = new StreamReader(stream, new UTF8Encoding(false, throwOnInvalidBytes: true));
            while (records > 0 && await lines.ReadLineAsync(context.RequestAborted) is { } line)
            {
                await context.Response.WriteAsync(line + "\n", context.RequestAborted);
                records--;
            }
        }
    }

    private async Task OutboxAsync(HttpContext context, string ns, string name)
    {
        await AgentEndpoints.RequireAgentAsync(context, store, ns, name, RequestAccess.Readers);
        long tail = Tail(context);
        string path = Path.Combine(workspaces.PathOf(ns, name), "outbox.jsonl");
        context.Response.ContentType = LinesType;
        if (!File.Exists(path))
        {
            return;
        }

        var kept = new Queue<string>();
        await using var stream = new FileStream(path, FileMode.Open, FileAccess.Read, FileShare.ReadWrite | FileShare.Delete);
        using var lines = new StreamReader(stream, Encoding.UTF8);
        bool all = tail >= MaxTail;
        while (await lines.ReadLineAsync(context.RequestAborted) is { } line)
        {
            if (all)
            {
                await context.Response.WriteAsync(line + "\n", context.RequestAborted);
                continue;
            }

            kept.Enqueue(line);
            if (kept.Count > tail)
            {
                kept.Dequeue();
            }
        }

        foreach (string line in kept)
        {
            await context.Response.WriteAsync(line + "\n", context.RequestAborted);
        }
    }

    /// <summary>The chain of an agent that exists, or that existed: evidence outlives its object.</summary>
    private async Task<ILedgerChain> RequireChainAsync(HttpContext context, string ns, string name, Role[] roles)
    {
        if (!Labels.IsDnsLabel(ns) || !Labels.IsDnsLabel(name))
        {
            throw new ProblemException(Problem.NotFound("Agent"));
        }

        string what = $"Agent '{ns}/{name}'";
        Principal principal = RequestAccess.RequireIn(context, ns, what, roles);
        if (await chains.TryOpenExistingAsync(ns, name, context.RequestAborted) is { } chain)
        {
            return chain;
        }

        _ = await store.For(principal).TryGetAsync<AgentResource>(new NamespacedName(ns, name), context.RequestAborted)
            ?? throw new ProblemException(Problem.NotFound(what));
        return await chains.OpenAsync(ns, name, context.RequestAborted);
    }

    private static long Tail(HttpContext context)
    {
        string text = context.Request.Query["tail"].ToString();
        if (text.Length == 0)
        {
            return MaxTail;
        }

        return int.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out int tail) && tail is >= 0 and <= MaxTail
            ? tail
            : throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "out_of_range", $"A whole number from 0 to {MaxTail}.", "tail"));
    }

    private static async Task WriteLineAsync(HttpContext context, ILedgerChain chain, LedgerRecord record, CancellationToken cancellationToken)
    {
        string? time = record.Meta.ValueKind == JsonValueKind.Object && record.Meta.TryGetProperty("time", out JsonElement value) ? value.GetString() : null;
        var line = new AgentLogLine(record.Seq, time, record.Type, record.Payload, await PreviewAsync(chain, record.Payload, cancellationToken));

        // The default encoder escapes control characters, C1 and line separators too: a terminal gets no sequence of the guest's (F4).
        byte[] json = JsonSerializer.SerializeToUtf8Bytes(line, ServerJson.Default.AgentLogLine);
        await context.Response.Body.WriteAsync((ReadOnlyMemory<byte>)(byte[])[.. json, (byte)'\n'], cancellationToken);
    }

    /// <summary>The text behind the record's commitment, cut; null when it has none or it was erased.</summary>
    private static async Task<string?> PreviewAsync(ILedgerChain chain, JsonElement payload, CancellationToken cancellationToken)
    {
        foreach (JsonProperty property in payload.EnumerateObject())
        {
            if (property.Value.ValueKind == JsonValueKind.Object && property.Value.TryGetProperty("commitment", out JsonElement commitment)
                && commitment.GetString() is { } text && await chain.ReadBlobAsync(new Commitment(text), cancellationToken) is { } blob)
            {
                ReadOnlyMemory<byte> content = blob.Content.Length <= MaxPreviewBytes ? blob.Content : blob.Content[..MaxPreviewBytes];
                return Encoding.UTF8.GetString(content.Span) + (blob.Content.Length > MaxPreviewBytes ? "…" : "");
            }
        }

        return null;
    }
}

/// <summary>One line of …/logs.</summary>
internal sealed record AgentLogLine(long Seq, string? Time, string Type, JsonElement Payload, string? Preview);
