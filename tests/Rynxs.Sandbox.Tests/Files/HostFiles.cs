using System.ComponentModel;
using System.Diagnostics;
using System.Runtime.InteropServices;
using System.Text;
using Rynxs.Sandbox.Files;

namespace Rynxs.Sandbox.Tests.Files;

/// <summary>A private directory with a workspace and something secret beside it.</summary>
internal sealed class HostFiles : IDisposable
{
    public const string Secret = "outside-secret";

    public HostFiles()
    {
        Base = Directory.CreateTempSubdirectory("rynxs-files-").FullName;
        Workspace = Path.Combine(Base, "workspace");
        Outside = Path.Combine(Base, "workspace-evil");
        Directory.CreateDirectory(Workspace);
        Directory.CreateDirectory(Outside);
        File.WriteAllText(Path.Combine(Outside, "file"), Secret);
        Tools = WorkspaceFiles.Open(Workspace);
    }

    public string Base { get; }

    public string Workspace { get; }

    public string Outside { get; }

    public WorkspaceFiles Tools { get; }

    public static bool IsRoot => Environment.IsPrivilegedProcess;

    public static string CodeOf(Action action) => Should.Throw<FileAccessException>(action).Code;

    public string In(string path) => Path.Combine(Workspace, path);

    public string ReadText(string path) => Encoding.UTF8.GetString(Tools.Read(path).Data.Span);

    public void WriteText(string path, string text) => Tools.Write(path, Encoding.UTF8.GetBytes(text));

    public WorkspaceListing List(string path = "", bool recursive = false, int maxEntries = 1000) =>
        Tools.List(path, recursive, maxEntries, TestContext.Current.CancellationToken);

    public SearchResult Search(string pattern, string path = "", bool regex = false, int maxMatches = 200) =>
        Tools.Search(pattern, path, regex, maxMatches, TestContext.Current.CancellationToken);

    public static void Run(string program, params string[] arguments)
    {
        var start = new ProcessStartInfo(program) { RedirectStandardError = true };
        foreach (string argument in arguments)
        {
            start.ArgumentList.Add(argument);
        }

        using Process process = Process.Start(start) ?? throw new InvalidOperationException(program);
        string error = process.StandardError.ReadToEnd();
        process.WaitForExit();
        process.ExitCode.ShouldBe(0, $"{program} {string.Join(' ', arguments)}: {error}");
    }

    /// <summary>Swaps two names in one step, as a hostile guest would.</summary>
    public static void Exchange(string a, string b)
    {
        const uint exchange = 2;
        if (renameat2(-100, Encoding.UTF8.GetBytes(a + '\0'), -100, Encoding.UTF8.GetBytes(b + '\0'), exchange) != 0)
        {
            throw new Win32Exception();
        }
    }

    public void Dispose()
    {
        Tools.Dispose();
        Run("rm", "-rf", Base); // names that are not text are beyond Directory.Delete
    }

    [DllImport("libc", SetLastError = true)]
    [DefaultDllImportSearchPaths(DllImportSearchPath.SafeDirectories)]
    private static extern int renameat2(int oldDirectory, byte[] oldPath, int newDirectory, byte[] newPath, uint flags);
}
