using Rynxs.Policy.Egress;
using static Rynxs.Gateway.Tests.Sandboxed.SandboxedEgress;

namespace Rynxs.Gateway.Tests.Sandboxed;

/// <summary>From inside a real gVisor sandbox, with programs that know nothing of us.</summary>
public sealed class WayOutTests(SandboxedEgress fixture)
{
    [Theory]
    [InlineData(false)]
    [InlineData(true)]
    public async Task A_program_reaches_what_is_allowed_and_nothing_else(bool warm)
    {
        await using SandboxWithGateway box = await fixture.OpenAsync(
            EgressPolicyModel.Of([Allow("allowed.test", EgressProtocol.Tls, 443), Allow("allowed.test", EgressProtocol.Http, 80)]), warm);
        box.Sandbox.Start.ShouldBe(warm ? Rynxs.Sandbox.SandboxStart.Warm : Rynxs.Sandbox.SandboxStart.Plain);

        string output = await box.ShellAsync("""
            curl -s https://allowed.test/a
            curl -s http://allowed.test/b
            curl -s -o /dev/null -w '%{http_code} %{http_connect}\n' https://denied.test/
            curl -s -o /dev/null -w '%{http_code}\n' http://denied.test/
            curl -s --noproxy '*' --max-time 3 https://allowed.test/transparent
            curl -s --noproxy '*' --max-time 3 https://denied.test/; echo "curl $?"
            """);

        output.ShouldBe("GET https allowed.test /a\nGET http allowed.test /b\n000 403\n403\nGET https allowed.test /transparent\ncurl 6\n");
        box.Sandbox.Controls.Single(control => control.Control == "network").Requested.ShouldBe("restricted");
    }
}
