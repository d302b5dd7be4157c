using System.Globalization;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Primitives;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Http;

/// <summary>The options in a query string, read as the real server reads them.</summary>
internal sealed class ApiQuery(IQueryCollection query)
{
    private const int MaxManager = 128;

    public string? LabelSelector => Text("labelSelector");

    public string? FieldSelector => Text("fieldSelector");

    public bool Watch => Flag("watch");

    public bool Bookmarks => Flag("allowWatchBookmarks");

    public string? ResourceVersion => Text("resourceVersion");

    public bool Force => Flag("force");

    /// <summary>Null when the query does not say.</summary>
    public bool? SendInitialEvents => Text("sendInitialEvents") is null ? null : Flag("sendInitialEvents");

    public long? TimeoutSeconds => Text("timeoutSeconds") is { Length: > 0 } ? Number("timeoutSeconds") : null;

    public string? PropagationPolicy => Text("propagationPolicy");

    public long? GracePeriodSeconds => Text("gracePeriodSeconds") is { Length: > 0 } ? Number("gracePeriodSeconds") : null;

    public bool? OrphanDependents => Text("orphanDependents") is null ? null : Flag("orphanDependents");

    /// <summary><c>Object</c>, <c>Metadata</c> or <c>None</c>: what the rows of a Table carry.</summary>
    public string IncludeObject => Text("includeObject") switch
    {
        null or "" or "Metadata" => "Metadata",
        "Object" => "Object",
        "None" => "None",
        _ => throw ApiErrors.BadRequest($"unrecognized includeObject value: {ApiErrors.Quote(Text("includeObject") ?? "")}"),
    };

    /// <summary>The options of a list; those that exclude each other are refused.</summary>
    public ListOptions List()
    {
        ListOptions options = new()
        {
            Limit = Text("limit") is { Length: > 0 } ? Number("limit") : 0,
            Continue = Text("continue"),
            ResourceVersion = Watch ? null : ResourceVersion,
            ResourceVersionMatch = Text("resourceVersionMatch"),
        };
        List<StatusCause> causes = [];
        string match = options.ResourceVersionMatch ?? "";
        if (SendInitialEvents is not null)
        {
            if (match != "NotOlderThan")
                causes.Add(Forbidden("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"));
            if (!Watch)
                causes.Add(Forbidden("sendInitialEvents", "sendInitialEvents is forbidden for list"));
        }
        else if (match.Length > 0)
        {
            if (Watch)
                causes.Add(Forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"));
            if (string.IsNullOrEmpty(ResourceVersion))
                causes.Add(Forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided"));
            if (!string.IsNullOrEmpty(options.Continue))
                causes.Add(Forbidden("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided"));
            if (match is not ("Exact" or "NotOlderThan"))
                causes.Add(NotSupported("resourceVersionMatch", match, "\"Exact\", \"NotOlderThan\", \"\""));
            else if (match == "Exact" && ResourceVersion == "0")
                causes.Add(Forbidden("resourceVersionMatch", "resourceVersionMatch \"exact\" is forbidden for resourceVersion \"0\""));
        }

        return causes.Count == 0 ? options : throw Invalid("ListOptions", causes);
    }

    /// <summary>dryRun, fieldManager, fieldValidation and force of a request that writes.</summary>
    /// <param name="options">Such as <c>CreateOptions</c>, for the words of a refusal.</param>
    /// <param name="apply">Server-side apply, which needs a manager and may force.</param>
    /// <param name="userAgent">Gives the manager where the query does not.</param>
    public (bool DryRun, string Manager, FieldValidation Validation) Write(string options, bool apply, string userAgent)
    {
        List<StatusCause> causes = [];
        StringValues dryRun = query["dryRun"];
        if (dryRun.FirstOrDefault(value => value != "All") is { } other)
            causes.Add(NotSupported("dryRun", other, "\"All\""));
        string manager = Text("fieldManager") ?? "";
        if (manager.Length > MaxManager)
            causes.Add(new StatusCause(CauseReasons.TooLong, $"Too long: may not be more than {MaxManager} bytes", "fieldManager"));
        else if (manager.Any(char.IsControl))
            causes.Add(new StatusCause(CauseReasons.Invalid, $"Invalid value: {ApiErrors.Quote(manager)}: should only contain printable characters", "fieldManager"));
        string validation = Text("fieldValidation") ?? "";
        if (validation is not ("" or "Ignore" or "Warn" or "Strict"))
            causes.Add(NotSupported("fieldValidation", validation, "\"\", \"Ignore\", \"Strict\", \"Warn\""));
        if (apply && manager.Length == 0)
            causes.Insert(0, new StatusCause(CauseReasons.Required, "Required value: is required for apply patch", "fieldManager"));
        if (!apply && options == "PatchOptions" && Text("force") is not null)
            causes.Insert(0, Forbidden("force", "may not be specified for non-apply patch"));
        if (causes.Count > 0)
            throw Invalid(options, causes);

        if (manager.Length == 0)
        {
            manager = userAgent.Split('/')[0];
            manager = new string([.. manager.Where(c => !char.IsControl(c)).Take(MaxManager)]);
        }

        return (dryRun.Count > 0, manager.Length == 0 ? "unknown" : manager, validation switch
        {
            "Ignore" => FieldValidation.Ignore,
            "Strict" => FieldValidation.Strict,
            _ => FieldValidation.Warn,
        });
    }

    private bool Flag(string name) => query.TryGetValue(name, out StringValues values) && values.ToString() is not ("false" or "0");

    private string? Text(string name) => query.TryGetValue(name, out StringValues values) ? values[0] ?? "" : null;

    private long Number(string name)
    {
        string text = Text(name) ?? "";
        if (long.TryParse(text, NumberStyles.AllowLeadingSign, CultureInfo.InvariantCulture, out long value))
            return value;
        bool digits = text.Length > 0 && text.TrimStart('-').All(char.IsAsciiDigit);
        throw ApiErrors.BadRequest($"strconv.ParseInt: parsing {ApiErrors.Quote(text)}: {(digits ? "value out of range" : "invalid syntax")}");
    }

    private static StatusCause Forbidden(string field, string why) => new(CauseReasons.Forbidden, $"Forbidden: {why}", field);

    private static StatusCause NotSupported(string field, string value, string supported) =>
        new(CauseReasons.NotSupported, $"Unsupported value: {ApiErrors.Quote(value)}: supported values: {supported}", field);

    private static ApiException Invalid(string options, IReadOnlyList<StatusCause> causes) => ApiErrors.Invalid("meta.k8s.io", options, "", causes);
}
