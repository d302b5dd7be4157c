using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.SandboxCode;

namespace Rynxs.Cli.Demo;

/// <summary>Three attempts to get out, one after the other, and a harmless program as the control.</summary>
internal static class EscapeStep
{
    private static readonly (string Name, string Code)[] Attempts =
    [
        ("open /dev/mem", """
            import os
            try:
                os.open("/dev/mem", os.O_RDWR)
                print("SUCCEEDED")
            except OSError as error:
                print("refused:", error.strerror)
            """),
        ("docker socket", """
            import socket
            try:
                socket.socket(socket.AF_UNIX).connect("/var/run/docker.sock")
                print("SUCCEEDED")
            except OSError as error:
                print("refused:", error.strerror)
            """),
        ("mount", """
            import ctypes, os
            libc = ctypes.CDLL(None, use_errno=True)
            if libc.mount(b"proc", b"/tmp", b"proc", 0, None) == 0:
                print("SUCCEEDED")
            else:
                print("refused:", os.strerror(ctypes.get_errno()))
            """),
    ];

    public static async Task<Observation> RunAsync(DemoContext context, CancellationToken cancellationToken)
    {
        List<(string Label, string Text)> facts = [];
        bool held = true;
        foreach ((string name, string code) in Attempts)
        {
            JsonElement answer = await ExecuteAsync(context, code, cancellationToken);
            JsonElement? violation = answer.Items("security_violations").Cast<JsonElement?>().FirstOrDefault(item => item?.IsTrue("blocked") == true);
            string output = (answer.Text("stdout") ?? "").Trim();
            held &= violation is not null && !output.Contains("SUCCEEDED", StringComparison.Ordinal);
            facts.Add((name.Length <= 9 ? name : "attempt", $"{name}: {(output.Length > 0 ? output : answer.Text("termination_reason"))}; "
                + (violation is { } seen
                    ? $"violation {seen.Text("violation_type")}, {seen.Text("severity")}, seen by {seen.Text("detection_layer")}, blocked"
                    : "NO BLOCKED VIOLATION WAS REPORTED")));
        }

        JsonElement harmless = await ExecuteAsync(context, "print(sum(range(10)))", cancellationToken);
        int reported = harmless.Items("security_violations").Count();
        held &= reported == 0 && harmless.Text("stdout")?.Trim() == "45";
        facts.Add(("control", $"harmless program: printed {harmless.Text("stdout")?.Trim()}, {reported} violations"));
        return new Observation(held, facts);
    }

    private static async Task<JsonElement> ExecuteAsync(DemoContext context, string code, CancellationToken cancellationToken) =>
        await context.Client.SendAsync(
            HttpMethod.Post,
            "/api/v1/sandbox/execute",
            RunCommand.Body("demo-escape", code, "python", timeoutSeconds: 30),
            cancellationToken,
            timeout: TimeSpan.FromSeconds(120)) ?? throw new CliException("the server answered nothing.");
}
