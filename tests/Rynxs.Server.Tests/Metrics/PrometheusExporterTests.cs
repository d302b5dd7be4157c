using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Rynxs.Server.Metrics;

namespace Rynxs.Server.Tests.Metrics;

public sealed class PrometheusExporterTests : IDisposable
{
    private readonly ServiceProvider _services = new ServiceCollection().AddMetrics().BuildServiceProvider();
    private readonly IMeterFactory _meters;
    private readonly PrometheusExporter _exporter;

    public PrometheusExporterTests()
    {
        _meters = _services.GetRequiredService<IMeterFactory>();
        _exporter = new PrometheusExporter(_meters);
    }

    public void Dispose()
    {
        _exporter.Dispose();
        _services.Dispose();
    }

    [Fact]
    public void What_the_server_observes_is_exported_with_its_real_value()
    {
        using var metrics = new ServerMetrics(_meters);
        metrics.Observe(() => 0, () => 1, () => 42);
        metrics.RequestEnded("GET", "/health", 200, TimeSpan.FromMilliseconds(3));

        IReadOnlyDictionary<string, double> samples = ExpositionFormat.Parse(_exporter.Write());

        samples["rynxs_agents_running"].ShouldBe(1);
        samples["rynxs_ledger_control_head_seq"].ShouldBe(42);
        samples["rynxs_http_requests_total{method=\"GET\",route=\"/health\",status=\"200\"}"].ShouldBe(1);
        samples["rynxs_http_request_duration_seconds_bucket{method=\"GET\",route=\"/health\",le=\"0.0025\"}"].ShouldBe(0);
        samples["rynxs_http_request_duration_seconds_bucket{method=\"GET\",route=\"/health\",le=\"0.005\"}"].ShouldBe(1);
    }

    [Fact]
    public void F4_hostile_label_values_and_names_stay_inside_their_quotes()
    {
        using Meter meter = _meters.Create("Rynxs.Test");
        meter.CreateCounter<long>("rynxs.test-total!", null, "help with \\ and\nnewline").Add(
            1, new KeyValuePair<string, object?>("bad name", "a\"} 1\nforged_metric 7\n\\"));

        IReadOnlyDictionary<string, double> samples = ExpositionFormat.Parse(_exporter.Write());

        samples.Keys.ShouldNotContain("forged_metric");
        samples.Keys.ShouldContain(name => name.StartsWith("rynxs_test_total__total", StringComparison.Ordinal));
    }

    [Fact]
    public void G6_label_sets_beyond_the_bound_are_counted_and_not_kept()
    {
        using Meter meter = _meters.Create("Rynxs.Test");
        Counter<long> counter = meter.CreateCounter<long>("rynxs_flood_total");
        for (int i = 0; i < PrometheusExporter.MaxSeries + 50; i++)
        {
            counter.Add(1, new KeyValuePair<string, object?>("n", i));
        }

        IReadOnlyDictionary<string, double> samples = ExpositionFormat.Parse(_exporter.Write());

        samples.Keys.Count(name => name.StartsWith("rynxs_flood_total", StringComparison.Ordinal)).ShouldBe(PrometheusExporter.MaxSeries);
        samples["rynxs_metric_series_dropped_total"].ShouldBe(50);
    }

    [Fact]
    public void Meters_of_others_and_of_another_server_are_left_out()
    {
        using ServiceProvider other = new ServiceCollection().AddMetrics().BuildServiceProvider();
        using Meter foreign = other.GetRequiredService<IMeterFactory>().Create("Rynxs.Other");
        using Meter framework = _meters.Create("System.Something");
        using Meter ours = _meters.Create("Rynxs.Ours");
        foreign.CreateCounter<long>("rynxs_foreign_total").Add(1);
        framework.CreateCounter<long>("something_total").Add(1);
        ours.CreateCounter<long>("rynxs_ours_total").Add(1);

        IReadOnlyDictionary<string, double> samples = ExpositionFormat.Parse(_exporter.Write());

        samples.Keys.ShouldContain("rynxs_ours_total");
        samples.Keys.ShouldNotContain("rynxs_foreign_total");
        samples.Keys.ShouldNotContain("something_total");
    }

    [Fact]
    public async Task Promtool_accepts_what_is_exported()
    {
        string? promtool = (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':').Select(directory => Path.Combine(directory, "promtool")).FirstOrDefault(File.Exists);
        if (promtool is null)
        {
            Assert.Skip("promtool is not installed (Debian package prometheus)");
        }

        using var metrics = new ServerMetrics(_meters);
        metrics.RequestEnded("GET", "/health", 200, TimeSpan.FromMilliseconds(3));
        using var process = new Process { StartInfo = new ProcessStartInfo(promtool) { RedirectStandardInput = true, RedirectStandardError = true, RedirectStandardOutput = true } };
        process.StartInfo.ArgumentList.Add("check");
        process.StartInfo.ArgumentList.Add("metrics");
        process.Start();
        await process.StandardInput.WriteAsync(_exporter.Write());
        process.StandardInput.Close();
        string errors = await process.StandardError.ReadToEndAsync(TestContext.Current.CancellationToken);
        await process.WaitForExitAsync(TestContext.Current.CancellationToken);

        errors.ShouldNotContain("error while linting");
        errors.ShouldNotContain("parse error");
    }
}
