using System.Text.Json.Nodes;
using System.Text.Json.Serialization.Metadata;

namespace Rynxs.Server.Execution.OpenApi;

/// <summary>What the OpenAPI document says about an endpoint; it hangs on the endpoint itself, so a route without one is found by a test.</summary>
/// <param name="Id">operationId.</param>
/// <param name="Summary">One sentence.</param>
/// <param name="Answers">Status and content of the answers that are not problems.</param>
internal sealed record ApiOperation(string Id, string Summary, params ApiAnswer[] Answers)
{
    /// <summary>Schema of the JSON body; null takes none.</summary>
    public JsonObject? Body { get; init; }

    /// <summary>Content type of a body that is not JSON.</summary>
    public string? RawBody { get; init; }

    /// <summary>Query and header parameters.</summary>
    public IReadOnlyList<ApiParameter> Parameters { get; init; } = [];

    /// <summary>Problem statuses beside 400, 401, 403, 404, 422, 429 and 500, which every operation may answer.</summary>
    public IReadOnlyList<int> Problems { get; init; } = [];
}

/// <param name="Status">HTTP status.</param>
/// <param name="Type">Serialiser of the body; null for none or another content type.</param>
/// <param name="ContentType">When it is not JSON.</param>
internal sealed record ApiAnswer(int Status, JsonTypeInfo? Type = null, string? ContentType = null);

/// <param name="Name">Of the parameter.</param>
/// <param name="In"><c>query</c> or <c>header</c>.</param>
/// <param name="Description">What it does.</param>
/// <param name="Schema">Of its value.</param>
internal sealed record ApiParameter(string Name, string In, string Description, JsonObject Schema);
