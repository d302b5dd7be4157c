using System.Diagnostics;

namespace Rynxs.Ledger.Tests.Crashes;

/// <summary>A real file system of 1 MiB: a mounted tmpfs. Needs root; tests are skipped without.</summary>
internal sealed class SmallDisk : IAsyncDisposable
{
    private SmallDisk(string path) => Path = path;

    public string Path { get; }

    public static async Task<SmallDisk> MountAsync(string path, CancellationToken cancellationToken)
    {
        if (!Environment.IsPrivilegedProcess)
        {
            Assert.Skip("mounting a tmpfs needs root");
        }

        Directory.CreateDirectory(path);
        (int exit, string output) = await ProcessRun.RunAsync(
            "/bin/mount", ["-t", "tmpfs", "-o", "size=1m,mode=0700", "rynxs-test", path], cancellationToken);
        if (exit != 0)
        {
            Assert.Skip("a tmpfs cannot be mounted here: " + output.Trim());
        }

        return new SmallDisk(path);
    }

    public async Task MakeReadOnlyAsync(CancellationToken cancellationToken) =>
        (await ProcessRun.RunAsync("/bin/mount", ["-o", "remount,ro", Path], cancellationToken)).Exit.ShouldBe(0);

    public async ValueTask DisposeAsync() => await ProcessRun.RunAsync("/bin/umount", ["-l", Path], CancellationToken.None);
}

/// <summary>Runs a program to its end.</summary>
internal static class ProcessRun
{
    public static async Task<(int Exit, string Output)> RunAsync(string program, string[] arguments, CancellationToken cancellationToken)
    {
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo(program, arguments) { RedirectStandardOutput = true, RedirectStandardError = true },
        };
        process.Start();
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(cancellationToken);
        await process.WaitForExitAsync(cancellationToken);
        return (process.ExitCode, await output + await error);
    }
}
