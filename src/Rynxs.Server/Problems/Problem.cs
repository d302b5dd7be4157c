using System.Text.Json.Serialization;

namespace Rynxs.Server.Problems;

/// <summary>An error answer: <c>application/problem+json</c> (RFC 9457) with a stable code. Never a stack trace, never a secret.</summary>
internal sealed record Problem : IResult
{
    public Problem(int status, string code, string detail, string? field = null)
    {
        Status = status;
        Code = code;
        Detail = detail;
        Field = field;
    }

    /// <summary>Names the code (docs/api.md, "Errors").</summary>
    public string Type => $"urn:rynxs:problem:{Code}";

    public string Title => Microsoft.AspNetCore.WebUtilities.ReasonPhrases.GetReasonPhrase(Status);
    public int Status { get; }

    /// <summary>One sentence for people.</summary>
    public string Detail { get; }

    /// <summary>Stable; programs act on it.</summary>
    public string Code { get; }

    /// <summary>The field that is wrong, as a JSON path.</summary>
    public string? Field { get; }

    /// <summary>Every wrong field, when the request has fields.</summary>
    public IReadOnlyList<ProblemField>? Errors { get; init; }

    /// <summary>W3C trace id, to find the log lines of this request.</summary>
    public string? TraceId { get; init; }

    /// <summary>For 429, the header <c>Retry-After</c>. Where nobody knows when a place will be free, 5 keeps a client's loop from becoming a flood.</summary>
    [JsonIgnore]
    public int RetryAfterSeconds { get; init; } = 5;

    /// <summary>Answers with several wrong fields at once.</summary>
    public static Problem Fields(IReadOnlyList<ProblemField> errors) =>
        new(StatusCodes.Status422UnprocessableEntity, errors[0].Code, errors[0].Message, errors[0].Field) { Errors = errors };

    /// <summary>What is invisible to a principal and what does not exist are the same answer, so that it tells nothing (D8).</summary>
    public static Problem NotFound(string what) => new(StatusCodes.Status404NotFound, "not_found", $"{what} not found.");

    public async Task ExecuteAsync(HttpContext httpContext)
    {
        httpContext.Response.StatusCode = Status;
        if (Status == StatusCodes.Status401Unauthorized)
        {
            httpContext.Response.Headers.WWWAuthenticate = "Bearer";
        }

        if (Status == StatusCodes.Status429TooManyRequests)
        {
            httpContext.Response.Headers.RetryAfter = RetryAfterSeconds.ToString(System.Globalization.CultureInfo.InvariantCulture);
        }

        Problem traced = this with { TraceId = System.Diagnostics.Activity.Current?.TraceId.ToHexString() };
        await httpContext.Response.WriteAsJsonAsync(traced, ProblemJson.Default.Problem, "application/problem+json", httpContext.RequestAborted);
    }
}

/// <summary>One wrong field.</summary>
internal sealed record ProblemField(string Field, string Code, string Message);

/// <summary>Ends a request with a problem.</summary>
internal sealed class ProblemException(Problem problem) : Exception(problem.Detail)
{
    public Problem Problem { get; } = problem;
}

[JsonSourceGenerationOptions(
    PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(Problem))]
internal sealed partial class ProblemJson : JsonSerializerContext;
