using System.Net.Sockets;
using System.Text;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Sandbox.Files;
using static Rynxs.Sandbox.Tests.Files.HostFiles;

namespace Rynxs.Sandbox.Tests.Files;

public sealed class WorkspacePathAttackTests : IDisposable
{
    private readonly HostFiles _host = new();

    public void Dispose() => _host.Dispose();

    [Theory]
    [InlineData("", "invalid_path")]
    [InlineData(".", "invalid_path")]
    [InlineData("..", "outside_workspace")]
    [InlineData("../workspace-evil/file", "outside_workspace")]
    [InlineData("a/../../workspace-evil/file", "outside_workspace")]
    [InlineData("a/..", "outside_workspace")]
    [InlineData("/etc/passwd", "outside_workspace")]
    [InlineData("//etc/passwd", "outside_workspace")]
    [InlineData("file\0.txt", "invalid_path")]
    [InlineData("%2e%2e%2fworkspace-evil%2ffile", "not_found")]
    [InlineData("%252e%252e%252fworkspace-evil", "not_found")]
    [InlineData("..%c0%afworkspace-evil", "not_found")]
    [InlineData("..\\workspace-evil\\file", "not_found")]
    [InlineData("\\etc\\passwd", "not_found")]
    [InlineData("~/file", "not_found")]
    [InlineData("\u2025/workspace-evil", "not_found")]
    public void B1_a_path_that_tries_to_leave_is_refused_or_means_its_own_characters(string path, string code)
    {
        CodeOf(() => _host.Tools.Read(path)).ShouldBe(code);
        CodeOf(() => _host.Tools.Delete(path)).ShouldBe(code);
        if (code != "not_found")
        {
            CodeOf(() => _host.Tools.Write(path, "x"u8)).ShouldBe(code);
        }
    }

    [Fact]
    public void B1_a_lone_surrogate_a_long_name_and_a_long_path_are_refused()
    {
        CodeOf(() => _host.Tools.Read("\ud800")).ShouldBe("invalid_path");
        CodeOf(() => _host.Tools.Write(new string('a', 256), "x"u8)).ShouldBe("invalid_path");
        CodeOf(() => _host.Tools.Write(string.Join('/', Enumerable.Repeat("abc", 1025)), "x"u8)).ShouldBe("invalid_path");
        _host.WriteText(new string('a', 255), "longest name");
        _host.ReadText(new string('a', 255)).ShouldBe("longest name");
    }

    [Fact]
    public void B1_encoded_and_backslash_names_are_ordinary_names_in_the_workspace()
    {
        _host.WriteText("%2e%2e%2fx", "percent");
        _host.WriteText("..\\y", "backslash");
        File.ReadAllText(_host.In("%2e%2e%2fx")).ShouldBe("percent");
        File.ReadAllText(_host.In("..\\y")).ShouldBe("backslash");
    }

    [Fact]
    public void B1_no_path_made_of_separators_and_dots_ever_reaches_outside()
    {
        string[] parts = ["..", ".", "/", "//", "a", "workspace-evil", "file", "\\", "%2e%2e", "\0", "...", " "];
        Gen<string> paths = Gen.Elements(parts).ListOf().Select(chosen => string.Concat(chosen.Take(12)));
        Prop.ForAll(Arb.From(paths), path =>
        {
            try
            {
                return !Encoding.UTF8.GetString(_host.Tools.Read(path).Data.Span).Contains(Secret, StringComparison.Ordinal);
            }
            catch (FileAccessException)
            {
                return true;
            }
        }).QuickCheckThrowOnFailure();
    }

    [Fact]
    public void B2_a_sibling_with_the_same_prefix_is_outside()
    {
        File.ReadAllText(Path.Combine(_host.Base, "workspace-evil", "file")).ShouldBe(Secret); // control: it is there to be read
        CodeOf(() => _host.Tools.Read("../workspace-evil/file")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Tools.Read(_host.Workspace + "-evil/file")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Tools.Read("-evil/file")).ShouldBe("not_found");
    }

    [Theory]
    [InlineData(true)]
    [InlineData(false)]
    public void B3_symbolic_links_out_are_refused_for_every_tool(bool absolute)
    {
        string target = absolute ? _host.Outside : "../workspace-evil";
        File.CreateSymbolicLink(_host.In("file-link"), target + "/file");
        Directory.CreateSymbolicLink(_host.In("dir-link"), target);
        File.ReadAllText(_host.In("file-link")).ShouldBe(Secret); // control: the links do lead out
        File.ReadAllText(_host.In("dir-link/file")).ShouldBe(Secret);

        CodeOf(() => _host.Tools.Read("file-link")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Tools.Read("dir-link/file")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Tools.Stat("dir-link/file")).ShouldBe("outside_workspace");
        CodeOf(() => _host.List("dir-link")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Search("secret", "dir-link")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Tools.Write("file-link", "x"u8)).ShouldBe("symlink");
        CodeOf(() => _host.Tools.Write("dir-link/new", "x"u8)).ShouldBe("symlink");
        CodeOf(() => _host.Tools.Write("dir-link/sub/new", "x"u8)).ShouldBe("symlink");
        CodeOf(() => _host.Tools.Delete("dir-link/file")).ShouldBe("symlink");
        _host.Search("secret").Matches.ShouldBeEmpty();
        _host.List("", recursive: true).Entries.Select(e => e.Path).ShouldBe(["dir-link", "file-link"]);
        Directory.GetFileSystemEntries(_host.Outside).ShouldHaveSingleItem();
        File.ReadAllText(Path.Combine(_host.Outside, "file")).ShouldBe(Secret);
    }

    [Fact]
    public void B3_a_relative_link_that_stays_within_is_read_but_never_written_through()
    {
        _host.WriteText("a/real", "inside");
        Directory.CreateDirectory(_host.In("b"));
        File.CreateSymbolicLink(_host.In("b/link"), "../a/real");
        _host.ReadText("b/link").ShouldBe("inside");
        CodeOf(() => _host.Tools.Write("b/link", "x"u8)).ShouldBe("symlink");
        _host.Tools.Delete("b/link");
        _host.ReadText("a/real").ShouldBe("inside");
        File.Exists(_host.In("b/link")).ShouldBeFalse();
    }

    [Fact]
    public void B5_a_dangling_link_is_not_created_through()
    {
        File.CreateSymbolicLink(_host.In("dangling"), Path.Combine(_host.Outside, "born"));
        CodeOf(() => _host.Tools.Write("dangling", "x"u8)).ShouldBe("symlink");
        File.Exists(Path.Combine(_host.Outside, "born")).ShouldBeFalse();
        _host.Tools.Stat("dangling").Kind.ShouldBe(WorkspaceEntryKind.Symlink);
    }

    [Fact]
    public void B5_a_fifo_and_a_socket_are_refused_without_waiting()
    {
        Run("mkfifo", _host.In("fifo"));
        using var socket = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        socket.Bind(new UnixDomainSocketEndPoint(_host.In("socket")));
        foreach (string name in new[] { "fifo", "socket" })
        {
            CodeOf(() => _host.Tools.Read(name)).ShouldBe("not_a_file");
            CodeOf(() => _host.Tools.Write(name, "x"u8)).ShouldBe("not_a_file");
            CodeOf(() => _host.Search("x", name)).ShouldBe("not_a_directory");
            _host.Tools.Stat(name).Kind.ShouldBe(WorkspaceEntryKind.Other);
        }

        _host.Search("x").FilesSearched.ShouldBe(0);
    }

    [Fact]
    public void B5_a_device_is_never_opened()
    {
        Assert.SkipUnless(IsRoot, "making a device node needs root");
        Run("mknod", _host.In("zero"), "c", "1", "5");
        using (FileStream control = File.OpenRead(_host.In("zero")))
        {
            control.ReadByte().ShouldBe(0); // control: this node works
        }

        CodeOf(() => _host.Tools.Read("zero")).ShouldBe("not_a_file");
        CodeOf(() => _host.Tools.Write("zero", "x"u8)).ShouldBe("not_a_file");
    }

    [Fact]
    public void B5_a_name_with_a_second_hard_link_is_not_written()
    {
        Run("ln", Path.Combine(_host.Outside, "file"), _host.In("hard"));
        CodeOf(() => _host.Tools.Write("hard", "x"u8)).ShouldBe("permission");
        File.ReadAllText(Path.Combine(_host.Outside, "file")).ShouldBe(Secret);
    }

    [Fact]
    public void B6_magic_links_of_proc_lead_nowhere()
    {
        using FileStream open = File.OpenRead(Path.Combine(_host.Outside, "file"));
        string magic = $"/proc/self/fd/{open.SafeFileHandle.DangerousGetHandle()}";
        File.CreateSymbolicLink(_host.In("root"), "/proc/self/root");
        File.CreateSymbolicLink(_host.In("descriptor"), magic);
        File.ReadAllText(_host.In("root/etc/passwd")).ShouldNotBeEmpty(); // controls: both lead out
        File.ReadAllText(_host.In("descriptor")).ShouldBe(Secret);

        CodeOf(() => _host.Tools.Read("root/etc/passwd")).ShouldBe("outside_workspace");
        CodeOf(() => _host.Tools.Read("descriptor")).ShouldBe("outside_workspace");
        using WorkspaceFiles proc = WorkspaceFiles.Open($"/proc/{Environment.ProcessId}");
        CodeOf(() => proc.Read("root/etc/passwd")).ShouldBeOneOf("symlink", "outside_workspace");
        CodeOf(() => proc.List("cwd", cancellationToken: TestContext.Current.CancellationToken)).ShouldBeOneOf("symlink", "outside_workspace");
    }

    [Fact]
    public void B6_a_mount_below_the_workspace_is_not_entered()
    {
        Assert.SkipUnless(IsRoot, "mounting needs root");
        Directory.CreateDirectory(_host.In("mounted"));
        Run("mount", "--bind", _host.Outside, _host.In("mounted"));
        try
        {
            File.ReadAllText(_host.In("mounted/file")).ShouldBe(Secret); // control
            CodeOf(() => _host.Tools.Read("mounted/file")).ShouldBe("outside_workspace");
            CodeOf(() => _host.Tools.Write("mounted/new", "x"u8)).ShouldBe("outside_workspace");
            WorkspaceListing listing = _host.List("", recursive: true);
            listing.Entries.ShouldHaveSingleItem().Path.ShouldBe("mounted");
            listing.Truncated.ShouldBeTrue();
        }
        finally
        {
            Run("umount", _host.In("mounted"));
        }
    }

    [Fact]
    public void Opening_refuses_a_link_a_file_and_nothing()
    {
        Directory.CreateSymbolicLink(Path.Combine(_host.Base, "link"), _host.Outside);
        CodeOf(() => WorkspaceFiles.Open(Path.Combine(_host.Base, "link"))).ShouldBeOneOf("not_a_directory", "symlink");
        CodeOf(() => WorkspaceFiles.Open(Path.Combine(_host.Outside, "file"))).ShouldBe("not_a_directory");
        CodeOf(() => WorkspaceFiles.Open(Path.Combine(_host.Base, "nothing"))).ShouldBe("not_found");
    }
}
