namespace Rynxs.Resources.Tests;

/// <summary>How much to try: a little with every change, fifty times as much with <c>RYNXS_SOAK=1</c>.</summary>
internal static class Soak
{
    public static int Count(int usual) => Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? usual * 50 : usual;
}
