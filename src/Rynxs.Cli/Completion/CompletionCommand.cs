using System.CommandLine;
using Rynxs.Cli.Terminal;

namespace Rynxs.Cli.Completion;

/// <summary><c>rynxs completion SHELL</c>: scripts that ask this program itself (its <c>[suggest]</c> directive), so they never go stale.</summary>
internal static class CompletionCommand
{
    private const string Bash = """
        # bash completion for rynxs. Load it with: source <(rynxs completion bash)
        _rynxs_complete() {
          local program=${COMP_WORDS[0]} line=${COMP_LINE} point=${COMP_POINT} word=${COMP_WORDS[COMP_CWORD]}
          # The program may be called by a path; it knows itself as rynxs.
          line="rynxs${line#"$program"}"
          point=$((point - ${#program} + 5))
          local IFS=$'\n'
          COMPREPLY=($(compgen -W "$("$program" "[suggest:$point]" "$line" 2>/dev/null)" -- "$word"))
        }
        complete -o default -F _rynxs_complete rynxs ./rynxs
        """;

    private const string Zsh = """
        #compdef rynxs
        # zsh completion for rynxs. Load it with: source <(rynxs completion zsh)
        _rynxs_complete() {
          local line="rynxs${BUFFER#${words[1]}}"
          local point=$((CURSOR - ${#words[1]} + 5))
          local -a candidates
          candidates=("${(@f)$(${words[1]} "[suggest:$point]" "$line" 2>/dev/null)}")
          compadd -- "${candidates[@]}"
        }
        compdef _rynxs_complete rynxs
        """;

    private const string Fish = """
        # fish completion for rynxs. Load it with: rynxs completion fish | source
        function __rynxs_complete
          set -l line (commandline -cp)
          set -l program (commandline -cpo)[1]
          set -l rest (string sub -s (math (string length -- $program) + 1) -- $line)
          $program "[suggest:"(string length -- "rynxs$rest")"]" "rynxs$rest" 2>/dev/null
        end
        complete -c rynxs -f -a '(__rynxs_complete)'
        """;

    public static Command Create(Screen screen)
    {
        var shell = new Argument<string>("shell") { Description = "bash, zsh or fish." };
        shell.AcceptOnlyFromAmong("bash", "zsh", "fish");
        var command = new Command("completion", "Prints a completion script for a shell.") { shell };
        command.SetAction(parsed =>
        {
            screen.Output.WriteLine(parsed.GetRequiredValue(shell) switch { "bash" => Bash, "zsh" => Zsh, _ => Fish });
            return ExitCodes.Ok;
        });
        return command;
    }
}
