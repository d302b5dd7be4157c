using System.ComponentModel;
using System.Diagnostics;
using System.Net;
using System.Runtime.CompilerServices;
using System.Text.Json;
using System.Text.RegularExpressions;
using Rynxs.Resources.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Metrics;

/// <summary>The alert rules and the dashboard name metrics and labels that a real server exports, and Prometheus' own tool takes them.</summary>
public sealed partial class MonitoringFilesTests
{
    [Fact]
    public async Task Alerts_and_dashboard_name_only_metrics_and_labels_that_a_server_exports()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        await server.PostAsync("/api/v1/sandbox/execute", """{"agent_id":"a","language":"bash","code":"cat /dev/kmsg; unshare -m true; exit 0"}""");
        using HttpClient nobody = server.Client(null);
        await server.GetAsync("/metrics", HttpStatusCode.Unauthorized, nobody);
        using HttpClient auditor = server.ClientFor("prometheus", Role.Auditor);
        string text = await server.GetTextAsync("/metrics", auditor);
        HashSet<string> exported = [.. ExpositionFormat.Parse(text).Keys.Select(series => series.Split('{')[0])];
        HashSet<string> labels = [.. Label().Matches(text).Select(match => match.Groups[1].Value), "le", "job"];

        string[] expressions = [.. Expressions(Read("alerts.yaml")), .. DashboardExpressions(Read("dashboard.json"))];
        expressions.Length.ShouldBeGreaterThan(20);
        string[] names = [.. expressions.SelectMany(expression => Metric().Matches(expression)).Select(match => match.Value).Distinct()];
        names.Length.ShouldBeGreaterThan(7);
        names.Where(name => !exported.Contains(name)).ShouldBeEmpty();
        string[] used = [.. expressions.SelectMany(expression => UsedLabels().Matches(expression)).SelectMany(match => match.Groups[1].Value.Split(',', StringSplitOptions.TrimEntries)).Distinct()];
        used.Length.ShouldBeGreaterThan(5);
        used.Where(label => !labels.Contains(label)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Promtool_takes_the_rules_and_they_fire_as_their_tests_say()
    {
        string directory = DirectoryOf();
        foreach (string[] arguments in (string[][])[["check", "rules", "alerts.yaml"], ["test", "rules", "alerts.test.yaml"], ["check", "config", "--syntax-only", "prometheus.yaml"]])
        {
            try
            {
                using Process process = Process.Start(new ProcessStartInfo("promtool", arguments) { WorkingDirectory = directory, RedirectStandardOutput = true, RedirectStandardError = true })
                    ?? throw new InvalidOperationException("promtool");
                Task<string> errors = process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
                string output = await process.StandardOutput.ReadToEndAsync(TestContext.Current.CancellationToken);
                await process.WaitForExitAsync(TestContext.Current.CancellationToken);
                process.ExitCode.ShouldBe(0, output + await errors);
            }
            catch (Win32Exception)
            {
                Assert.Skip("promtool (Debian: prometheus) is not on this machine");
            }
        }
    }

    private static string Read(string name) => File.ReadAllText(Path.Combine(DirectoryOf(), name));

    private static string DirectoryOf([CallerFilePath] string path = "") =>
        Path.GetFullPath(Path.Combine(RepositoryOf(path), "deploy", "monitoring"));

    /// <summary>The source's path is mapped in deterministic builds; the working directory's parents are looked at then.</summary>
    private static string RepositoryOf(string path)
    {
        foreach (string? start in (string?[])[Path.GetDirectoryName(path), AppContext.BaseDirectory, Environment.CurrentDirectory])
        {
            for (DirectoryInfo? directory = start is { Length: > 0 } && Path.IsPathFullyQualified(start) ? new DirectoryInfo(start) : null; directory is not null; directory = directory.Parent)
            {
                if (File.Exists(Path.Combine(directory.FullName, "Rynxs.slnx")))
                {
                    return directory.FullName;
                }
            }
        }

        throw new InvalidOperationException("the repository was not found");
    }

    /// <summary>Of the rules' YAML: what follows <c>expr:</c>, and the lines of a block below it.</summary>
    private static IEnumerable<string> Expressions(string yaml)
    {
        string[] lines = yaml.Split('\n');
        for (int i = 0; i < lines.Length; i++)
        {
            if (lines[i].TrimStart() is not { } line || !line.StartsWith("expr:", StringComparison.Ordinal))
            {
                continue;
            }

            int indent = lines[i].Length - line.Length;
            yield return line == "expr: |"
                ? string.Join(' ', lines.Skip(i + 1).TakeWhile(below => below.Length - below.TrimStart().Length > indent))
                : line[5..];
        }
    }

    private static IEnumerable<string> DashboardExpressions(string json) => JsonDocument.Parse(json).RootElement.GetProperty("panels").EnumerateArray()
        .SelectMany(panel => panel.GetProperty("targets").EnumerateArray().Select(target => target.GetProperty("expr").GetString() ?? ""));

    [GeneratedRegex(@"\b(?:hardened_sandbox|active_hardened|rynxs)_[a-z_]+\b")]
    private static partial Regex Metric();

    [GeneratedRegex("[{,]([a-z_]+)=\"")]
    private static partial Regex Label();

    [GeneratedRegex(@"(?:\bby \(|\{)([a-z_]+(?:, *[a-z_]+)*)(?=\)|=)")]
    private static partial Regex UsedLabels();
}
