using System.Text;
using Rynxs.Sandbox.Files;
using static Rynxs.Sandbox.Tests.Files.HostFiles;

namespace Rynxs.Sandbox.Tests.Files;

public sealed class WorkspaceFilesTests : IDisposable
{
    private readonly HostFiles _host = new();

    public void Dispose() => _host.Dispose();

    [Fact]
    public void What_is_written_is_read_and_belongs_to_the_sandbox_user()
    {
        WorkspaceEntry entry = _host.Tools.Write("./a//b/c.txt", "hello"u8);
        entry.Path.ShouldBe("a/b/c.txt");
        entry.Bytes.ShouldBe(5);
        entry.Mode.ShouldBe(0b110_100_100);
        _host.Tools.Stat("a/b").Mode.ShouldBe(0b111_101_101);
        _host.ReadText("a/b/c.txt").ShouldBe("hello");
        File.ReadAllText(_host.In("a/b/c.txt")).ShouldBe("hello");
        if (IsRoot)
        {
            foreach (string path in new[] { "a", "a/b", "a/b/c.txt" })
            {
                Run("test", "1000:1000", "=", OwnerOf(_host.In(path)));
            }
        }
    }

    [Fact]
    public void A_window_reads_any_part_and_says_what_is_left()
    {
        _host.WriteText("digits", "0123456789");
        FileWindow window = _host.Tools.Read("digits", offset: 3, maxBytes: 4);
        Encoding.UTF8.GetString(window.Data.Span).ShouldBe("3456");
        window.TotalBytes.ShouldBe(10);
        window.Truncated.ShouldBeTrue();
        _host.Tools.Read("digits", offset: 6).Truncated.ShouldBeFalse();
        _host.Tools.Read("digits", offset: 99).Data.Length.ShouldBe(0);
        Should.Throw<ArgumentOutOfRangeException>(() => _host.Tools.Read("digits", offset: -1));
        Should.Throw<ArgumentOutOfRangeException>(() => _host.Tools.Read("digits", maxBytes: WorkspaceFiles.MaxReadBytes + 1));
    }

    [Fact]
    public void Sizes_are_bounded()
    {
        CodeOf(() => _host.Tools.Write("big", new byte[WorkspaceFiles.MaxWriteBytes + 1])).ShouldBe("too_large");
        Directory.GetFileSystemEntries(_host.Workspace).ShouldBeEmpty();
        _host.Tools.Write("big", new byte[WorkspaceFiles.MaxWriteBytes]).Bytes.ShouldBe(WorkspaceFiles.MaxWriteBytes);
        _host.Tools.Read("big").Data.Length.ShouldBe(WorkspaceFiles.MaxReadBytes);
    }

    [Fact]
    public void Replacing_a_script_keeps_it_executable_but_never_setuid()
    {
        _host.WriteText("run.sh", "old");
        Run("chmod", "4755", _host.In("run.sh"));
        _host.WriteText("run.sh", "new");
        _host.Tools.Stat("run.sh").Mode.ShouldBe(0b111_101_101);
    }

    [Fact]
    public async Task B11_a_reader_sees_the_old_content_or_the_new_never_a_part()
    {
        string[] versions = [new string('a', 300_000), new string('b', 200_000)];
        _host.WriteText("file", versions[0]);
        using var stop = new CancellationTokenSource();
        using var began = new ManualResetEventSlim();
        Task<int> reader = Task.Run(
            () =>
            {
                int reads = 0;
                while (!stop.IsCancellationRequested)
                {
                    File.ReadAllText(_host.In("file")).ShouldBeOneOf(versions);
                    _host.ReadText("file").ShouldBeOneOf(versions);
                    began.Set();
                    reads++;
                }

                return reads;
            },
            TestContext.Current.CancellationToken);
        began.Wait(TimeSpan.FromSeconds(30), TestContext.Current.CancellationToken).ShouldBeTrue();
        for (int i = 1; i <= 200; i++)
        {
            _host.WriteText("file", versions[i % 2]);
        }

        await stop.CancelAsync();
        (await reader).ShouldBeGreaterThan(10);
        Directory.GetFileSystemEntries(_host.Workspace).ShouldHaveSingleItem();
    }

    [Fact]
    public void B10_a_full_workspace_is_quota_exceeded_and_keeps_the_old_file()
    {
        Assert.SkipUnless(IsRoot, "mounting a small tmpfs needs root");
        string small = Path.Combine(_host.Base, "small");
        Directory.CreateDirectory(small);
        Run("mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", small);
        try
        {
            using WorkspaceFiles tools = WorkspaceFiles.Open(small);
            tools.Write("kept", "old"u8);
            CodeOf(() => tools.Write("kept", new byte[1024 * 1024])).ShouldBe("quota_exceeded");
            CodeOf(() => tools.Write("other/new", new byte[1024 * 1024])).ShouldBe("quota_exceeded");
            Encoding.UTF8.GetString(tools.Read("kept").Data.Span).ShouldBe("old");
            tools.List("", recursive: true, cancellationToken: TestContext.Current.CancellationToken).Entries.Select(e => e.Path).ShouldBe(["kept", "other"]);
            tools.Write("kept", "new"u8); // the failed attempts left no space taken
        }
        finally
        {
            Run("umount", small);
        }
    }

    [Fact]
    public void A_listing_is_ordered_and_bounded()
    {
        _host.WriteText("b/x", "1");
        _host.WriteText("a", "22");
        _host.WriteText("b.txt", "");
        _host.List().Entries.Select(e => e.Path).ShouldBe(["a", "b", "b.txt"]);
        _host.List("", recursive: true).Entries.Select(e => e.Path).ShouldBe(["a", "b", "b.txt", "b/x"]);
        WorkspaceListing cut = _host.List("", recursive: true, maxEntries: 2);
        cut.Entries.Count.ShouldBe(2);
        cut.Truncated.ShouldBeTrue();
        _host.List("b").Entries.ShouldHaveSingleItem().Path.ShouldBe("b/x");
        CodeOf(() => _host.List("a")).ShouldBe("not_a_directory");
        CodeOf(() => _host.List("none")).ShouldBe("not_found");
    }

    [Fact]
    public void A_deep_tree_is_cut_at_a_depth()
    {
        _host.WriteText(string.Join('/', Enumerable.Repeat("d", 40)) + "/leaf", "x");
        WorkspaceListing listing = _host.List("", recursive: true);
        listing.Truncated.ShouldBeTrue();
        listing.Entries.Count.ShouldBe(32);
        _host.ReadText(string.Join('/', Enumerable.Repeat("d", 40)) + "/leaf").ShouldBe("x");
    }

    [Fact]
    public void A_walk_ends_when_its_time_is_over()
    {
        for (int i = 0; i < 20; i++)
        {
            _host.WriteText($"f{i}", "needle");
        }

        using WorkspaceFiles tools = WorkspaceFiles.Open(_host.Workspace, timeProvider: new FastClock());
        tools.List(cancellationToken: TestContext.Current.CancellationToken).Truncated.ShouldBeTrue();
        tools.Search("needle", cancellationToken: TestContext.Current.CancellationToken).Truncated.ShouldBeTrue();
    }

    [Fact]
    public void Names_that_are_not_text_are_shown_escaped_and_not_entered()
    {
        Run("sh", "-c", $"mkdir \"$(printf '{_host.Workspace}/bad\\377name')\" && touch \"$(printf '{_host.Workspace}/bad\\377name/in')\"");
        WorkspaceListing listing = _host.List("", recursive: true);
        listing.Entries.ShouldHaveSingleItem().Path.ShouldBe("bad\\xffname");
        CodeOf(() => _host.Tools.Read("bad\\xffname/in")).ShouldBe("not_found");
    }

    [Fact]
    public void Search_finds_lines_in_text_and_skips_binaries()
    {
        _host.WriteText("src/a.py", "import os\r\nprint(os.name)\n");
        _host.WriteText("binary", "import\0");
        SearchResult found = _host.Search("import");
        SearchMatch match = found.Matches.ShouldHaveSingleItem();
        match.ShouldBe(new SearchMatch("src/a.py", 1, "import os"));
        found.FilesSearched.ShouldBe(2);
        found.Truncated.ShouldBeFalse();
        _host.Search(@"^print\(.*\)$", "src/a.py", regex: true).Matches.ShouldHaveSingleItem().Line.ShouldBe(2);
        _host.Search("o", maxMatches: 1).Truncated.ShouldBeTrue();
        _host.WriteText("long", new string('x', 5000) + "end");
        _host.Search("end").Matches.ShouldHaveSingleItem().Text.Length.ShouldBe(400);
    }

    [Theory]
    [InlineData("(", true)]
    [InlineData(@"(a)\1", true)]
    [InlineData("(?=a)", true)]
    [InlineData("", false)]
    public void A_pattern_that_cannot_run_in_linear_time_is_refused(string pattern, bool regex) =>
        CodeOf(() => _host.Search(pattern, regex: regex)).ShouldBe("invalid_pattern");

    [Fact]
    public void Deleting_removes_one_name_and_never_a_full_directory()
    {
        _host.WriteText("d/x", "1");
        CodeOf(() => _host.Tools.Delete("d")).ShouldBe("not_empty");
        _host.Tools.Delete("d/x");
        _host.Tools.Delete("d");
        CodeOf(() => _host.Tools.Delete("d")).ShouldBe("not_found");
    }

    [Fact]
    public void Writing_below_a_file_or_onto_a_directory_says_so()
    {
        _host.WriteText("f", "1");
        _host.WriteText("d/x", "1");
        CodeOf(() => _host.Tools.Write("f/x", "1"u8)).ShouldBe("not_a_directory");
        CodeOf(() => _host.Tools.Write("d", "1"u8)).ShouldBe("not_a_file");
        CodeOf(() => _host.Tools.Read("d")).ShouldBe("not_a_file");
    }

    private static string OwnerOf(string path)
    {
        string output = Path.GetTempFileName();
        try
        {
            Run("sh", "-c", $"stat -c %u:%g '{path}' > '{output}'");
            return File.ReadAllText(output).Trim();
        }
        finally
        {
            File.Delete(output);
        }
    }

    /// <summary>Every look at the clock takes a second.</summary>
    private sealed class FastClock : TimeProvider
    {
        private long _seconds;

        public override long TimestampFrequency => 1;

        public override long GetTimestamp() => Interlocked.Increment(ref _seconds);
    }
}
