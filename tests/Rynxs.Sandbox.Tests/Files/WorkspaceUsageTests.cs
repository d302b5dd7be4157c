using System.Text;
using Microsoft.Win32.SafeHandles;
using Rynxs.Sandbox.Files;
using Rynxs.Sandbox.GVisor;
using static Rynxs.Sandbox.Tests.Files.HostFiles;

namespace Rynxs.Sandbox.Tests.Files;

/// <summary>What a workspace takes is measured whatever its files are called and however they lie.</summary>
public sealed class WorkspaceUsageTests : IDisposable
{
    private const long Megabyte = 1 << 20;
    private readonly HostFiles _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData("head -c 3000000 /dev/zero > plain", 3_000_000)]
    [InlineData("head -c 3000000 /dev/zero > \"$(printf 'x\\377')\"", 3_000_000)]
    [InlineData("d=\"$(printf 'd\\377')\"; mkdir \"$d\" && head -c 3000000 /dev/zero > \"$d/in\"", 3_000_000)]
    [InlineData("p=.; for i in $(seq 100); do p=$p/d; done; mkdir -p $p && head -c 3000000 /dev/zero > $p/in", 3_000_000)]
    [InlineData("truncate -s 3000000 sparse", 3_000_000)]
    [InlineData("for i in $(seq 800); do echo x > f$i; done", 800 * 4096)]
    public void B10_every_byte_is_counted(string script, long atLeast)
    {
        Measure().Bytes.ShouldBe(0, "positive control: nothing is there yet");
        Run("sh", "-c", $"cd '{_host.Workspace}' && {script}");
        Measure().Bytes.ShouldBeGreaterThanOrEqualTo(atLeast);
        Measure().Unmeasurable.ShouldBeNull();
    }

    [Fact]
    public void A_file_with_several_names_counts_once_and_a_link_leads_nowhere()
    {
        Run("sh", "-c", $"cd '{_host.Workspace}' && head -c 3000000 /dev/zero > a && ln a b && ln a c && ln -s ../workspace-evil out && head -c 9000000 /dev/zero > ../workspace-evil/big");
        WorkspaceUsage usage = Measure();
        usage.Bytes.ShouldBeInRange(3_000_000, 3_100_000);
        usage.Entries.ShouldBe(4);
    }

    [Fact]
    public void G6_empty_files_beyond_the_bound_stop_the_count_and_exceed_it()
    {
        Run("sh", "-c", $"cd '{_host.Workspace}' && seq 500 | xargs touch");
        Measure().Entries.ShouldBe(500);
        Measure(entries: 100).Entries.ShouldBe(101, "the work is bounded, and the answer is more than the bound");
    }

    [Fact]
    public void A_tree_that_is_too_deep_is_not_measurable_and_no_program_starts_on_it()
    {
        Run("sh", "-c", $"cd '{_host.Workspace}' && for i in $(seq 200); do mkdir d && cd d; done");
        Measure().Unmeasurable.ShouldNotBeNull().ShouldContain("deep");
        Should.Throw<SandboxStartException>(() => WorkspaceQuota.Begin(_host.Workspace, Megabyte, () => [], TimeProvider.System)).Message.ShouldContain("workspace");
        using WorkspaceFiles tools = WorkspaceFiles.Open(_host.Workspace, Megabyte);
        CodeOf(() => tools.Write("x", "1"u8)).ShouldBe("quota_exceeded");
    }

    [Fact]
    public void B10_a_removed_file_that_is_still_open_is_counted_through_its_holder()
    {
        using FileStream open = new(_host.In("gone"), FileMode.Create);
        open.SetLength(3_000_000);
        File.Delete(_host.In("gone"));
        Measure().Bytes.ShouldBe(0, "positive control: by its name it cannot be found");
        Measure(holders: [Environment.ProcessId]).Bytes.ShouldBeGreaterThanOrEqualTo(3_000_000);
    }

    [Fact]
    public void B10_writes_beyond_the_limit_are_refused_and_leave_everything_as_it_was()
    {
        using WorkspaceFiles tools = WorkspaceFiles.Open(_host.Workspace, 4 * Megabyte);
        tools.Write("d/a", new byte[3 * Megabyte]);
        CodeOf(() => tools.Write("new/b", new byte[2 * Megabyte])).ShouldBe("quota_exceeded");
        Directory.Exists(_host.In("new")).ShouldBeFalse();
        CodeOf(() => tools.Write("d/a", new byte[5 * Megabyte])).ShouldBe("quota_exceeded");
        new FileInfo(_host.In("d/a")).Length.ShouldBe(3 * Megabyte);
        tools.Write("d/a", new byte[(3 * Megabyte) + 1000]).Bytes.ShouldBe((3 * Megabyte) + 1000, "a replaced file's space is free again");

        File.WriteAllBytes(_host.In("program"), new byte[9 * Megabyte]);
        CodeOf(() => tools.Write("small", "1"u8)).ShouldBe("quota_exceeded");
        tools.Write("d/a", "smaller"u8).Bytes.ShouldBe(7, "what makes it smaller is never refused");
        tools.Delete("program");
        tools.Write("small", "1"u8);
    }

    [Fact]
    public void B10_parallel_writes_do_not_exceed_the_limit_together()
    {
        using WorkspaceFiles tools = WorkspaceFiles.Open(_host.Workspace, 4 * Megabyte);
        int written = 0;
        Parallel.For(0, 8, i =>
        {
            try
            {
                tools.Write($"f{i}", new byte[Megabyte]);
                Interlocked.Increment(ref written);
            }
            catch (FileAccessException e)
            {
                e.Code.ShouldBe("quota_exceeded");
            }
        });

        written.ShouldBeInRange(3, 4);
        Measure().Bytes.ShouldBeLessThanOrEqualTo(4 * Megabyte);
    }

    [Fact]
    public void Opening_removes_what_a_killed_process_left_of_its_writes_and_nothing_else()
    {
        string[] names = [".rynxs-0123456789abcdef.tmp", "d/.rynxs-fedcba9876543210.tmp", ".rynxs-0123456789abcdef.tmp.keep", ".rynxs-0123456789ABCDEF.tmp", "kept"];
        Directory.CreateDirectory(_host.In("d"));
        foreach (string name in names)
        {
            File.WriteAllText(_host.In(name), "half");
            File.SetLastWriteTimeUtc(_host.In(name), DateTime.UnixEpoch.AddYears(50));
        }

        File.WriteAllText(_host.In(".rynxs-00000000000000aa.tmp"), "being written by this process");
        WorkspaceFiles.Open(_host.Workspace).Dispose();

        Directory.EnumerateFiles(_host.Workspace, "*", SearchOption.AllDirectories).Select(file => Path.GetRelativePath(_host.Workspace, file))
            .ShouldBe([".rynxs-00000000000000aa.tmp", ".rynxs-0123456789ABCDEF.tmp", ".rynxs-0123456789abcdef.tmp.keep", "kept"], ignoreOrder: true);
    }

    private WorkspaceUsage Measure(long entries = WorkspaceUsage.MaxEntries, int[]? holders = null)
    {
        using var root = new SafeFileHandle(OpenAt2.OpenDirectory(Encoding.UTF8.GetBytes(_host.Workspace + '\0')), ownsHandle: true);
        return WorkspaceUsage.Measure(root, long.MaxValue, entries, holders ?? [], TestContext.Current.CancellationToken);
    }
}
