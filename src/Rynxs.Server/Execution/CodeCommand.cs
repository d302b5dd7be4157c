using System.Globalization;
using System.Text;
using Rynxs.Sandbox;

namespace Rynxs.Server.Execution;

/// <summary>How code reaches its interpreter: never through an argument, a file or a shell's quoting, and the program's standard input stays its own.</summary>
internal static class CodeCommand
{
    // The appended x keeps trailing newlines, which command substitution would drop.
    private const string Bash = """
        __code="$(head -c "$1"; echo x)"; __code="${__code%x}"; shift; eval "$__code"
        """;

    /// <summary>Program, arguments and standard input for some code; the rest is the caller's.</summary>
    public static ExecutionRequest Build(ExecuteRequest request)
    {
        byte[] code = Encoding.UTF8.GetBytes(request.Language == CodeLanguage.Bash ? request.Code + "\n" : request.Code);
        byte[] input = Encoding.UTF8.GetBytes(request.Stdin);
        return request.Language switch
        {
            CodeLanguage.Python => new ExecutionRequest { ExecutionId = "", Arguments = [], PythonSource = code, StandardInput = input },
            CodeLanguage.Bash => new ExecutionRequest
            {
                ExecutionId = "",
                Arguments = ["bash", "-c", Bash, "bash", code.Length.ToString(CultureInfo.InvariantCulture)],
                StandardInput = (byte[])[.. code, .. input],
            },
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }
}
