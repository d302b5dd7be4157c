using Rynxs.Sandbox.Images;

namespace Rynxs.Sandbox.Tests;

public sealed class ImageStoreTests(SandboxHost host) : IDisposable
{
    private static readonly CancellationToken Token = TestContext.Current.CancellationToken;
    private readonly string _directory = Directory.CreateTempSubdirectory("rynxs-images").FullName;

    public void Dispose() => Directory.Delete(_directory, recursive: true);

    [Fact]
    public async Task G8_modified_image_is_refused_before_use_and_an_intact_one_runs()
    {
        host.SkipUnlessAvailable();
        ImageStore store = CopyOfStore(out string file);
        ImageDescriptor image = (await store.ResolveAsync(ImageStore.BuiltInName, Token)).Image;
        image.Digest.ShouldBe(host.Image.Digest);
        using (FileStream stream = File.OpenWrite(file))
        {
            stream.Position = stream.Length / 2;
            stream.WriteByte(0x5a);
            stream.WriteByte(0xa5);
        }

        (await Should.ThrowAsync<ImageException>(() => store.ResolveAsync(ImageStore.BuiltInName, Token))).Code.ShouldBe("modified");
        (await Should.ThrowAsync<ImageException>(() => store.EnsureBuiltInAsync(null, Token))).Code.ShouldBe("modified");
        SandboxRefusedException refused = await Should.ThrowAsync<SandboxRefusedException>(
            () => host.Runtime.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("a", "b"), Image = image }, Token));
        refused.Control.ShouldBe("image");
    }

    [Fact]
    public async Task Unknown_name_is_substituted_with_the_reason()
    {
        host.SkipUnlessAvailable();
        ImageResolution known = await SandboxHost.Images().ResolveAsync(ImageStore.BuiltInName, Token);
        ImageResolution unknown = await SandboxHost.Images().ResolveAsync("registry.example/team/agent:1.2", Token);

        (known.Substituted, known.Reason).ShouldBe((false, ""));
        unknown.Substituted.ShouldBeTrue();
        unknown.Image.Digest.ShouldBe(host.Image.Digest);
        unknown.Reason.ShouldNotBeEmpty();
    }

    [Fact]
    public async Task Empty_store_and_broken_index_say_so()
    {
        var store = new ImageStore(new ImageStoreOptions { Directory = _directory });
        (await Should.ThrowAsync<ImageException>(() => store.ResolveAsync("x", Token))).Code.ShouldBe("not_built");
        store.List().ShouldBeEmpty();
        File.WriteAllText(Path.Combine(_directory, "index.json"), "{");
        Should.Throw<ImageException>(() => store.List()).Code.ShouldBe("store_corrupt");
        File.WriteAllText(Path.Combine(_directory, "index.json"), """{"version":1,"images":{"x":{"digest":"sha256:../../etc/passwd","bytes":1,"built":"2026-01-01T00:00:00Z"}}}""");
        Should.Throw<ImageException>(() => store.List()).Code.ShouldBe("store_corrupt");
    }

    [Fact]
    public void Apt_sources_are_those_of_the_release_and_no_others()
    {
        string apt = Directory.CreateDirectory(Path.Combine(_directory, "apt", "sources.list.d")).Parent!.FullName; // just created below a parent
        File.WriteAllText(Path.Combine(apt, "sources.list"), "# deb http://c.example bookworm main\ndeb [signed-by=/k] http://a.example/debian bookworm main\ndeb http://b.example sid main\ndeb-src http://a.example bookworm main\n");
        File.WriteAllText(Path.Combine(apt, "sources.list.d", "d.sources"), "Types: deb\nURIs: http://d.example\nSuites: bookworm bookworm-updates\nComponents: main\n\nTypes: deb\nURIs: http://e.example\nSuites: bookworm-backports\nComponents: main\n");
        File.WriteAllText(Path.Combine(apt, "sources.list.d", "off.sources"), "Types: deb\nEnabled: no\nURIs: http://f.example\nSuites: bookworm\nComponents: main\n");

        string[] written = [.. AptSources.Write(apt, "bookworm", _directory).Select(File.ReadAllText)];

        written.Length.ShouldBe(2);
        written[0].ShouldBe("deb [signed-by=/k] http://a.example/debian bookworm main\n");
        written[1].ShouldContain("d.example");
        written[1].ShouldNotContain("e.example");
        written[1].ShouldNotContain("f.example");
    }

    private ImageStore CopyOfStore(out string file)
    {
        file = Path.Combine(_directory, "sha256", Path.GetFileName(host.Image.Path));
        Directory.CreateDirectory(Path.GetDirectoryName(file)!); // joined from a directory and a name
        File.Copy(host.Image.Path, file);
        File.SetUnixFileMode(file, UnixFileMode.UserRead | UnixFileMode.UserWrite);
        File.Copy(Path.Combine(SandboxHost.ImagesDirectory, "index.json"), Path.Combine(_directory, "index.json"));
        return new ImageStore(new ImageStoreOptions { Directory = _directory });
    }
}
