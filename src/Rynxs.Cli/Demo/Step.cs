namespace Rynxs.Cli.Demo;

/// <summary>One step: what it shows, what must happen, and how to find out.</summary>
/// <param name="Title">What it shows.</param>
/// <param name="Expected">What must happen.</param>
/// <param name="RunAsync">Does it for real and reports what happened.</param>
internal sealed record Step(string Title, string Expected, Func<CancellationToken, Task<Observation>> RunAsync);

/// <summary>What really happened.</summary>
/// <param name="Held">Whether it is what was expected.</param>
/// <param name="Facts">What was seen, each with a short label. Untrusted text.</param>
internal sealed record Observation(bool Held, params IReadOnlyList<(string Label, string Text)> Facts);
