using Rynxs.Agents.Lifecycle;
using Rynxs.Ledger;
using Rynxs.Resources.Client;
using Rynxs.Sandbox;
using Rynxs.Sandbox.Files;
using Rynxs.Sandbox.Images;

namespace Rynxs.Server.Problems;

/// <summary>The one place where exceptions become answers.</summary>
internal sealed partial class ProblemMapping(RequestDelegate next, ILogger<ProblemMapping> logger)
{
    public async Task InvokeAsync(HttpContext context)
    {
        try
        {
            await next(context);
            if (Unanswered(context) is { } problem)
            {
                await problem.ExecuteAsync(context);
            }
        }
        catch (OperationCanceledException) when (context.RequestAborted.IsCancellationRequested)
        {
            // The client went away: nobody reads an answer.
        }
        catch (Exception exception) when (!context.Response.HasStarted)
        {
            // The top of a request: everything becomes an answer here, and only what is unknown is an error of ours.
            Problem? problem = TryMap(exception);
            if (exception is (IOException and not BadHttpRequestException) or UnauthorizedAccessException)
            {
                LogStorage(exception, context.Request.Method, context.Request.Path);
            }

            if (problem is null)
            {
                LogUnexpected(exception, context.Request.Method, context.Request.Path);
                problem = new Problem(StatusCodes.Status500InternalServerError, "internal_error", "The server failed; its log has the cause under this trace id.");
            }

            context.Response.Clear();
            await problem.ExecuteAsync(context);
        }
    }

    /// <summary>Routing answers with a bare status; here it gets the form of every other error. A fallback endpoint would hide the 405.</summary>
    private static Problem? Unanswered(HttpContext context)
    {
        HttpResponse response = context.Response;
        return response.HasStarted || response.ContentType is not null
            ? null
            : response.StatusCode switch
            {
                StatusCodes.Status404NotFound => Problem.NotFound("Endpoint"),
                StatusCodes.Status405MethodNotAllowed => new Problem(
                    StatusCodes.Status405MethodNotAllowed, "method_not_allowed", $"The endpoint does not take this method; it takes {response.Headers.Allow}."),
                _ => null,
            };
    }

    /// <summary>The answer to an expected failure; null for others.</summary>
    internal static Problem? TryMap(Exception exception) => exception switch
    {
        ProblemException known => known.Problem,
        BadHttpRequestException bad => Map(bad),
        ResourceException refused => Map(refused),
        AgentNotRunningException => new Problem(StatusCodes.Status409Conflict, "agent_not_running", exception.Message),
        AgentStartException start => new Problem(StatusCodes.Status409Conflict, "agent_cannot_start", $"{start.Code}: {start.Message}"),
        MessageRefusedException message => new Problem(
            message.Code == "too_long" ? StatusCodes.Status413PayloadTooLarge : StatusCodes.Status422UnprocessableEntity, $"message_{message.Code}", message.Message, "text"),
        SandboxRefusedException { Control: "runtime" } refused => new Problem(
            StatusCodes.Status503ServiceUnavailable, "sandbox_refused", $"The sandbox was refused: {refused.Message} (control: {refused.Control})"),
        SandboxRefusedException refused => new Problem(
            StatusCodes.Status409Conflict, "control_not_shown", $"The sandbox was refused: {refused.Message} (control: {refused.Control})"),
        SandboxStartException start => new Problem(StatusCodes.Status422UnprocessableEntity, "start_failed", $"The program did not start: {start.Message}"),
        FileAccessException file => Map(file),
        ImageException image => new Problem(StatusCodes.Status503ServiceUnavailable, "image_unavailable", image.Message),
        LedgerUnavailableException => new Problem(
            StatusCodes.Status503ServiceUnavailable, "ledger_unavailable", "The audit ledger cannot be written, so nothing is done that it would have to record."),
        LedgerCorruptException => new Problem(
            StatusCodes.Status503ServiceUnavailable, "ledger_corrupt", "The audit ledger does not verify; run 'rynxs ledger verify'."),
        IOException or UnauthorizedAccessException => new Problem(
            StatusCodes.Status507InsufficientStorage, "storage_unavailable",
            "The state directory cannot be written or read (a full or read-only disk?), so the request was not carried out. The server's log has the cause."),
        _ => null,
    };

    private static Problem Map(FileAccessException exception) => new(
        exception.Code switch
        {
            "not_found" => StatusCodes.Status404NotFound,
            "too_large" => StatusCodes.Status413PayloadTooLarge,
            "not_a_file" or "not_a_directory" or "not_empty" or "conflict" => StatusCodes.Status409Conflict,
            "permission" => StatusCodes.Status403Forbidden,
            "quota_exceeded" or "io_error" => StatusCodes.Status507InsufficientStorage,
            _ => StatusCodes.Status422UnprocessableEntity,
        },
        $"file_{exception.Code}", exception.Message, "path");

    private static Problem Map(BadHttpRequestException exception) => exception.StatusCode switch
    {
        StatusCodes.Status413PayloadTooLarge => new Problem(StatusCodes.Status413PayloadTooLarge, "body_too_large", "The request body is larger than this endpoint takes."),
        StatusCodes.Status408RequestTimeout => new Problem(StatusCodes.Status408RequestTimeout, "body_too_slow", "The request body arrived too slowly."),
        _ => new Problem(StatusCodes.Status400BadRequest, "bad_request", "The request cannot be read."),
    };

    private static Problem Map(ResourceException exception)
    {
        (int status, string code) = exception.Reason switch
        {
            ResourceErrorReason.BadRequest => (StatusCodes.Status400BadRequest, "bad_request"),
            ResourceErrorReason.Forbidden => (StatusCodes.Status403Forbidden, "forbidden"),
            ResourceErrorReason.NotFound => (StatusCodes.Status404NotFound, "not_found"),
            ResourceErrorReason.AlreadyExists => (StatusCodes.Status409Conflict, "already_exists"),
            ResourceErrorReason.Conflict => (StatusCodes.Status409Conflict, "conflict"),
            ResourceErrorReason.Gone => (StatusCodes.Status410Gone, "gone"),
            ResourceErrorReason.TooLarge => (StatusCodes.Status413PayloadTooLarge, "too_large"),
            ResourceErrorReason.Invalid => (StatusCodes.Status422UnprocessableEntity, "invalid"),
            ResourceErrorReason.StoreUnavailable => (StatusCodes.Status507InsufficientStorage, "store_unavailable"),
            _ => (StatusCodes.Status500InternalServerError, "internal_error"),
        };
        return new Problem(status, code, exception.Message, exception.Causes.Count > 0 ? exception.Causes[0].Field : null)
        {
            Errors = exception.Causes.Count == 0 ? null : [.. exception.Causes.Select(cause => new ProblemField(cause.Field, cause.Code, cause.Message))],
        };
    }

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} was refused: the storage failed")]
    private partial void LogStorage(Exception exception, string method, string path);

    [LoggerMessage(Level = LogLevel.Error, Message = "{Method} {Path} failed unexpectedly")]
    private partial void LogUnexpected(Exception exception, string method, string path);
}
