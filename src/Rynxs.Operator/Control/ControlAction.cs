using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Events;

namespace Rynxs.Operator.Control;

/// <summary>Kinds of decided actions. All of them are idempotent, so that one whose outcome was not recorded can be run again.</summary>
public enum ControlActionType
{
    /// <summary>The agent's directories exist with their owners and modes.</summary>
    EnsureWorkspace,

    /// <summary>The agent's audit chain can be appended to.</summary>
    EnsureAuditChain,

    /// <summary>The sandbox image is there, or its substitute is.</summary>
    EnsureImage,

    /// <summary>The agent's loop runs with this spec.</summary>
    EnsureAgentRuntime,

    /// <summary>The agent's loop and its sandbox are gone. Files and audit stay.</summary>
    RemoveAgentRuntime,

    /// <summary>Our finalizer is off the object, so that it can go.</summary>
    ReleaseFinalizer,
}

/// <summary>A decided action as data.</summary>
public sealed record ControlAction
{
    private ControlAction(ControlActionType type, string target, JsonElement parameters, string id)
    {
        Type = type;
        Target = target;
        Parameters = parameters;
        Id = id;
    }

    /// <summary>What to do.</summary>
    public ControlActionType Type { get; }

    /// <summary><c>NAMESPACE/NAME</c> of the agent.</summary>
    public string Target { get; }

    /// <summary>A JSON object, part of the identity.</summary>
    public JsonElement Parameters { get; }

    /// <summary>Lowercase hexadecimal SHA-256 of <c>type|target|canonical(params)</c>, as in the original log.</summary>
    public string Id { get; }

    /// <summary>An action with its stable id.</summary>
    public static ControlAction Create(ControlActionType type, string target, JsonObject parameters)
    {
        JsonElement element = JsonSerializer.SerializeToElement(parameters, OperatorJson.Default.JsonObject);
        return Create(type, target, element);
    }

    /// <summary>The form that the ledger keeps.</summary>
    public DecidedAction ToDecided() => new(Type.ToString(), Target, Parameters);

    /// <summary>Reads the ledger's form; null for a type that this version does not know.</summary>
    internal static ControlAction? TryParse(DecidedAction decided) =>
        Enum.TryParse(decided.ActionType, out ControlActionType type) && Enum.IsDefined(type)
            ? Create(type, decided.Target, decided.Params)
            : null;

    /// <summary>SHA-256 over the canonical list, as <c>actions_hash</c> in the ledger.</summary>
    internal static string HashOf(IReadOnlyList<ControlAction> actions)
    {
        var list = new JsonArray();
        foreach (ControlAction action in actions)
        {
            list.Add(new JsonObject
            {
                ["action_type"] = action.Type.ToString(),
                ["params"] = JsonNode.Parse(CanonicalJson.Serialize(action.Parameters)),
                ["target"] = action.Target,
            });
        }

        return CanonicalJson.Sha256Hex(JsonSerializer.SerializeToElement(list, OperatorJson.Default.JsonArray));
    }

    private static ControlAction Create(ControlActionType type, string target, JsonElement parameters)
    {
        // The separator is safe: a type is a word and a target holds labels and one '/', so neither contains '|'.
        using var hash = IncrementalHash.CreateHash(HashAlgorithmName.SHA256);
        hash.AppendData(Encoding.UTF8.GetBytes($"{type}|{target}|"));
        hash.AppendData(CanonicalJson.Serialize(parameters));
        return new ControlAction(type, target, parameters, Convert.ToHexStringLower(hash.GetHashAndReset()));
    }
}
