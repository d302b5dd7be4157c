using System.Globalization;
using Rynxs.Sandbox.Files;
using Rynxs.Server.Problems;

namespace Rynxs.Server.Execution.Sessions;

/// <summary>
/// The files of a session, on the host side and below one descriptor (docs/security/sandbox.md, "File tools"): programs in the sandbox may change the tree at the same time and lead nowhere else by it.
/// </summary>
internal static class SessionFileEndpoints
{
    private const string Files = SessionEndpoints.Path + "/{id}/files";
    private const string File = Files + "/{**path}";
    private const string Listing = SessionEndpoints.Path + "/{id}/list";
    private const string Archive = SessionEndpoints.Path + "/{id}/archive";
    private const string Watch = SessionEndpoints.Path + "/{id}/watch";

    public static void MapSessionFiles(this IEndpointRouteBuilder endpoints, SessionServices services)
    {
        endpoints.MapGet(File, (HttpContext context, string id, string path) =>
        {
            WorkspaceFiles files = Usable(context, services, id);
            if (context.Request.Query["stat"] == "true")
            {
                return Results.Json(FileView.Of(files.Stat(path)), ServerJson.Default.FileView);
            }

            FileWindow window = files.Read(path, Offset(context), ExecutionEndpoints.Whole(context, "max_bytes", 1, WorkspaceFiles.MaxReadBytes, WorkspaceFiles.MaxReadBytes));
            context.Response.Headers["X-File-Size"] = window.TotalBytes.ToString(CultureInfo.InvariantCulture);
            return Results.Bytes(window.Data.ToArray(), "application/octet-stream");
        }).WithMetadata(SessionOperations.ReadFile);
        endpoints.MapPut(File, async (HttpContext context, string id, string path) =>
        {
            WorkspaceFiles files = Usable(context, services, id);
            byte[] content = await RequestBody.ReadRawAsync(context, WorkspaceFiles.MaxWriteBytes, context.RequestAborted);
            return Results.Json(FileView.Of(files.Write(path, content)), ServerJson.Default.FileView);
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(WorkspaceFiles.MaxWriteBytes), SessionOperations.WriteFile);
        endpoints.MapDelete(File, (HttpContext context, string id, string path) =>
        {
            Usable(context, services, id).Delete(path);
            return Results.NoContent();
        }).WithMetadata(SessionOperations.DeleteFile);
        endpoints.MapGet(Listing, (HttpContext context, string id) =>
        {
            WorkspaceListing listing = Usable(context, services, id).List(
                PathOf(context), context.Request.Query["recursive"] == "true", ExecutionEndpoints.Whole(context, "limit", 1, WorkspaceFiles.MaxListEntries, 1000), context.RequestAborted);
            return Results.Json(new FileListView([.. listing.Entries.Select(FileView.Of)], listing.Truncated), ServerJson.Default.FileListView);
        }).WithMetadata(SessionOperations.ListFiles);
        endpoints.MapGet(Archive, async (HttpContext context, string id) =>
        {
            WorkspaceFiles files = Usable(context, services, id);
            string path = PathOf(context);
            _ = files.List(path, recursive: false, 1, context.RequestAborted); // a wrong path is a problem, not half an archive
            context.Response.ContentType = "application/x-tar";
            await WorkspaceArchive.WriteAsync(files, path, context.Response.Body, context.RequestAborted);
        }).WithMetadata(SessionOperations.ReadArchive);
        endpoints.MapPost(Archive, async (HttpContext context, string id) =>
        {
            WorkspaceFiles files = Usable(context, services, id);
            try
            {
                int written = await WorkspaceArchive.ReadAsync(files, PathOf(context), context.Request.Body, context.RequestAborted);
                return Results.Json(new ArchiveView(written), ServerJson.Default.ArchiveView);
            }
            catch (InvalidDataException broken)
            {
                throw new ProblemException(new Problem(StatusCodes.Status400BadRequest, "invalid_archive", broken.Message));
            }
        }).WithMetadata(new Microsoft.AspNetCore.Mvc.RequestSizeLimitAttribute(WorkspaceArchive.MaxBytes * 2), SessionOperations.WriteArchive);
        endpoints.MapGet(Watch, async (HttpContext context, string id) =>
        {
            WorkspaceFiles files = Usable(context, services, id);
            IAsyncEnumerable<WorkspaceChange> changes = files.WatchAsync(PathOf(context), context.RequestAborted);
            context.Response.ContentType = "text/event-stream";
            context.Response.Headers.CacheControl = "no-store";
            try
            {
                await using IAsyncEnumerator<WorkspaceChange> next = changes.GetAsyncEnumerator(context.RequestAborted);
                ValueTask<bool> first = next.MoveNextAsync(); // from here on nothing is missed
                await SessionProcessEndpoints.SendAsync(context, "watching", new ChangeEvent(PathOf(context)), ServerJson.Default.ChangeEvent);
                for (bool more = await first; more; more = await next.MoveNextAsync())
                {
                    string kind = next.Current.Kind switch
                    {
                        WorkspaceChangeKind.Created => "created",
                        WorkspaceChangeKind.Modified => "modified",
                        WorkspaceChangeKind.Deleted => "deleted",
                        WorkspaceChangeKind.Lost => "lost",
                        WorkspaceChangeKind.Ended => "ended",
                        _ => throw new System.Diagnostics.UnreachableException(),
                    };
                    await SessionProcessEndpoints.SendAsync(context, kind, new ChangeEvent(next.Current.Path), ServerJson.Default.ChangeEvent);
                }
            }
            catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
            {
                // The reader has gone.
            }
        }).WithMetadata(SessionOperations.WatchFiles);
    }

    private static WorkspaceFiles Usable(HttpContext context, SessionServices services, string id) =>
        SessionEndpoints.Usable(context, services.Sessions, id).Session.Files
        ?? throw new ProblemException(new Problem(StatusCodes.Status409Conflict, "no_workspace", "This session's files lie in its sandbox's memory; the template 'workspace' has files that can be reached."));

    private static string PathOf(HttpContext context) => context.Request.Query["path"].ToString();

    private static long Offset(HttpContext context)
    {
        string text = context.Request.Query["offset"].ToString();
        return text.Length == 0 ? 0
            : long.TryParse(text, NumberStyles.None, CultureInfo.InvariantCulture, out long offset) ? offset
            : throw new ProblemException(new Problem(StatusCodes.Status422UnprocessableEntity, "out_of_range", "A whole number from 0.", "offset"));
    }
}

/// <summary>A name in a workspace.</summary>
/// <param name="Path">Relative.</param>
/// <param name="Kind"><c>file</c>, <c>directory</c>, <c>symlink</c> or <c>other</c>.</param>
/// <param name="Bytes">Of a file.</param>
/// <param name="Modified">Its content.</param>
/// <param name="Mode">Octal.</param>
internal sealed record FileView(string Path, string Kind, long Bytes, DateTimeOffset Modified, string Mode)
{
    public static FileView Of(WorkspaceEntry entry) => new(
        entry.Path,
        entry.Kind switch
        {
            WorkspaceEntryKind.File => "file",
            WorkspaceEntryKind.Directory => "directory",
            WorkspaceEntryKind.Symlink => "symlink",
            _ => "other",
        },
        entry.Bytes, entry.Modified, Convert.ToString(entry.Mode, 8));
}

/// <summary>GET …/list.</summary>
internal sealed record FileListView(IReadOnlyList<FileView> Entries, bool Truncated);

/// <summary>POST …/archive.</summary>
internal sealed record ArchiveView(int FilesWritten);

/// <summary>A change; the event's name says which.</summary>
internal sealed record ChangeEvent(string Path);
