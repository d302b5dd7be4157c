namespace Rynxs.Server.Tests.Kit;

/// <summary>Whether this machine can run real sandboxes.</summary>
public static class SandboxHost
{
    /// <summary>Skips the test, with the reason, where it cannot.</summary>
    public static void Require()
    {
        if (!Environment.IsPrivilegedProcess)
        {
            Assert.Skip("needs root: cgroups and mounts");
        }

        bool runsc = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Any(directory => File.Exists(Path.Combine(directory, "runsc")));
        if (!runsc)
        {
            Assert.Skip("needs runsc in PATH");
        }
    }
}
