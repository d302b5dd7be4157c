namespace Rynxs.ResourceServer.Tests.Kit;

/// <summary>How much to try: a little with every change, twenty times as much with <c>RYNXS_SOAK=1</c>.</summary>
internal static class Soak
{
    public static bool Wanted => Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1";

    public static int Count(int usual) => Wanted ? usual * 20 : usual;
}
