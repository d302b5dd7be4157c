using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.Server.Tests.Identity;

public sealed class TokenStoreTests : IDisposable
{
    private readonly string _state = TestServer.NewStatePath();
    private readonly MovedTime _time = new();
    private readonly TokenStore _store;

    public TokenStoreTests()
    {
        Directory.CreateDirectory(_state);
        _store = new TokenStore(_state, _time);
    }

    public void Dispose() => Directory.Delete(_state, recursive: true);

    [Fact]
    public void A_token_stands_for_its_principal_until_it_is_revoked()
    {
        string token = _store.Create("user:ada", new HashSet<Role> { Role.Developer }, new HashSet<string> { "team" }, expires: null);

        Principal principal = _store.Authenticate(token).ShouldNotBeNull();
        principal.Name.ShouldBe("user:ada");
        principal.CanSee("team").ShouldBeTrue();
        principal.CanSee("other").ShouldBeFalse();
        _store.Revoke("user:ada").ShouldBeTrue();
        _store.Authenticate(token).ShouldBeNull();
    }

    [Fact]
    public async Task Two_processes_that_make_and_revoke_tokens_at_once_lose_no_change_of_each_other()
    {
        // A store for each, as a server and a command line have: what they share is the file.
        const int Each = 60;
        await Task.WhenAll(Enumerable.Range(0, 3).Select(process => Task.Run(() =>
        {
            var store = new TokenStore(_state, TimeProvider.System);
            for (int i = 0; i < Each; i++)
            {
                store.Create($"user:{process}-{i}", new HashSet<Role> { Role.Developer }, null, expires: null);
                if (i % 2 == 1)
                {
                    store.Revoke($"user:{process}-{i}").ShouldBeTrue();
                }
            }
        })));

        _store.List().Select(record => record.Name).Order(StringComparer.Ordinal)
            .ShouldBe(Enumerable.Range(0, 3).SelectMany(process => Enumerable.Range(0, Each / 2).Select(i => $"user:{process}-{2 * i}")).Order(StringComparer.Ordinal));
        File.GetUnixFileMode(Path.Combine(_state, "tokens.json.lock")).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public void D1_the_file_holds_no_token_and_is_private()
    {
        string token = _store.Create("user:ada", new HashSet<Role> { Role.Developer }, null, expires: null);
        string file = Path.Combine(_state, "tokens.json");

        File.ReadAllText(file).ShouldNotContain(token);
        File.ReadAllText(file).ShouldNotContain(token[TokenStore.Prefix.Length..]);
        File.GetUnixFileMode(file).ShouldBe(UnixFileMode.UserRead | UnixFileMode.UserWrite);
    }

    [Fact]
    public void An_expired_token_is_refused()
    {
        string token = _store.Create("user:ada", new HashSet<Role> { Role.Developer }, null, _time.GetUtcNow().AddMinutes(1));
        _store.Authenticate(token).ShouldNotBeNull("positive control: it counts until then");

        _time.Offset = TimeSpan.FromMinutes(1);

        _store.Authenticate(token).ShouldBeNull();
    }

    [Theory]
    [InlineData("system:server")]
    [InlineData("")]
    [InlineData("with space")]
    [InlineData("line\nbreak")]
    public void D7_names_that_would_pass_for_others_are_refused(string name) =>
        Should.Throw<ArgumentException>(() => _store.Create(name, new HashSet<Role> { Role.Admin }, null, null));

    [Fact]
    public void A_damaged_file_is_an_error_and_lets_nobody_in()
    {
        string token = _store.Create("user:ada", new HashSet<Role> { Role.Admin }, null, null);
        File.WriteAllText(Path.Combine(_state, "tokens.json"), """{"tokens":[{"name":"x"}]}""");

        Should.Throw<InvalidDataException>(() => _store.Authenticate(token));
    }

    [Fact]
    public void Two_tokens_are_never_the_same_and_carry_256_bits()
    {
        string[] tokens = [.. Enumerable.Range(0, 50).Select(i => _store.Create($"user:{i}", new HashSet<Role> { Role.Agent }, null, null))];

        tokens.Distinct().Count().ShouldBe(50);
        tokens.Select(token => System.Buffers.Text.Base64Url.DecodeFromChars(token.AsSpan(TokenStore.Prefix.Length)).Length).Distinct().ShouldBe([32]);
    }
}
