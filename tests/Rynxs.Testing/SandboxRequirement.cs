namespace Rynxs.Testing;

/// <summary>Whether this machine can run sandboxes; tests that need one say why they are skipped.</summary>
internal static class SandboxRequirement
{
    private static readonly string[] Programs = ["runsc", "mmdebstrap", "mkfs.erofs"];

    /// <summary>The image store that all tests share, as the servers of this machine do.</summary>
    public static string ImagesDirectory => Environment.GetEnvironmentVariable("RYNXS_IMAGES") ?? "/var/lib/rynxs/images";

    public static void Require()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "needs root: sandboxes use mounts, cgroups and namespaces");
        string[] missing = [.. Programs.Where(program => !OnPath(program))];
        Assert.SkipUnless(missing.Length == 0, $"not installed: {string.Join(", ", missing)} (./test installs them)");
    }

    private static bool OnPath(string program) => (Environment.GetEnvironmentVariable("PATH") ?? "")
        .Split(':', StringSplitOptions.RemoveEmptyEntries)
        .Any(directory => File.Exists(Path.Combine(directory, program)));
}
