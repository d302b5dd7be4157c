namespace Rynxs.Ledger.Tests;

/// <summary>Whether the long forms of crash loops and fuzzers were asked for: <c>RYNXS_SOAK=1</c>.</summary>
internal static class Soak
{
    public static bool Enabled { get; } = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1";
}
