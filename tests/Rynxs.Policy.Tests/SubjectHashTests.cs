using System.Text.Json;
using Rynxs.Policy.Approvals;
using static Rynxs.Policy.Tests.Calls;

namespace Rynxs.Policy.Tests;

public sealed class SubjectHashTests
{
    [Fact]
    public void E5_spelling_does_not_matter_but_content_does()
    {
        string hash = ApprovalSubject.Hash(Call("t", """{"a":1,"b":"\u0041"}"""));

        ApprovalSubject.Hash(Call("t", """ { "b" : "A", "a" : 1 } """)).ShouldBe(hash);
        ApprovalSubject.Hash(Call("t", """{"a":1,"b":"B"}""")).ShouldNotBe(hash);
        ApprovalSubject.Hash(Call("u", """{"a":1,"b":"A"}""")).ShouldNotBe(hash);
        ApprovalSubject.Hash(Call("t", """{"a":"1","b":"A"}""")).ShouldNotBe(hash);
    }

    [Fact]
    public void A_key_that_is_there_twice_has_no_hash()
    {
        Should.Throw<ArgumentException>(() => ApprovalSubject.Hash(Call("t", """{"a":1,"a":2}""")));
    }

    // Observed on the original (reference: args_sha256 of its audit trail).
    [Theory]
    [InlineData("""{"cmd":"uname -a"}""", "af8dba43a62c14648a6e1de8949b9c20af7af3d8d812ddad8cb4b6fd4c71538e")]
    [InlineData("{}", "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a")]
    public void Argument_digests_are_those_of_the_original(string arguments, string expected)
    {
        ArgumentsDigest.Sha256Hex(JsonDocument.Parse(arguments).RootElement).ShouldBe(expected);
    }

    [Fact]
    public void Subject_hash_is_fixed()
    {
        // SHA-256 of {"agent":"rynxs/my-agent","arguments":{"cmd":"uname -a"},"tool":"sandbox.shell"}: part of the Approval's format.
        byte[] text = """{"agent":"rynxs/my-agent","arguments":{"cmd":"uname -a"},"tool":"sandbox.shell"}"""u8.ToArray();
        string expected = Convert.ToHexStringLower(System.Security.Cryptography.SHA256.HashData(text));

        ApprovalSubject.Hash(Call("sandbox.shell", """{"cmd":"uname -a"}""")).ShouldBe(expected);
    }
}
