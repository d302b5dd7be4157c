using Rynxs.Sandbox.Spawning;

// The tests' own program is also the spawner of the runtimes that they make, as the product's program is.
return SandboxSpawner.TryRun(args) ?? await Xunit.Runner.InProc.SystemConsole.ConsoleRunner.Run(args);
