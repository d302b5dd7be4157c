namespace Rynxs.EndToEndTests.Kubectl;

/// <summary>The programs of others that these tests drive the server with; <c>./test</c> gets them (eng/setup.sh).</summary>
internal static class KubernetesTools
{
    private static readonly string Tools = Path.Combine(RynxsProgram.Repository, "artifacts", "tools");

    /// <summary>Search path with the tools first.</summary>
    public static string SearchPath => Tools + ":" + Environment.GetEnvironmentVariable("PATH");

    /// <summary>Where npm packages are.</summary>
    public static string NodeModules => Path.Combine(Tools, "node", "node_modules");

    /// <summary>Skips the test where a program is missing.</summary>
    public static void Require(params string[] programs)
    {
        string[] missing = [.. programs.Where(program => !SearchPath.Split(':').Any(directory => File.Exists(Path.Combine(directory, program))))];
        Assert.SkipUnless(missing.Length == 0, $"not here: {string.Join(", ", missing)} (./test gets them from npm; is this machine offline?)");
    }

    /// <summary>Skips the test where an npm package is missing.</summary>
    public static void RequirePackage(string name)
    {
        Require("node");
        Assert.SkipUnless(Directory.Exists(Path.Combine(NodeModules, name)), $"the npm package {name} is not here (./test gets it; is this machine offline?)");
    }

    /// <summary>kube-apiserver and etcd where envtest keeps them; null when they are not on this machine.</summary>
    public static string? RealApiServer => ((string?[])[Environment.GetEnvironmentVariable("KUBEBUILDER_ASSETS"), "/usr/local/kubebuilder/bin"])
        .FirstOrDefault(directory => directory is { Length: > 0 } && File.Exists(Path.Combine(directory, "kube-apiserver")) && File.Exists(Path.Combine(directory, "etcd")));
}
