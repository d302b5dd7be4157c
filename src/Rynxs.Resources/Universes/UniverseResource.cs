using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Universes;

/// <summary>Macro rules for the agents that refer to it. Cluster-scoped.</summary>
public sealed record UniverseResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Universe";

    public UniverseSpec Spec { get; init; } = new();
    public UniverseStatus? Status { get; init; }
}

/// <summary>The documented spec of the original; <see cref="UniversePolicies.Sleep"/> is enforced, the rest is kept for later kinds.</summary>
public sealed record UniverseSpec
{
    public JsonElement? Storage { get; init; }
    public UniversePolicies Policies { get; init; } = new();
    public JsonElement? Travel { get; init; }
}

public sealed record UniversePolicies
{
    /// <summary>0 to 1.</summary>
    public double? IdentityBleedRate { get; init; }
    public JsonElement? MacroLuck { get; init; }
    public JsonElement? Physics { get; init; }
    public SleepPolicy Sleep { get; init; } = new();

    /// <summary>Tools that no agent of this universe may call, whatever its own rules say.</summary>
    public IReadOnlyList<string> DenyTools { get; init; } = [];
}

/// <summary>When agents rest.</summary>
public sealed record SleepPolicy
{
    public int? InstantBackupEverySeconds { get; init; }
    public int? DeepSleepEverySeconds { get; init; }
    public int? DeepSleepMinSeconds { get; init; }

    /// <summary>Daily windows in which no tool may be called.</summary>
    public IReadOnlyList<SleepWindow> Windows { get; init; } = [];
}

/// <summary>A daily window. It crosses midnight when <see cref="End"/> is not after <see cref="Start"/>.</summary>
public sealed record SleepWindow
{
    /// <summary><c>HH:MM</c>.</summary>
    public required string Start { get; init; }

    /// <summary><c>HH:MM</c>, exclusive.</summary>
    public required string End { get; init; }

    /// <summary><c>mon</c> to <c>sun</c>, the days on which it starts; empty means every day.</summary>
    public IReadOnlyList<string> Days { get; init; } = [];

    /// <summary>IANA zone, default <c>UTC</c>.</summary>
    public string TimeZone { get; init; } = "UTC";
}

public sealed record UniverseStatus
{
    public long? ObservedGeneration { get; init; }
    public IReadOnlyList<Condition> Conditions { get; init; } = [];
}
