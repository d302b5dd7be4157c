using System.Globalization;
using System.Text;
using System.Text.Json.Nodes;

namespace Rynxs.ResourceServer.Applying;

/// <summary>Who wrote, and how: entries of one identity are one entry.</summary>
/// <param name="Manager">Name that the client gave itself.</param>
/// <param name="Operation"><c>Apply</c> or <c>Update</c>.</param>
/// <param name="ApiVersion">Empty for Apply: a manager that applies has one entry, whatever version it used last.</param>
/// <param name="Subresource">Empty for the object itself.</param>
internal readonly record struct ManagerIdentity(string Manager, string Operation, string ApiVersion, string Subresource)
{
    public const string Apply = "Apply";
    public const string Update = "Update";

    public bool IsApply => Operation == Apply;

    public static ManagerIdentity Of(string manager, string operation, string apiVersion, string subresource) =>
        new(manager, operation, operation == Apply ? "" : apiVersion, subresource);

    /// <summary>In conflicts: <c>"x"</c>, <c>"x" using v1</c>, <c>"x" with subresource "status" using v1</c>.</summary>
    public string Describe()
    {
        string text = GoText.Quote(Manager);
        if (Subresource.Length > 0)
            text += $" with subresource {GoText.Quote(Subresource)}";
        return IsApply ? text : $"{text} using {ApiVersion}";
    }

    /// <summary>The order in which messages list managers: the one of their identities as JSON.</summary>
    public string SortKey
    {
        get
        {
            StringBuilder key = new("{");
            foreach ((string name, string value) in (ReadOnlySpan<(string, string)>)[("manager", Manager), ("operation", Operation), ("apiVersion", ApiVersion), ("subresource", Subresource)])
            {
                if (value.Length == 0)
                    continue;
                if (key.Length > 1)
                    key.Append(',');
                GoText.AppendJson(key, name);
                key.Append(':');
                GoText.AppendJson(key, value);
            }

            return key.Append('}').ToString();
        }
    }
}

/// <summary>What an identity owns.</summary>
/// <param name="Fields">Paths.</param>
/// <param name="ApiVersion">Version in which the fields are to be read.</param>
internal sealed record OwnedFields(FieldSet Fields, string ApiVersion)
{
    public OwnedFields With(FieldSet fields) => this with { Fields = fields };
}

/// <summary>All managers of an object, decoded from <c>metadata.managedFields</c>.</summary>
internal sealed class ManagerTable
{
    public Dictionary<ManagerIdentity, OwnedFields> Owners { get; } = [];

    /// <summary>When each last changed something; a manager that took shared ownership without a change has none.</summary>
    public Dictionary<ManagerIdentity, DateTimeOffset> Times { get; } = [];

    public bool IsEmpty => Owners.Count == 0;

    public ManagerTable Copy()
    {
        ManagerTable copy = new();
        foreach ((ManagerIdentity identity, OwnedFields owned) in Owners)
            copy.Owners.Add(identity, owned);
        foreach ((ManagerIdentity identity, DateTimeOffset time) in Times)
            copy.Times.Add(identity, time);
        return copy;
    }

    /// <exception cref="FormatException">An entry is malformed.</exception>
    public static ManagerTable Decode(JsonNode? managedFields)
    {
        ManagerTable table = new();
        if (managedFields is null)
            return table;
        if (managedFields is not JsonArray entries)
            throw new FormatException("managedFields is a list");
        for (int i = 0; i < entries.Count; i++)
        {
            JsonObject entry = entries[i] as JsonObject ?? throw new FormatException("a managedFields entry is an object");
            string operation = Text(entry, "operation");
            if (operation is not (ManagerIdentity.Apply or ManagerIdentity.Update))
                throw new FormatException("operation must be `Apply` or `Update`");
            string apiVersion = Text(entry, "apiVersion");
            if (apiVersion.Length == 0)
                throw new FormatException("apiVersion must not be empty");
            string fieldsType = Text(entry, "fieldsType");
            if (fieldsType != FieldsType)
            {
                throw new FormatException(fieldsType.Length == 0
                    ? $"missing fieldsType in managed fields entry {i}"
                    : $"invalid fieldsType {GoText.Quote(fieldsType)} in managed fields entry {i}");
            }

            ManagerIdentity identity = ManagerIdentity.Of(Text(entry, "manager"), operation, apiVersion, Text(entry, "subresource"));
            entry.TryGetPropertyValue("fieldsV1", out JsonNode? fields);
            table.Owners[identity] = new OwnedFields(FieldSet.Decode(fields), apiVersion);
            table.Times.Remove(identity);
            if (Text(entry, "time") is { Length: > 0 } time)
            {
                table.Times[identity] = DateTimeOffset.TryParse(time, CultureInfo.InvariantCulture, DateTimeStyles.AssumeUniversal, out DateTimeOffset parsed)
                    ? parsed
                    : throw new FormatException($"invalid time {GoText.Quote(time)} in managed fields entry {i}");
            }
        }

        return table;
    }

    /// <summary>Null when there is no manager: the field is then absent.</summary>
    public JsonArray? Encode()
    {
        if (IsEmpty)
            return null;
        List<ManagerIdentity> order = [.. Owners.Keys];
        order.Sort(Compare);
        JsonArray entries = [];
        foreach (ManagerIdentity identity in order)
        {
            OwnedFields owned = Owners[identity];
            JsonObject entry = [];
            entry["apiVersion"] = owned.ApiVersion;
            entry["fieldsType"] = FieldsType;
            entry["fieldsV1"] = owned.Fields.Encode();
            entry["manager"] = identity.Manager;
            entry["operation"] = identity.Operation;
            if (identity.Subresource.Length > 0)
                entry["subresource"] = identity.Subresource;
            if (Times.TryGetValue(identity, out DateTimeOffset time))
                entry["time"] = time.UtcDateTime.ToString("yyyy-MM-dd'T'HH:mm:ss'Z'", CultureInfo.InvariantCulture);
            entries.Add((JsonNode)entry);
        }

        return entries;
    }

    /// <summary>Apply before Update, then oldest first; entries without a time are the oldest.</summary>
    private int Compare(ManagerIdentity left, ManagerIdentity right)
    {
        int order = string.CompareOrdinal(left.Operation, right.Operation);
        if (order == 0)
            order = Seconds(left).CompareTo(Seconds(right));
        if (order == 0)
            order = DocumentValue.CompareText(left.Manager, right.Manager);
        if (order == 0)
            order = DocumentValue.CompareText(Owners[left].ApiVersion, Owners[right].ApiVersion);
        return order != 0 ? order : DocumentValue.CompareText(left.Subresource, right.Subresource);
    }

    public long Seconds(ManagerIdentity identity) => Times.TryGetValue(identity, out DateTimeOffset time) ? time.ToUnixTimeSeconds() : 0;

    private static string Text(JsonObject entry, string name)
    {
        if (!entry.TryGetPropertyValue(name, out JsonNode? value) || value is null)
            return "";
        return DocumentValue.IsText(value) ? DocumentValue.Text(value.AsValue()) : throw new FormatException($"{name} of a managedFields entry is a text");
    }

    private const string FieldsType = "FieldsV1";
}
