using Rynxs.Cli;
using Rynxs.Cli.Terminal;

return await CommandLine.RunAsync(args, Screen.ForProcess());
