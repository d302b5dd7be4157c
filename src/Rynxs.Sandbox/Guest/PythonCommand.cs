using System.Globalization;

namespace Rynxs.Sandbox.Guest;

/// <summary>
/// How a Python program reaches a new interpreter: as the first bytes of standard input, read exactly, so that its size is not bound by the length of
/// an argument, nothing is written to disk, no shell quotes anything, and the rest of standard input is the program's own.
/// </summary>
internal static class PythonCommand
{
    private const string Loader = """
        import os,sys,linecache
        n=int(sys.argv[1]);b=bytearray()
        while len(b)<n:
            c=os.read(0,n-len(b))
            if not c:break
            b+=c
        s=b.decode('utf-8');del sys.argv[1:2],b,n
        sys.argv[0]='main.py'
        linecache.cache['main.py']=(len(s),None,s.splitlines(True),'main.py')
        g={'__name__':'__main__','__builtins__':__builtins__,'__file__':'main.py'}
        exec(compile(s,'main.py','exec'),g)
        """;

    public static (IReadOnlyList<string> Arguments, ReadOnlyMemory<byte> StandardInput) Build(
        ReadOnlyMemory<byte> source, IReadOnlyList<string> arguments, ReadOnlyMemory<byte> input) =>
        (["python3", "-c", Loader, source.Length.ToString(CultureInfo.InvariantCulture), .. arguments], (byte[])[.. source.Span, .. input.Span]);
}
