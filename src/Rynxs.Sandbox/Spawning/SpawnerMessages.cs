using System.Text.Json.Serialization;

namespace Rynxs.Sandbox.Spawning;

/// <summary>From us to the spawner: one JSON object per packet. A start carries standard input, output and error by SCM_RIGHTS.</summary>
/// <param name="Id">Number of the request, unique per connection.</param>
/// <param name="Action"><c>start</c>, <c>prepare</c> or <c>release</c>.</param>
/// <param name="Arguments">Of the program, for a start.</param>
/// <param name="Cgroup">See <see cref="SpawnRequest"/>.</param>
internal sealed record SpawnerRequest(long Id, string Action, IReadOnlyList<string>? Arguments, string? Cgroup);

/// <summary>From the spawner: that a process runs (its pidfd comes along), that it could not be started, or that it ended.</summary>
/// <param name="Id">Of the request; 0 for the greeting.</param>
/// <param name="Pid">It runs.</param>
/// <param name="Refused">It cannot be started: the reason.</param>
/// <param name="Status">It ended with this wait status.</param>
/// <param name="Filtered">In the greeting: whether the membarrier filter could be installed.</param>
internal sealed record SpawnerReply(long Id, int? Pid = null, string? Refused = null, int? Status = null, bool? Filtered = null);

[JsonSourceGenerationOptions(DefaultIgnoreCondition = JsonIgnoreCondition.WhenWritingNull)]
[JsonSerializable(typeof(SpawnerRequest))]
[JsonSerializable(typeof(SpawnerReply))]
internal sealed partial class SpawnerJson : JsonSerializerContext
{
    /// <summary>Largest packet either way: a command line of ours has a few hundred bytes.</summary>
    public const int MaxPacketBytes = 128 * 1024;
}
