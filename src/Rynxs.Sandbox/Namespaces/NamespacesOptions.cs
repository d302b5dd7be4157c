using Rynxs.Sandbox.GVisor;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>Settings of the namespaces runtime.</summary>
public sealed record NamespacesOptions
{
    /// <summary>Added to the state's key, so that neither this runtime nor gVisor's ever takes the other's sandboxes for leftovers.</summary>
    private const string KeySuffix = "n";

    /// <summary>12 lowercase hexadecimal digits that name the state directory (<see cref="GVisorOptions.StateKeyOf"/>).</summary>
    public required string StateKey { get; init; }

    /// <summary>Parent of the run directory, which is <c>RunRoot/StateKey</c> and an <c>n</c>.</summary>
    public string RunRoot { get; init; } = "/run/rynxs";

    /// <summary>The <c>bwrap</c> executable (bubblewrap 0.8 or later): a path, or a name looked up in PATH.</summary>
    public string BubblewrapPath { get; init; } = "bwrap";

    public TimeProvider TimeProvider { get; init; } = TimeProvider.System;

    internal string Key => StateKey + KeySuffix;

    internal string RunDirectory => Path.Combine(RunRoot, Key);

    /// <summary>For the lock on the run directory, which both runtimes share the code of.</summary>
    internal GVisorOptions ForLock => new() { StateKey = Key, RunRoot = RunRoot, TimeProvider = TimeProvider };
}
