using System.Net;
using System.Net.Sockets;
using System.Text;
using Rynxs.Server.Tests.Kit;

namespace Rynxs.SecurityTests;

/// <summary>Catalogue group G6: slow and huge requests.</summary>
public sealed class ResourceExhaustionTests
{
    [Fact]
    public async Task G6_a_huge_body_is_refused_by_its_length_and_by_its_bytes()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        byte[] huge = new byte[14 * 1024 * 1024];
        huge.AsSpan().Fill((byte)' ');
        foreach (bool chunked in (bool[])[false, true])
        {
            using var content = new ByteArrayContent(huge);
            content.Headers.ContentType = new("application/json");
            using var request = new HttpRequestMessage(HttpMethod.Post, "/api/v1/sandbox/execute") { Content = content };
            request.Headers.TransferEncodingChunked = chunked;
            HttpStatusCode? status = null;
            try
            {
                using HttpResponseMessage response = await server.Http.SendAsync(request, TestContext.Current.CancellationToken);
                status = response.StatusCode;
            }
            catch (HttpRequestException)
            {
                // The server closed the connection while we were still sending: refused as well.
            }

            if (status is not null)
            {
                status.ShouldBe(HttpStatusCode.RequestEntityTooLarge);
            }
        }

        await server.GetAsync("/api/v1/whoami");
    }

    [Fact]
    public async Task G6_a_client_that_never_finishes_its_headers_is_cut_off_and_others_are_served()
    {
        SandboxRequirement.Require();
        await using TestServer server = await TestServer.StartAsync();
        using var slow = new TcpClient();
        await slow.ConnectAsync(IPAddress.Loopback, server.Server.Url.Port, TestContext.Current.CancellationToken);
        await slow.GetStream().WriteAsync(Encoding.ASCII.GetBytes("GET /livez HTTP/1.1\r\nHost: localhost\r\nX-Slow: "), TestContext.Current.CancellationToken);

        await server.GetAsync("/api/v1/whoami");
        using var patience = CancellationTokenSource.CreateLinkedTokenSource(TestContext.Current.CancellationToken);
        patience.CancelAfter(TimeSpan.FromSeconds(30));
        using var reader = new StreamReader(slow.GetStream());
        string answer = await reader.ReadToEndAsync(patience.Token);

        answer.ShouldStartWith("HTTP/1.1 408");
    }
}
