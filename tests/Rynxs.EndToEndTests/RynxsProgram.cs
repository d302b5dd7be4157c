using System.Diagnostics;
using System.Text;

namespace Rynxs.EndToEndTests;

/// <summary>The built command line as a real process: what a user runs, with nothing of the test's process in it.</summary>
internal static class RynxsProgram
{
    /// <summary>One generous limit: whoever hits it hangs.</summary>
    private static readonly TimeSpan Limit = TimeSpan.FromMinutes(3);

    public static string Path { get; } = System.IO.Path.Combine(AppContext.BaseDirectory, "rynxs");

    /// <summary>The clone that this test was built from.</summary>
    public static string Repository { get; } = FindRepository();

    /// <summary>Runs it to its end. The environment of the test counts, but no RYNXS_ variable of it.</summary>
    public static Task<Finished> RunAsync(params string[] arguments) => RunAsync(new Invocation { Arguments = arguments });

    public static async Task<Finished> RunAsync(Invocation invocation)
    {
        using Process process = Start(invocation);
        Task<string> output = process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
        Task<string> error = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        if (invocation.Input is not null)
        {
            await process.StandardInput.BaseStream.WriteAsync(invocation.Input.Value, TestContext.Current.CancellationToken);
        }

        process.StandardInput.Close();
        using var limit = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        limit.CancelAfter(invocation.Limit ?? Limit);
        try
        {
            await process.WaitForExitAsync(limit.Token);
        }
        catch (OperationCanceledException)
        {
            process.Kill(entireProcessTree: true);
            throw new TimeoutException($"{string.Join(' ', invocation.Arguments)} did not end: {await output}{await error}");
        }

        return new Finished(process.ExitCode, await output, await error);
    }

    public static Process Start(Invocation invocation)
    {
        var start = new ProcessStartInfo(invocation.Program ?? Path)
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
            StandardOutputEncoding = Encoding.UTF8,
            StandardErrorEncoding = Encoding.UTF8,
            WorkingDirectory = invocation.WorkingDirectory ?? System.IO.Path.GetTempPath(),
        };
        foreach (string argument in invocation.Arguments)
        {
            start.ArgumentList.Add(argument);
        }

        foreach (string name in (string[])["RYNXS_STATE", "RYNXS_SERVER", "RYNXS_TOKEN", "RYNXS_YES", "KUBECONFIG"])
        {
            start.Environment.Remove(name);
        }

        foreach ((string name, string value) in invocation.Environment)
        {
            start.Environment[name] = value;
        }

        return Process.Start(start) ?? throw new InvalidOperationException($"{start.FileName} did not start.");
    }

    private static string FindRepository()
    {
        string? directory = AppContext.BaseDirectory;
        while (directory is not null && !File.Exists(System.IO.Path.Combine(directory, "Rynxs.slnx")))
        {
            directory = System.IO.Path.GetDirectoryName(directory);
        }

        return directory ?? throw new InvalidOperationException("The test does not run inside a clone.");
    }
}

/// <summary>What to run.</summary>
internal sealed record Invocation
{
    public required IReadOnlyList<string> Arguments { get; init; }

    /// <summary>Null for the built command line.</summary>
    public string? Program { get; init; }
    public IReadOnlyDictionary<string, string> Environment { get; init; } = new Dictionary<string, string>();
    public ReadOnlyMemory<byte>? Input { get; init; }
    public string? WorkingDirectory { get; init; }
    public TimeSpan? Limit { get; init; }
}

/// <summary>How it ended.</summary>
internal sealed record Finished(int ExitCode, string Output, string Error)
{
    /// <summary>Both streams, for messages of failed assertions.</summary>
    public string All => $"exit code {ExitCode}\n--- output\n{Output}\n--- error\n{Error}";
}
