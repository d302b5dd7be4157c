using Xunit.MicrosoftTestingPlatform;
using Xunit.Runner.InProc.SystemConsole;

namespace Rynxs.Ledger.Stores.Tests;

/// <summary>Runs the tests, or, started by a crash test, the writer that it kills.</summary>
internal static class Program
{
    public static async Task<int> Main(string[] args)
    {
        if (args is [StoreWriter.Argument, ..])
        {
            return await StoreWriter.RunAsync(args[1..]);
        }

        return args.Any(argument => argument is "--server" or "--internal-msbuild-node")
            ? await TestPlatformTestFramework.RunAsync(args, SelfRegisteredExtensions.AddSelfRegisteredExtensions)
            : await ConsoleRunner.Run(args);
    }
}
