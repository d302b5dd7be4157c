using System.Net;
using System.Net.WebSockets;
using System.Text;
using Microsoft.AspNetCore.Builder;
using Microsoft.AspNetCore.Hosting;
using Microsoft.AspNetCore.Http;
using Microsoft.Extensions.Logging;
using Rynxs.Kubernetes.Credentials;
using Rynxs.Kubernetes.Requests;
using Rynxs.Kubernetes.Streams;
using static Rynxs.Kubernetes.Tests.Kit.TestClusters;

namespace Rynxs.Kubernetes.Tests.Streams;

/// <summary>Programs over a WebSocket, against a kubelet that speaks the protocol (KEP-4006): it runs "cat" and "exit N".</summary>
public sealed class PodProgramTests : IAsyncLifetime
{
    private WebApplication? _application;
    private string _query = "";

    public async ValueTask InitializeAsync()
    {
        WebApplicationBuilder builder = WebApplication.CreateSlimBuilder();
        builder.Logging.ClearProviders();
        builder.WebHost.UseUrls("http://127.0.0.1:0");
        _application = builder.Build();
        _application.UseWebSockets();
        _application.Run(ServeAsync);
        await _application.StartAsync(Ct);
    }

    public async ValueTask DisposeAsync()
    {
        if (_application is not null)
            await _application.DisposeAsync();
    }

    [Fact]
    public async Task Input_goes_in_and_ends_and_output_comes_back_with_the_code()
    {
        byte[] input = Encoding.UTF8.GetBytes(new string('x', 100_000) + "é");

        PodOutcome outcome = await Program().RunAsync(Command("cat") with { Input = input }, Ct);

        outcome.ExitCode.ShouldBe(0);
        outcome.Output.ShouldBe(input);
        outcome.Truncated.ShouldBeFalse();
        _query.ShouldContain("stdin=true");
    }

    [Fact]
    public async Task Arguments_with_quotes_and_newlines_arrive_as_they_are()
    {
        await Program().RunAsync(Command("sh", "-c", "echo '; rm -rf /' & \n"), Ct);

        _query.ShouldEndWith("&command=sh&command=-c&command=echo%20%27%3B%20rm%20-rf%20%2F%27%20%26%20%0A");
    }

    [Fact]
    public async Task A_program_that_fails_gives_its_own_code()
    {
        PodOutcome outcome = await Program().RunAsync(Command("exit", "7"), Ct);

        outcome.ExitCode.ShouldBe(7);
        Encoding.UTF8.GetString(outcome.Errors).ShouldBe("failed\n");
    }

    [Fact]
    public async Task Output_beyond_the_limit_is_dropped_and_said_to_be()
    {
        PodOutcome outcome = await Program().RunAsync(Command("cat") with { Input = new byte[50_000], OutputBytes = 1000 }, Ct);

        outcome.Output.Length.ShouldBe(1000);
        outcome.Truncated.ShouldBeTrue();
    }

    [Fact]
    public async Task A_connection_that_ends_before_the_program_did_is_no_success() =>
        (await Should.ThrowAsync<KubernetesException>(() => Program().RunAsync(Command("vanish"), Ct))).Failure.ShouldBe(KubernetesFailure.Unreachable);

    [Fact]
    public async Task A_program_that_runs_too_long_is_a_timeout() =>
        (await Should.ThrowAsync<KubernetesException>(() => Program().RunAsync(Command("hang") with { Timeout = TimeSpan.FromMilliseconds(300) }, Ct)))
            .Failure.ShouldBe(KubernetesFailure.Timeout);

    [Fact]
    public async Task A_refusal_keeps_its_reason() =>
        (await Should.ThrowAsync<KubernetesException>(() => Program().RunAsync(Command("forbidden"), Ct))).Failure.ShouldBe(KubernetesFailure.Forbidden);

    private static PodCommand Command(params string[] command) => new() { Namespace = "n", Pod = "p-0", Container = "agent", Command = command };

    private PodProgram Program() => new(new KubernetesApi(new KubernetesApiOptions
    {
        Connection = new KubernetesConnection { Server = new Uri(_application!.Urls.First()), Credential = new FixedCredential("t") },
    }));

    private async Task ServeAsync(HttpContext context)
    {
        _query = context.Request.QueryString.Value ?? "";
        string[] command = [.. context.Request.Query["command"].OfType<string>()];
        if (command[0] == "forbidden" || context.Request.Headers.Authorization != "Bearer t" || context.Request.Path != "/api/v1/namespaces/n/pods/p-0/exec")
        {
            context.Response.StatusCode = (int)HttpStatusCode.Forbidden;
            return;
        }

        using WebSocket socket = await context.WebSockets.AcceptWebSocketAsync("v5.channel.k8s.io");
        switch (command[0])
        {
            case "cat":
                byte[] buffer = new byte[128 * 1024];
                while (true)
                {
                    ValueWebSocketReceiveResult read = await socket.ReceiveAsync(buffer.AsMemory(), context.RequestAborted);
                    if (buffer[0] == 255 && buffer[1] == 0 && read.Count == 2)
                        break;
                    buffer[0] = 1;
                    await socket.SendAsync(buffer.AsMemory(0, read.Count), WebSocketMessageType.Binary, endOfMessage: true, context.RequestAborted);
                }

                await SendAsync(socket, 3, """{"metadata":{},"status":"Success"}""");
                break;
            case "exit":
                await SendAsync(socket, 2, "failed\n");
                await SendAsync(socket, 3, $$$"""{"kind":"Status","status":"Failure","reason":"NonZeroExitCode","details":{"causes":[{"reason":"ExitCode","message":"{{{command[1]}}}"}]}}""");
                break;
            case "vanish":
                await SendAsync(socket, 1, "half");
                break;
            case "hang":
                await Task.Delay(Timeout.Infinite, context.RequestAborted).ContinueWith(_ => { }, TaskScheduler.Default);
                return;
            default:
                await SendAsync(socket, 3, """{"status":"Success"}""");
                break;
        }

        await socket.CloseOutputAsync(WebSocketCloseStatus.NormalClosure, null, context.RequestAborted);
    }

    private static async Task SendAsync(WebSocket socket, byte channel, string text) =>
        await socket.SendAsync((byte[])[channel, .. Encoding.UTF8.GetBytes(text)], WebSocketMessageType.Binary, endOfMessage: true, Ct);
}
