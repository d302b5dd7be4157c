using System.Diagnostics;

namespace Rynxs.Testing;

/// <summary>A private directory that goes with the test.</summary>
internal sealed class TemporaryDirectory : IDisposable
{
    public string Path { get; } = Directory.CreateTempSubdirectory("rynxs-test-").FullName;

    public static implicit operator string(TemporaryDirectory directory) => directory.Path;

    public string File(string name) => System.IO.Path.Combine(Path, name);

    public string At(params string[] parts) => System.IO.Path.Combine([Path, .. parts]);

    /// <summary>By rm: .NET cannot delete names that are not UTF-8, and attacks make some.</summary>
    public void Dispose()
    {
        using Process remove = Process.Start(new ProcessStartInfo("rm", ["-rf", Path])).ShouldNotBeNull();
        remove.WaitForExit();
    }
}
