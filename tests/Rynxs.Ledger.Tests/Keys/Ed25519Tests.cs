using Rynxs.Ledger.Keys;
using Rynxs.Ledger.Notes;

namespace Rynxs.Ledger.Tests.Keys;

/// <summary>Ed25519 with the test vectors of RFC 8032, section 7.1.</summary>
public sealed class Ed25519Tests
{
    [Theory]
    [InlineData(
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60", "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b")]
    [InlineData(
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb", "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00")]
    [InlineData(
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7", "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025", "af82",
        "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a")]
    public void The_vectors_of_the_RFC_come_out(string seed, string publicKey, string message, string signature)
    {
        byte[] signed = Ed25519.Sign(Convert.FromHexString(seed), Convert.FromHexString(message));

        Convert.ToHexStringLower(Ed25519.PublicKeyOf(Convert.FromHexString(seed))).ShouldBe(publicKey);
        Convert.ToHexStringLower(signed).ShouldBe(signature);
        Ed25519.Verify(Convert.FromHexString(publicKey), Convert.FromHexString(message), signed).ShouldBeTrue();
    }

    [Fact]
    public void A_changed_bit_anywhere_is_no_signature()
    {
        using SigningKey key = SigningKey.Generate("example.com/log");
        byte[] message = [1, 2, 3];
        byte[] signature = key.Sign(message);
        for (int bit = 0; bit < signature.Length * 8; bit++)
        {
            byte[] changed = [.. signature];
            changed[bit / 8] ^= (byte)(1 << (bit % 8));
            Ed25519.Verify(key.PublicKey.Key.Span, message, changed).ShouldBeFalse();
        }

        Ed25519.Verify(key.PublicKey.Key.Span, [1, 2, 4], signature).ShouldBeFalse();
        Ed25519.Verify(key.PublicKey.Key.Span, message, signature.AsSpan(1)).ShouldBeFalse();
        Ed25519.Verify([], message, signature).ShouldBeFalse();
    }

    [Fact]
    public void A_key_survives_its_PEM_and_its_text_shows_only_the_public_part()
    {
        using SigningKey key = SigningKey.Generate("example.com/log");
        using SigningKey read = SigningKey.FromPem("example.com/log", key.ToPrivatePem());

        read.PublicKey.ShouldBe(key.PublicKey);
        read.Sign([7]).ShouldBe(key.Sign([7]));
        SigningKey.PublicKeyFromPem(key.ToPublicPem()).ShouldBe(key.PublicKey.Key.ToArray());
        key.ToString().ShouldBe(key.PublicKey.ToString());
        VerifierKey.Parse(key.ToString()).ShouldBe(key.PublicKey);
    }

    [Theory]
    [InlineData("")]
    [InlineData("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")]
    [InlineData("-----BEGIN EC PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMRESVxpezJpGXA7rAMcrn9g\n-----END EC PRIVATE KEY-----\n")]
    public void What_is_no_Ed25519_key_is_refused(string pem) =>
        Should.Throw<FormatException>(() => SigningKey.FromPem("example.com/log", pem)).Message.ShouldNotContain("MC4C");
}
