using System.Text.Json;

namespace Rynxs.Policy;

/// <summary>A call that a model wants to make.</summary>
/// <param name="Agent"><c>NAMESPACE/NAME</c>.</param>
/// <param name="Tool">Tool name, such as <c>sandbox.shell</c>.</param>
/// <param name="Arguments">The arguments, an object.</param>
public sealed record ToolCall(string Agent, string Tool, JsonElement Arguments);
