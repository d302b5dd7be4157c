using Rynxs.Cli;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Execution;

return SandboxSpawnerRole.TryRun(args) ?? await CommandLine.RunAsync(args, Screen.ForProcess());
