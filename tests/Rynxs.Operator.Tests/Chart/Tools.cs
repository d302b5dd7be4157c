using System.Diagnostics;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Operator.Tests.Chart;

/// <summary>helm and kubectl, as <c>./test</c> gets them from npm; tests are skipped where they are not.</summary>
internal static class Tools
{
    public static string Repository { get; } = FindRepository();

    private static readonly string SearchPath = Path.Combine(Repository, "artifacts", "tools") + ":" + Environment.GetEnvironmentVariable("PATH");

    public static void Require(params string[] programs)
    {
        string[] missing = [.. programs.Where(program => Find(program) is null)];
        Assert.SkipUnless(missing.Length == 0, $"not here: {string.Join(", ", missing)} (./test gets them from npm; is this machine offline?)");
    }

    /// <summary>Runs a program to its end; what it writes is both its outputs.</summary>
    public static async Task<(int Code, string Text)> RunAsync(string program, string? input, IReadOnlyDictionary<string, string> environment, params string[] arguments)
    {
        var start = new ProcessStartInfo(Find(program) ?? program) { RedirectStandardInput = true, RedirectStandardOutput = true, RedirectStandardError = true, WorkingDirectory = Repository };
        foreach (string argument in arguments)
            start.ArgumentList.Add(argument);
        start.Environment["PATH"] = SearchPath;
        start.Environment.Remove("KUBECONFIG");
        foreach ((string name, string value) in environment)
            start.Environment[name] = value;
        using Process process = Process.Start(start).ShouldNotBeNull();
        Task<string> output = process.StandardOutput.ReadToEndAsync(Ct), errors = process.StandardError.ReadToEndAsync(Ct);
        if (input is not null)
            await process.StandardInput.WriteAsync(input);
        process.StandardInput.Close();
        await process.WaitForExitAsync(Ct);
        return (process.ExitCode, await output + await errors);
    }

    public static Task<(int Code, string Text)> HelmAsync(params string[] arguments) => RunAsync("helm", null, new Dictionary<string, string>(), arguments);

    private static string? Find(string program) => SearchPath.Split(':').Select(directory => Path.Combine(directory, program)).FirstOrDefault(File.Exists);

    private static string FindRepository()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(Path.Combine(directory, "Rynxs.slnx")))
            directory = Path.GetDirectoryName(directory);
        return directory ?? throw new InvalidOperationException("The test does not run inside a clone.");
    }
}
