using System.Security.Cryptography;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Hosting.Server;
using Microsoft.AspNetCore.Hosting.Server.Features;
using Microsoft.AspNetCore.Http;
using Microsoft.AspNetCore.Http.Features;
using Microsoft.Extensions.DependencyInjection;
using Microsoft.Extensions.Logging.Abstractions;
using Microsoft.IdentityModel.JsonWebTokens;
using Microsoft.IdentityModel.Tokens;
using Rynxs.Resources.Identity;
using Rynxs.Server.Identity;

namespace Rynxs.Server.Tests.Identity;

/// <summary>
/// What needs a clock and a provider that misbehaves. A certified provider is in the end-to-end tests; here stands the two documents that it publishes, so
/// that the test decides what is in them.
/// </summary>
public sealed class OidcKeyTests : IAsyncLifetime
{
    private readonly MovedTime _time = new();
    private readonly List<string> _extraKeys = [];
    private readonly RSA _key = RSA.Create(2048);
    private string _keyId = "first";
    private WebApplication? _provider;
    private string _issuer = "";
    private int _fetches;
    private bool _down;

    public async ValueTask InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateEmptyBuilder(new WebApplicationOptions());
        builder.Services.AddRouting();
        builder.WebHost.UseKestrelCore().UseUrls("http://127.0.0.1:0");
        _provider = builder.Build();
        _provider.MapGet("/.well-known/openid-configuration", () => _down
            ? Results.StatusCode(503)
            : Results.Text($$"""{"issuer":"{{_issuer}}","jwks_uri":"{{_issuer}}/keys"}""", "application/json"));
        _provider.MapGet("/keys", () =>
        {
            Interlocked.Increment(ref _fetches);
            RSAParameters key = _key.ExportParameters(includePrivateParameters: false);
            string rsa = $$"""{"kty":"RSA","kid":"{{_keyId}}","use":"sig","n":"{{Base64UrlEncoder.Encode(key.Modulus)}}","e":"{{Base64UrlEncoder.Encode(key.Exponent)}}"}""";
            return Results.Text($$"""{"keys":[{{string.Join(',', _extraKeys.Prepend(rsa))}}]}""", "application/json");
        });
        await _provider.StartAsync(TestContext.Current.CancellationToken);
        _issuer = _provider.Services.GetRequiredService<IServer>().Features.GetRequiredFeature<IServerAddressesFeature>().Addresses.First();
    }

    public async ValueTask DisposeAsync()
    {
        if (_provider is not null)
        {
            await _provider.DisposeAsync();
        }

        _key.Dispose();
    }

    [Fact]
    public async Task D9_a_token_counts_from_its_beginning_to_its_end_with_a_minute_for_clocks()
    {
        using OidcTokens tokens = Tokens();
        DateTimeOffset now = _time.GetUtcNow();
        string token = Sign(now, now.AddMinutes(5));
        string future = Sign(now.AddMinutes(3), now.AddMinutes(5));

        (await CountsAsync(tokens, token)).ShouldBeTrue("positive control");
        (await CountsAsync(tokens, future)).ShouldBeFalse("it has not begun");
        _time.Offset = TimeSpan.FromSeconds(5 * 60 + 59);
        (await CountsAsync(tokens, token)).ShouldBeTrue("a minute for clocks");
        _time.Offset = TimeSpan.FromSeconds(6 * 60 + 1);
        (await CountsAsync(tokens, token)).ShouldBeFalse("it has ended");
        (await CountsAsync(tokens, Sign(_time.GetUtcNow(), expires: null))).ShouldBeFalse("without an end it does not count");
    }

    [Fact]
    public async Task G6_made_up_key_ids_make_us_ask_the_provider_once_in_ten_seconds()
    {
        using OidcTokens tokens = Tokens();
        (await CountsAsync(tokens, Sign(_time.GetUtcNow(), _time.GetUtcNow().AddHours(1)))).ShouldBeTrue("positive control");
        _fetches.ShouldBe(1);

        string keyId = _keyId;
        for (int i = 0; i < 50; i++)
        {
            _keyId = $"made-up-{i}";
            string forged = Sign(_time.GetUtcNow(), _time.GetUtcNow().AddHours(1));
            _keyId = keyId;
            (await CountsAsync(tokens, forged)).ShouldBeFalse();
        }

        _fetches.ShouldBe(1);
        _time.Offset = TimeSpan.FromSeconds(11);
        _keyId = "rotated";
        (await CountsAsync(tokens, Sign(_time.GetUtcNow(), _time.GetUtcNow().AddHours(1)))).ShouldBeTrue("a real new key is found");
        _fetches.ShouldBe(2);
    }

    [Fact]
    public async Task Keys_are_used_for_a_day_while_the_provider_is_down_and_not_longer()
    {
        using OidcTokens tokens = Tokens();
        string token = Sign(_time.GetUtcNow(), _time.GetUtcNow().AddDays(3));
        (await CountsAsync(tokens, token)).ShouldBeTrue();
        _down = true;

        _time.Offset = TimeSpan.FromHours(23);
        (await CountsAsync(tokens, token)).ShouldBeTrue();
        _time.Offset = TimeSpan.FromHours(25);
        (await CountsAsync(tokens, token)).ShouldBeFalse();
        _down = false;
        _time.Offset = TimeSpan.FromHours(25) + TimeSpan.FromSeconds(30);
        (await CountsAsync(tokens, token)).ShouldBeTrue("positive control: it is back");
    }

    [Fact]
    public async Task D7_a_symmetric_key_in_the_key_set_signs_nothing()
    {
        byte[] secret = new byte[32];
        _extraKeys.Add($$"""{"kty":"oct","kid":"secret","alg":"HS256","k":"{{Base64UrlEncoder.Encode(secret)}}"}""");
        using OidcTokens tokens = Tokens();
        string forged = Sign(_time.GetUtcNow(), _time.GetUtcNow().AddHours(1), new SigningCredentials(new SymmetricSecurityKey(secret) { KeyId = "secret" }, SecurityAlgorithms.HmacSha256));

        (await CountsAsync(tokens, forged)).ShouldBeFalse();
        (await CountsAsync(tokens, Sign(_time.GetUtcNow(), _time.GetUtcNow().AddHours(1)))).ShouldBeTrue("positive control");
    }

    [Fact]
    public void D7_grants_of_different_reach_are_not_mixed()
    {
        using OidcTokens tokens = Tokens(
            new OidcGrant("auditors", Role.Auditor, null), new OidcGrant("owners", Role.Admin, ["team-a"]), new OidcGrant("helpers", Role.Developer, ["team-a"]));

        Principal both = tokens.PrincipalOf("oidc:x", ["auditors", "owners"]).ShouldNotBeNull();
        both.Roles.ShouldHaveSingleItem("an auditor of everything who owns one namespace is no administrator of everything").ShouldBe(Role.Auditor);
        both.Namespaces.ShouldBeNull();
        Principal local = tokens.PrincipalOf("oidc:x", ["owners", "helpers"]).ShouldNotBeNull();
        local.Roles.Order().ShouldBe([Role.Admin, Role.Developer]);
        local.Namespaces.ShouldBe(["team-a"]);
        tokens.PrincipalOf("oidc:x", ["strangers"]).ShouldBeNull();
    }

    [Theory]
    [InlineData("http://issuer.example", "--oidc-issuer")]
    [InlineData("ftp://127.0.0.1", "--oidc-issuer")]
    [InlineData("not an address", "--oidc-issuer")]
    public void Plain_http_is_taken_on_this_machine_alone(string issuer, string named)
    {
        var options = new OidcOptions { Issuer = issuer, Audiences = ["a"], Grants = [new OidcGrant("g", Role.Admin, null)] };

        options.Problems().ShouldContain(problem => problem.StartsWith(named, StringComparison.Ordinal));
        (options with { Issuer = "https://issuer.example" }).Problems().ShouldBeEmpty();
        (options with { Issuer = "https://issuer.example", UsernamePrefix = "user:" }).Problems().ShouldHaveSingleItem();
    }

    private OidcTokens Tokens(params OidcGrant[] grants)
    {
        var options = new OidcOptions { Issuer = _issuer, Audiences = ["rynxs"], Grants = grants.Length > 0 ? grants : [new OidcGrant("devs", Role.Developer, null)] };
        return new OidcTokens(options, new OidcKeys(options, _time, NullLogger<OidcKeys>.Instance), _time);
    }

    private string Sign(DateTimeOffset notBefore, DateTimeOffset? expires, SigningCredentials? credentials = null) =>
        new JsonWebTokenHandler { SetDefaultTimesOnTokenCreation = false }.CreateToken(new SecurityTokenDescriptor
        {
            Issuer = _issuer,
            NotBefore = notBefore.UtcDateTime,
            Expires = expires?.UtcDateTime,
            Claims = new Dictionary<string, object> { ["sub"] = "ada", ["aud"] = "rynxs", ["groups"] = new[] { "devs" } },
            SigningCredentials = credentials ?? new SigningCredentials(new RsaSecurityKey(_key) { KeyId = _keyId }, SecurityAlgorithms.RsaSha256),
        });

    private static async Task<bool> CountsAsync(OidcTokens tokens, string token) =>
        await tokens.AuthenticateAsync(token, TestContext.Current.CancellationToken) is Authentication.Known;
}
