using Rynxs.Server.Secrets;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Hosting;

public sealed class FileSecretSourceTests : IDisposable
{
    private const UnixFileMode Private = UnixFileMode.UserRead | UnixFileMode.UserWrite;
    private readonly string _root = TestServer.NewStatePath();
    private readonly FileSecretSource _source;

    public FileSecretSourceTests()
    {
        Directory.CreateDirectory(Path.Combine(_root, "ns", "model"));
        _source = new FileSecretSource(_root);
    }

    public void Dispose() => Directory.Delete(_root, recursive: true);

    [Fact]
    public async Task A_private_file_is_read_without_its_last_newline()
    {
        Write("key", "sk-1\n", Private);

        (await _source.TryGetAsync("ns", "model", "key", TestContext.Current.CancellationToken)).ShouldBe("sk-1");
    }

    [Theory]
    [InlineData("..", "model", "key")]
    [InlineData("ns", "../ns/model", "key")]
    [InlineData("ns", "model", "..")]
    [InlineData("ns", "model", "a/b")]
    [InlineData("ns", "model", "missing")]
    [InlineData("NS", "model", "key")]
    public async Task B1_names_that_are_no_names_find_nothing(string ns, string name, string key)
    {
        Write("key", "sk-1", Private);

        (await _source.TryGetAsync(ns, name, key, TestContext.Current.CancellationToken)).ShouldBeNull();
    }

    [Fact]
    public async Task D1_a_file_that_others_may_read_a_link_and_a_huge_file_are_refused_without_their_content()
    {
        Write("open", "sk-secret", Private | UnixFileMode.OtherRead);
        Write("huge", new string('x', FileSecretSource.MaxBytes + 1), Private);
        File.CreateSymbolicLink(Path.Combine(_root, "ns", "model", "link"), "open");
        foreach (string key in (string[])["open", "huge", "link"])
        {
            SecretRefusedException refused = await Should.ThrowAsync<SecretRefusedException>(
                () => _source.TryGetAsync("ns", "model", key, TestContext.Current.CancellationToken).AsTask());
            refused.Message.ShouldNotContain("sk-secret");
        }
    }

    private void Write(string key, string value, UnixFileMode mode)
    {
        string path = Path.Combine(_root, "ns", "model", key);
        File.WriteAllText(path, value);
        File.SetUnixFileMode(path, mode);
    }
}
