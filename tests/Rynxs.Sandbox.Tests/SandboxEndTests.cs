using System.Diagnostics;
using System.Diagnostics.Metrics;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Rynxs.Sandbox.GVisor;

namespace Rynxs.Sandbox.Tests;

/// <summary>A sandbox may be ended at any moment of its life.</summary>
public sealed class SandboxEndTests(SandboxHost host)
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;

    [Fact]
    public async Task Destroyed_while_a_program_runs_ends_the_program_as_cancelled()
    {
        ISandbox sandbox = await host.NewSandboxAsync();
        var running = new TaskCompletionSource();
        Task<ExecutionResult> program = sandbox.ExecuteAsync(
            new ExecutionRequest { ExecutionId = "x", Arguments = ["/bin/bash", "-c", "echo on; sleep 60"], OnOutput = _ => running.TrySetResult() }, Token);
        await running.Task.WaitAsync(TimeSpan.FromSeconds(30), Token);

        await sandbox.DisposeAsync();

        (await program).Reason.ShouldBe(TerminationReason.Cancelled);
        (await program).ExitCode.ShouldBeNull();
        sandbox.Ended.IsCancellationRequested.ShouldBeTrue();
    }

    [Fact]
    public async Task Destroyed_at_any_moment_of_an_execution_gives_a_result_or_a_clear_refusal_and_leaves_nothing()
    {
        host.SkipUnlessAvailable();
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey());
        for (int milliseconds = 0; milliseconds < 120; milliseconds += 20)
        {
            ISandbox sandbox = await runtime.CreateAsync(Spec(), Token);
            Task<ExecutionResult> program = Task.Run(() => sandbox.ShellAsync("sleep 0.05; exit 3"), Token);
            await Task.Delay(milliseconds, Token);
            await sandbox.DisposeAsync();
            try
            {
                (await program).Reason.ShouldBeOneOf(TerminationReason.Cancelled, TerminationReason.NonzeroExit);
            }
            catch (SandboxStartException ended)
            {
                ended.Message.ShouldNotBeEmpty();
            }
        }

        runtime.List().ShouldBeEmpty();
        (await runtime.FindLeftoversAsync(Token)).ShouldBeEmpty();
    }

    [Fact]
    public async Task Runtime_disposed_while_sandboxes_start_leaves_nothing_and_removes_its_run_directory()
    {
        host.SkipUnlessAvailable();
        string key = SandboxHost.NewStateKey();
        GVisorRuntime runtime = SandboxHost.NewRuntime(key);
        (await runtime.ProbeAsync(Token)).Available.ShouldBeTrue();
        string directory = "/run/rynxs/" + key;
        Directory.Exists(directory).ShouldBeTrue("positive control: it is there while the runtime lives");

        Task<ISandbox>[] starting = [.. Enumerable.Range(0, 3).Select(_ => Task.Run(() => runtime.CreateAsync(Spec(), Token), Token))];
        await Task.Delay(60, Token);
        await runtime.DisposeAsync();

        foreach (Task<ISandbox> start in starting)
        {
            Exception? refused = await Record.ExceptionAsync(() => start);
            (refused is null or ObjectDisposedException or SandboxRefusedException or SandboxStartException).ShouldBeTrue(refused?.ToString());
        }

        runtime.List().ShouldBeEmpty();
        Directory.Exists(directory).ShouldBeFalse();
    }

    [Fact]
    public async Task Many_sandboxes_leave_no_descriptor_and_no_thread_behind()
    {
        host.SkipUnlessAvailable();
        const string alone = "RYNXS_TEST_ALONE";
        if (Environment.GetEnvironmentVariable(alone) is null)
        {
            // In a process of its own: the sandboxes of tests beside this one would be counted, too.
            var start = new ProcessStartInfo(Environment.ProcessPath ?? "", ["-method", $"{typeof(SandboxEndTests).FullName}.{nameof(Many_sandboxes_leave_no_descriptor_and_no_thread_behind)}"]) { RedirectStandardOutput = true };
            start.Environment[alone] = "1";
            using Process process = Process.Start(start) ?? throw new InvalidOperationException("not started");
            string output = await process.StandardOutput.ReadToEndAsync(Token);
            await process.WaitForExitAsync(Token);
            process.ExitCode.ShouldBe(0, output);
            output.ShouldContain("Total: 1");
            return;
        }

        int rounds = int.TryParse(Environment.GetEnvironmentVariable("RYNXS_TEST_SANDBOXES"), out int asked) ? asked : 8;
        await using GVisorRuntime runtime = SandboxHost.NewRuntime(SandboxHost.NewStateKey());
        await RoundAsync();
        await RoundAsync();
        int before = Descriptors();
        for (int i = 0; i < rounds; i++)
        {
            await RoundAsync();
        }

        Descriptors().ShouldBeInRange(0, before + 2, $"{rounds} sandboxes; the runtime itself may open one or two");
        Pumps().ShouldBe(0, "no pump outlives its child");
        TestContext.Current.TestOutputHelper?.WriteLine($"{rounds} sandboxes: descriptors {before} before, {Descriptors()} after");

        async Task RoundAsync()
        {
            await using ISandbox sandbox = await runtime.CreateAsync(Spec(), Token);
            (await sandbox.ShellAsync("true")).Reason.ShouldBe(TerminationReason.Completed);
        }

        static int Descriptors() => Directory.EnumerateFileSystemEntries("/proc/self/fd").Count();

        static int Pumps() => Directory.EnumerateDirectories("/proc/self/task").Count(task => File.ReadAllText(task + "/comm").StartsWith("child ", StringComparison.Ordinal));
    }

    [Fact]
    public async Task What_every_sandbox_does_is_counted_once_and_probes_are_not()
    {
        host.SkipUnlessAvailable();
        using ServiceProvider services = new ServiceCollection().AddMetrics().BuildServiceProvider();
        var counted = new Dictionary<string, double>();
        using var listener = new MeterListener
        {
            InstrumentPublished = (instrument, self) =>
            {
                if (instrument.Meter.Name == SandboxMetrics.MeterName && ReferenceEquals(instrument.Meter.Scope, services.GetRequiredService<IMeterFactory>()))
                {
                    self.EnableMeasurementEvents(instrument);
                }
            },
        };
        listener.SetMeasurementEventCallback<long>((instrument, value, _, _) => Count(instrument.Name, value));
        listener.SetMeasurementEventCallback<int>((instrument, value, _, _) => Count(instrument.Name, value));
        listener.SetMeasurementEventCallback<double>((instrument, _, _, _) => Count(instrument.Name, 1));
        listener.Start();
        await using var runtime = new GVisorRuntime(
            new GVisorOptions { StateKey = SandboxHost.NewStateKey() }, SandboxHost.Images(), NullLogger<GVisorRuntime>.Instance, services.GetRequiredService<IMeterFactory>());

        await using ISandbox sandbox = await runtime.CreateAsync(Spec(), Token);
        await sandbox.PythonAsync("import os\ntry: os.open('/dev/kmsg', 0)\nexcept OSError: pass");
        await sandbox.ShellAsync("exit 1");
        listener.RecordObservableInstruments();

        counted["hardened_sandbox_executions_total"].ShouldBe(2, "the probes of the runtime and of the controls are ours");
        counted["hardened_sandbox_execution_duration_seconds"].ShouldBe(2);
        counted["hardened_sandbox_cold_start_duration_seconds"].ShouldBe(1);
        counted["hardened_sandbox_violations_total"].ShouldBe(1);
        counted["hardened_sandbox_escape_attempts_total"].ShouldBe(1);
        counted["active_hardened_sandboxes_count"].ShouldBe(1);

        void Count(string name, double value)
        {
            lock (counted)
            {
                counted[name] = counted.GetValueOrDefault(name) + value;
            }
        }
    }

    private SandboxSpec Spec() => new() { Owner = new SandboxOwner("tests", "end"), Image = host.Image };
}
