using System.Text.Json.Serialization;
using System.Text.Json;
using Rynxs.Resources.Crds;
using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Universes;

/// <summary>Macro rules for the agents that refer to it. Cluster-scoped.</summary>
public sealed record UniverseResource : Resource
{
    /// <inheritdoc/>
    [JsonPropertyOrder(-2)] // Not inherited from the base property.
    public override string Kind => "Universe";

    /// <summary>Desired state.</summary>
    public UniverseSpec Spec { get; init; } = new();

    /// <summary>Observed state, written through the status subresource alone.</summary>
    public UniverseStatus? Status { get; init; }
}

/// <summary>The documented spec of the original; <see cref="UniversePolicies.Sleep"/> is enforced, the rest is kept for later kinds.</summary>
public sealed record UniverseSpec
{
    /// <summary>Kept for later kinds.</summary>
    [Schema(AnyObject = true)]
    public JsonElement? Storage { get; init; }

    /// <summary>Rules for all agents that refer to the universe.</summary>
    public UniversePolicies Policies { get; init; } = new();

    /// <summary>Kept for later kinds.</summary>
    [Schema(AnyObject = true)]
    public JsonElement? Travel { get; init; }
}

public sealed record UniversePolicies
{
    /// <summary>0 to 1.</summary>
    [Schema(Min = 0, Max = 1)]
    public double? IdentityBleedRate { get; init; }

    /// <summary>Kept for later kinds.</summary>
    [Schema(AnyObject = true)]
    public JsonElement? MacroLuck { get; init; }

    /// <summary>Kept for later kinds.</summary>
    [Schema(AnyObject = true)]
    public JsonElement? Physics { get; init; }

    /// <summary>When agents rest.</summary>
    public SleepPolicy Sleep { get; init; } = new();

    /// <summary>Tools that no agent of this universe may call, whatever its own rules say.</summary>
    [Schema(MaxItems = 256, Pattern = "^[a-z0-9_.*-]{1,128}$")]
    public IReadOnlyList<string> DenyTools { get; init; } = [];
}

/// <summary>When agents rest.</summary>
public sealed record SleepPolicy
{
    /// <summary>Seconds between instant backups.</summary>
    [Schema(Min = 1, Max = 604800)]
    public int? InstantBackupEverySeconds { get; init; }

    /// <summary>Seconds between deep sleeps.</summary>
    [Schema(Min = 1, Max = 604800)]
    public int? DeepSleepEverySeconds { get; init; }

    /// <summary>Least seconds of a deep sleep.</summary>
    [Schema(Min = 1, Max = 604800)]
    public int? DeepSleepMinSeconds { get; init; }

    /// <summary>Daily windows in which no tool may be called.</summary>
    [Schema(MaxItems = 64)]
    public IReadOnlyList<SleepWindow> Windows { get; init; } = [];
}

/// <summary>A daily window. It crosses midnight when <see cref="End"/> is not after <see cref="Start"/>.</summary>
public sealed record SleepWindow
{
    /// <summary><c>HH:MM</c>.</summary>
    [Schema(Pattern = SchemaPatterns.TimeOfDay)]
    public required string Start { get; init; }

    /// <summary><c>HH:MM</c>, exclusive.</summary>
    [Schema(Pattern = SchemaPatterns.TimeOfDay)]
    public required string End { get; init; }

    /// <summary><c>mon</c> to <c>sun</c>, the days on which it starts; empty means every day.</summary>
    [Schema(Set = true, Enum = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"], MaxItems = 7)]
    public IReadOnlyList<string> Days { get; init; } = [];

    /// <summary>IANA zone, default <c>UTC</c>.</summary>
    [Schema(MaxLength = 96, Pattern = "^[A-Za-z][A-Za-z0-9_+/-]*$")]
    public string TimeZone { get; init; } = "UTC";
}

public sealed record UniverseStatus
{
    /// <summary>Generation that was looked at.</summary>
    public long? ObservedGeneration { get; init; }

    /// <summary>Kubernetes conditions, one per type.</summary>
    [Schema(Key = "type", MaxItems = 64)]
    public IReadOnlyList<Condition> Conditions { get; init; } = [];
}
