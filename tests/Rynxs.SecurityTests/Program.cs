using Rynxs.Server.Execution;
using Rynxs.Server.Hosting;

namespace Rynxs.SecurityTests;

/// <summary>Runs the tests, or, as the child of a kill test, the server that is going to be killed.</summary>
internal static class Program
{
    internal const string HostArgument = "--host-server";

    private static async Task<int> Main(string[] arguments)
    {
        // A host that is killed leaves its spawner, which removes what the host leaves, also when the test run is over by then.
        if (SandboxSpawnerRole.TryRun(arguments) is { } spawned)
        {
            return spawned;
        }

        if (LedgerRoleChildren.TryRunAsync(arguments) is { } child)
        {
            return await child;
        }

        if (arguments is not [HostArgument, string state, .. string[] rest])
        {
            return await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(arguments);
        }

        RynxsServer server = await RynxsServer.StartAsync(
            new ServerOptions
            {
                StateDirectory = state,
                Listen = "127.0.0.1:0",
                DrainSeconds = 5,
                WarmSandboxes = rest is [string warm] ? int.Parse(warm, System.Globalization.CultureInfo.InvariantCulture) : 0,
                LedgerDecorator = CrashingLedger.FromEnvironment(),
                InitialNamespaces = ["rynxs", "team"],
            },
            CancellationToken.None);
        await Console.Out.WriteLineAsync($"{server.Url} {server.AdminToken}");
        await Console.Out.FlushAsync();

        // Ends with the process that started it even when that one is killed itself.
        await Console.In.ReadToEndAsync();
        await server.StopAsync(CancellationToken.None);
        return 0;
    }
}
