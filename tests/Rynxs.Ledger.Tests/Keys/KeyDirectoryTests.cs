using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Tests.Keys;

/// <summary>Keys on disk: private, rotatable with overlap, refused when others can read them.</summary>
public sealed class KeyDirectoryTests : IDisposable
{
    private readonly TemporaryDirectory _directory = new();
    private readonly ManualTime _time = new();

    public void Dispose() => _directory.Dispose();

    [Fact]
    public void Keys_are_made_private_and_read_again()
    {
        string path = _directory.At("keys");
        using KeyDirectory made = KeyDirectory.Create(path, "example.com/log", NoteSignatureType.Ed25519, _time);
        using KeyDirectory read = KeyDirectory.Open(path);

        read.Keys.ShouldBe(made.Keys);
        read.SigningAt(_time.GetUtcNow()).ShouldHaveSingleItem().Sign([1]).ShouldBe(made.SigningAt(_time.GetUtcNow())[0].Sign([1]));
        File.GetUnixFileMode(path).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);
        foreach (string file in Directory.EnumerateFiles(path))
        {
            File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite, file);
        }

        Should.Throw<KeyDirectoryException>(() => KeyDirectory.Create(path, "other", NoteSignatureType.Ed25519, _time));
    }

    [Theory]
    [InlineData("key-0001.pem", UnixFileMode.GroupRead)]
    [InlineData("key-0001.pem", UnixFileMode.OtherRead)]
    [InlineData("keys.json", UnixFileMode.OtherWrite)]
    [InlineData("", UnixFileMode.GroupWrite)]
    public void A_key_that_others_can_use_is_refused(string file, UnixFileMode mode)
    {
        string path = _directory.At("keys");
        KeyDirectory.Create(path, "example.com/log", NoteSignatureType.Ed25519, _time).Dispose();
        string target = Path.Combine(path, file);
        File.SetUnixFileMode(target, File.GetUnixFileMode(target) | mode);

        string message = Should.Throw<KeyDirectoryException>(() => KeyDirectory.Open(path)).Message;

        message.ShouldContain("chmod go=");
        message.ShouldNotContain("PRIVATE");
    }

    [Fact]
    public void A_rotated_key_signs_beside_the_new_one_until_its_time_and_is_then_removed()
    {
        string path = _directory.At("keys");
        using KeyDirectory keys = KeyDirectory.Create(path, "example.com/log", NoteSignatureType.Ed25519, _time);
        VerifierKey first = keys.Keys[0].PublicKey;
        keys.Rotate(TimeSpan.FromDays(30), _time);

        keys.SigningAt(_time.GetUtcNow()).Select(key => key.PublicKey).ShouldBe([keys.Keys[1].PublicKey, first]);
        _time.Advance(TimeSpan.FromDays(31));
        keys.SigningAt(_time.GetUtcNow()).ShouldHaveSingleItem().PublicKey.ShouldBe(keys.Keys[1].PublicKey);
        File.Exists(Path.Combine(path, "key-0001.pem")).ShouldBeTrue();
        keys.Rotate(TimeSpan.Zero, _time);
        File.Exists(Path.Combine(path, "key-0001.pem")).ShouldBeFalse();
        using KeyDirectory read = KeyDirectory.Open(path);
        read.Keys.Count.ShouldBe(3);
        read.SigningAt(_time.GetUtcNow()).ShouldHaveSingleItem().PublicKey.ShouldBe(read.Keys[2].PublicKey);
    }

    [Fact]
    public void A_key_file_with_another_key_or_with_garbage_is_refused()
    {
        string path = _directory.At("keys");
        KeyDirectory.Create(path, "example.com/log", NoteSignatureType.Ed25519, _time).Dispose();
        using SigningKey other = SigningKey.Generate("example.com/log");
        string pem = Path.Combine(path, "key-0001.pem");

        File.WriteAllText(pem, other.ToPrivatePem());
        Should.Throw<KeyDirectoryException>(() => KeyDirectory.Open(path));
        File.WriteAllText(pem, "secret garbage");
        Should.Throw<KeyDirectoryException>(() => KeyDirectory.Open(path)).Message.ShouldNotContain("secret");
        File.WriteAllText(Path.Combine(path, "keys.json"), """{"version":1,"keys":[{"file":"../../etc/shadow"}]}""");
        Should.Throw<KeyDirectoryException>(() => KeyDirectory.Open(path));
    }
}

/// <summary>A clock that stands still until it is moved.</summary>
internal sealed class ManualTime : TimeProvider
{
    private DateTimeOffset _now = new(2026, 11, 22, 0, 0, 0, TimeSpan.Zero);

    public override DateTimeOffset GetUtcNow() => _now;

    public void Advance(TimeSpan by) => _now += by;
}
