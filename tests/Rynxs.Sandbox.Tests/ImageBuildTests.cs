using System.Diagnostics;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Processes;

namespace Rynxs.Sandbox.Tests;

/// <summary>Building an image: once however many ask, and nothing left when it is cut short. A tiny tree, packed by the real mkfs.erofs.</summary>
public sealed class ImageBuildTests : IDisposable
{
    private const string Variable = "RYNXS_TEST_IMAGES";
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;
    private readonly string _directory = Directory.CreateTempSubdirectory("rynxs-build").FullName;

    private string Builds => Path.Combine(_directory, "builds");

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task Two_processes_that_ask_at_once_build_once_and_get_the_same_image()
    {
        SkipWithoutTool();
        using Process first = StartChild("build");
        using Process second = StartChild("build");
        await Task.WhenAll(first.WaitForExitAsync(Token), second.WaitForExitAsync(Token));

        first.ExitCode.ShouldBe(0, await first.StandardOutput.ReadToEndAsync(Token));
        second.ExitCode.ShouldBe(0, await second.StandardOutput.ReadToEndAsync(Token));
        File.ReadAllLines(Builds).Length.ShouldBe(1);
        string[] digests = [.. Directory.EnumerateFiles(_directory, "digest-*").Select(File.ReadAllText)];
        digests.Length.ShouldBe(2, "positive control: both processes did ask");
        digests.Distinct().ShouldHaveSingleItem().ShouldStartWith("sha256:");
        Directory.EnumerateDirectories(Path.Combine(_directory, "store"), "build-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_killed_build_blocks_nobody_and_is_swept_by_the_next()
    {
        SkipWithoutTool();
        using Process killed = StartChild("hang");
        while (!File.Exists(Builds))
        {
            killed.HasExited.ShouldBeFalse();
            await Task.Delay(20, Token);
        }

        killed.Kill();
        await killed.WaitForExitAsync(Token);
        string store = Path.Combine(_directory, "store");
        Directory.EnumerateDirectories(store, "build-*").ShouldHaveSingleItem();

        ImageDescriptor image = await Store(PackAsync).EnsureBuiltInAsync(null, Token);

        File.Exists(image.Path).ShouldBeTrue();
        Directory.EnumerateDirectories(store, "build-*").ShouldBeEmpty();
    }

    [Fact]
    public async Task A_failed_or_cancelled_build_says_why_and_leaves_nothing_and_the_next_succeeds()
    {
        SkipWithoutTool();
        ImageStore failing = Store((_, _, _) => throw new ImageException("build_failed", "no route to the packages"));
        (await Should.ThrowAsync<ImageException>(() => failing.EnsureBuiltInAsync(null, Token))).Message.ShouldContain("no route");
        using var cancel = new CancellationTokenSource();
        ImageStore cancelled = Store(async (_, _, token) =>
        {
            await cancel.CancelAsync();
            await Task.Delay(Timeout.Infinite, token);
            return "";
        });
        await Should.ThrowAsync<OperationCanceledException>(() => cancelled.EnsureBuiltInAsync(null, cancel.Token));

        Directory.EnumerateDirectories(Path.Combine(_directory, "store"), "build-*").ShouldBeEmpty();
        Store(PackAsync).List().ShouldBeEmpty();
        (await Store(PackAsync).EnsureBuiltInAsync(null, Token)).Digest.ShouldStartWith("sha256:");
    }

    [Fact]
    public async Task A_missing_tool_is_named_with_its_package()
    {
        Assert.SkipUnless(Environment.IsPrivilegedProcess, "without root the build is refused earlier");
        using Process child = StartChild("no-tools");
        await child.WaitForExitAsync(Token);
        child.ExitCode.ShouldBe(0, await child.StandardOutput.ReadToEndAsync(Token));
    }

    [Fact]
    public async Task As_child()
    {
        string? words = Environment.GetEnvironmentVariable(Variable);
        Assert.SkipWhen(words is null, "runs only as the child of another test");
        (string mode, string directory) = (words.Split('|')[0], words.Split('|')[1]);
        var store = new ImageStore(new ImageStoreOptions { Directory = Path.Combine(directory, "store") })
        {
            Builder = async (work, _, token) =>
            {
                await File.AppendAllTextAsync(Path.Combine(directory, "builds"), "built\n", token);
                await Task.Delay(mode == "hang" ? TimeSpan.FromMinutes(1) : TimeSpan.FromSeconds(1), token);
                return await PackAsync(work, null, token);
            },
        };
        if (mode == "no-tools")
        {
            ImageException missing = await Should.ThrowAsync<ImageException>(
                () => new ImageStore(new ImageStoreOptions { Directory = Path.Combine(directory, "store") }).EnsureBuiltInAsync(null, Token));
            missing.Code.ShouldBe("tool_missing");
            missing.Message.ShouldContain("mmdebstrap");
            return;
        }

        ImageDescriptor image = await store.EnsureBuiltInAsync(null, Token);
        await File.WriteAllTextAsync(Path.Combine(directory, $"digest-{Environment.ProcessId}"), image.Digest, Token);
    }

    private static void SkipWithoutTool() => Assert.SkipUnless(File.Exists("/usr/bin/mkfs.erofs"), "mkfs.erofs is not installed");

    private ImageStore Store(Func<string, IProgress<string>?, CancellationToken, Task<string>> builder) =>
        new(new ImageStoreOptions { Directory = Path.Combine(_directory, "store") }) { Builder = builder };

    private static async Task<string> PackAsync(string work, IProgress<string>? progress, CancellationToken cancellationToken)
    {
        string tree = Directory.CreateDirectory(Path.Combine(work, "tree")).FullName;
        await File.WriteAllTextAsync(Path.Combine(tree, "file"), "content", cancellationToken);
        ChildProcess pack = ChildProcess.Start(["mkfs.erofs", "--quiet", Path.Combine(work, "image.erofs"), tree], 4096);
        (await pack.Exited).ShouldBe(0, pack.Error.Text);
        return Path.Combine(work, "image.erofs");
    }

    private Process StartChild(string mode)
    {
        var start = new ProcessStartInfo(Environment.ProcessPath ?? "", ["-method", $"{typeof(ImageBuildTests).FullName}.{nameof(As_child)}"]) { RedirectStandardOutput = true };
        start.Environment[Variable] = $"{mode}|{_directory}";
        start.Environment[OwnerProcess.Variable] = ""; // the fixture need not probe
        if (mode == "no-tools")
        {
            start.Environment["PATH"] = "/nonexistent";
        }

        return Process.Start(start) ?? throw new InvalidOperationException("not started");
    }
}
