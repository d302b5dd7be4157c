using System.Globalization;
using System.Text;

namespace Rynxs.Server.Execution;

/// <summary>
/// How code reaches its interpreter: as the first bytes of standard input, read exactly, so that its size is not bound by the length of
/// an argument, nothing is written to disk, no shell quotes anything, and the rest of standard input is the program's own.
/// </summary>
internal static class CodeCommand
{
    private const string Python = """
        import os,sys,linecache
        n=int(sys.argv[1]);b=bytearray()
        while len(b)<n:
            c=os.read(0,n-len(b))
            if not c:break
            b+=c
        s=b.decode('utf-8');del sys.argv[1:],b,n
        sys.argv[0]='main.py'
        linecache.cache['main.py']=(len(s),None,s.splitlines(True),'main.py')
        g={'__name__':'__main__','__builtins__':__builtins__,'__file__':'main.py'}
        exec(compile(s,'main.py','exec'),g)
        """;

    // The appended x keeps trailing newlines, which command substitution would drop.
    private const string Bash = """
        __code="$(head -c "$1"; echo x)"; __code="${__code%x}"; shift; eval "$__code"
        """;

    /// <summary>Program, arguments and standard input for some code.</summary>
    public static (IReadOnlyList<string> Arguments, ReadOnlyMemory<byte> StandardInput) Build(ExecuteRequest request)
    {
        byte[] code = Encoding.UTF8.GetBytes(request.Language == CodeLanguage.Bash ? request.Code + "\n" : request.Code);
        byte[] input = [.. code, .. Encoding.UTF8.GetBytes(request.Stdin)];
        string length = code.Length.ToString(CultureInfo.InvariantCulture);
        return request.Language switch
        {
            CodeLanguage.Python => (["python3", "-c", Python, length], input),
            CodeLanguage.Bash => (["bash", "-c", Bash, "bash", length], input),
            _ => throw new System.Diagnostics.UnreachableException(),
        };
    }
}
