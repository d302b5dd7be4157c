using System.Diagnostics;
using Rynxs.Sandbox.Files;

namespace Rynxs.Sandbox.Tests.Files;

/// <summary>A thread swaps a directory (or file) with a link out as fast as it can, while the tools work on that very path.</summary>
public sealed class WorkspaceSwapRaceTests
{
    private static readonly int Rounds = Environment.GetEnvironmentVariable("RYNXS_SOAK") == "1" ? 100_000 : 4_000;

    [Theory]
    [InlineData("d", "d/file")]
    [InlineData("f", "f")]
    public void B4_a_swap_between_check_and_open_never_reads_outside(string swapped, string path)
    {
        using var host = new HostFiles();
        Prepare(host);
        int inside = 0;
        int refused = 0;
        int leakedByNaive = 0;
        WhileSwapping(host, swapped, () =>
        {
            long began = Stopwatch.GetTimestamp();
            for (int i = 0; i < Rounds || Undecided(began, inside, refused, leakedByNaive); i++)
            {
                try
                {
                    string text = host.ReadText(path);
                    text.ShouldBe("inside");
                    inside++;
                }
                catch (FileAccessException e)
                {
                    e.Code.ShouldBeOneOf("outside_workspace", "not_found", "conflict");
                    refused++;
                }

                // Control: the usual "resolve, compare the prefix, open" through the same race does leak.
                string naive = host.In(path);
                if (IsBelow(host, naive) && File.ReadAllText(naive) == HostFiles.Secret)
                {
                    leakedByNaive++;
                }
            }
        });

        inside.ShouldBeGreaterThan(0);
        refused.ShouldBeGreaterThan(0);
        leakedByNaive.ShouldBeGreaterThan(0, "the race never happened, so this test shows nothing");
    }

    [Fact]
    public void B4_a_swap_between_check_and_open_never_writes_or_deletes_outside()
    {
        using var host = new HostFiles();
        Prepare(host);
        int written = 0;
        int refused = 0;
        WhileSwapping(host, "d", () =>
        {
            long began = Stopwatch.GetTimestamp();
            for (int i = 0; i < Rounds / 4 || Undecided(began, written, refused); i++)
            {
                try
                {
                    host.WriteText("d/new", "agent");
                    written++;
                    host.Tools.Delete("d/new");
                }
                catch (FileAccessException e)
                {
                    e.Code.ShouldBeOneOf("symlink", "outside_workspace", "not_found", "conflict", "not_a_directory");
                    refused++;
                }
            }
        });

        written.ShouldBeGreaterThan(0);
        refused.ShouldBeGreaterThan(0);
        Directory.GetFileSystemEntries(host.Outside).Select(Path.GetFileName).ShouldBe(["file"]);
    }

    [Fact]
    public void B4_a_swap_during_a_walk_never_lists_or_finds_outside()
    {
        using var host = new HostFiles();
        Prepare(host);
        File.WriteAllText(Path.Combine(host.Outside, "only-outside"), "x");
        WhileSwapping(host, "d", () =>
        {
            for (int i = 0; i < Rounds / 10; i++)
            {
                host.List("", recursive: true).Entries.ShouldAllBe(e => !e.Path.EndsWith("only-outside", StringComparison.Ordinal));
                host.Search(HostFiles.Secret).Matches.ShouldBeEmpty();
            }
        });
    }

    /// <summary>A busy machine may run one thread alone for long: go on until every outcome was seen, but not for ever.</summary>
    private static bool Undecided(long began, params ReadOnlySpan<int> outcomes) =>
        outcomes.Contains(0) && Stopwatch.GetElapsedTime(began) < TimeSpan.FromSeconds(60);

    private static void Prepare(HostFiles host)
    {
        Directory.CreateDirectory(host.In("d"));
        File.WriteAllText(host.In("d/file"), "inside");
        File.WriteAllText(host.In("f"), "inside");
        Directory.CreateSymbolicLink(host.In("d-link"), host.Outside);
        File.CreateSymbolicLink(host.In("f-link"), Path.Combine(host.Outside, "file"));
    }

    /// <summary>What a careful program does by name: resolve every link, then compare with the workspace.</summary>
    private static bool IsBelow(HostFiles host, string path)
    {
        foreach (string part in new[] { path, Path.GetDirectoryName(path) ?? "" })
        {
            if (new FileInfo(part).LinkTarget is not null)
            {
                return false;
            }
        }

        return path.StartsWith(host.Workspace + "/", StringComparison.Ordinal);
    }

    private static void WhileSwapping(HostFiles host, string name, Action work)
    {
        using var stop = new CancellationTokenSource();
        using var began = new ManualResetEventSlim();
        Exception? failure = null;
        var attacker = new Thread(() =>
        {
            try
            {
                while (!stop.IsCancellationRequested)
                {
                    HostFiles.Exchange(host.In(name), host.In(name + "-link"));
                    began.Set();
                }
            }
            catch (System.ComponentModel.Win32Exception e)
            {
                failure = e;
                began.Set();
            }
        });
        attacker.Start();
        try
        {
            began.Wait(TimeSpan.FromSeconds(10), TestContext.Current.CancellationToken).ShouldBeTrue();
            work();
        }
        finally
        {
            stop.Cancel();
            attacker.Join();
        }

        failure.ShouldBeNull();
    }
}
