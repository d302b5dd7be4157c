using System.Text.Json;
using Rynxs.Cli.Objects;
using Rynxs.Cli.SandboxCode;
using Rynxs.Cli.Tasks;
using Rynxs.Cli.Terminal;
using Rynxs.Resources.Manifests;

namespace Rynxs.Cli.Demo;

/// <summary>The steps, in the order in which a newcomer meets the system.</summary>
internal static class DemoSteps
{
    private const string Agent = "my-agent";
    private const string Analyst = "analyst";

    public static IReadOnlyList<Step> All(DemoContext context) =>
    [
        new Step(
            "The manifests of examples/ are applied",
            "every document is accepted, the agent's manifest is the one of the original README, unchanged",
            cancellationToken => ApplyAsync(context, cancellationToken)),
        new Step(
            "A task runs in a sandbox with a kernel of its own",
            "the sandbox's kernel is gVisor, not the host's",
            cancellationToken => KernelAsync(context, cancellationToken)),
        new Step(
            "An agent computes over a real file of its workspace",
            "its sums equal those that this program computes by itself",
            cancellationToken => DataTask.RunAsync(context, Analyst, cancellationToken)),
        new Step(
            "A tool call against the rules is denied",
            "the rule keep-out-of-secrets decides, and no file is written",
            cancellationToken => DeniedAsync(context, cancellationToken)),
        new Step(
            "A shell needs an approval",
            "the call waits; who asked cannot approve; somebody else can; then it runs",
            cancellationToken => ApprovalStep.RunAsync(context, Analyst, cancellationToken)),
        new Step(
            "Attempts to escape are seen and blocked",
            "each attempt fails inside, and is reported as a blocked violation; a harmless program reports none",
            cancellationToken => EscapeStep.RunAsync(context, cancellationToken)),
        new Step(
            "A model is reached through the gateway alone, with a key that nobody sees and a budget that ends",
            "ten calls are answered, the eleventh is stopped by the budget, the key is nowhere inside, all of it is in the audit trail",
            cancellationToken => ModelStep.RunAsync(context, Agent, cancellationToken)),
        new Step(
            "One host is allowed, a denied one is asked about and opened",
            "200 and 403; the denial is a question; a person approves; 200 and 200; all of it in the audit trail",
            cancellationToken => EgressStep.RunAsync(context, cancellationToken)),
        new Step(
            "A line appended to the inbox by hand is answered",
            "the answer stands in outbox.jsonl",
            cancellationToken => InboxAsync(context, cancellationToken)),
        new Step(
            "The audit trail verifies, and a changed copy does not",
            "both chains are valid; in a copy with one changed record that record is named",
            cancellationToken => AuditStep.RunAsync(context, [Agent, Analyst], cancellationToken)),
        new Step(
            "The server finds nothing that was left behind",
            "no leftover sandboxes, mounts or cgroups",
            cancellationToken => DoctorAsync(context, cancellationToken)),
    ];

    private static async Task<Observation> ApplyAsync(DemoContext context, CancellationToken cancellationToken)
    {
        ServerKinds kinds = await ServerKinds.FetchAsync(context.Client, cancellationToken);
        IReadOnlyList<Manifest> manifests = Manifest.Bind(
            kinds, Example.Names.SelectMany(name => ManifestDocuments.Read(Example.Bytes(name))), DemoContext.Namespace, requiredNamespace: null);
        var output = new StringWriter();
        var screen = new Screen(output, output, outputIsTerminal: false, errorIsTerminal: false, colours: false);
        int exitCode = await ApplyCommand.ApplyAsync(context.Client, manifests, new ApplyOptions(), screen, cancellationToken);
        return new Observation(exitCode == ExitCodes.Ok, ("happened", output.ToString()));
    }

    private static async Task<Observation> KernelAsync(DemoContext context, CancellationToken cancellationToken)
    {
        JsonElement task = await context.WaitForTaskAsync("hello-sandbox", cancellationToken);
        string banner = TaskSubmission.ResultText(task) ?? "";
        string host = (await File.ReadAllTextAsync("/proc/version", cancellationToken)).Trim();
        JsonElement messages = await ExecCommand.ExecuteAsync(context.Client, DemoContext.Namespace, Agent, ["dmesg"], null, 30, cancellationToken);
        string boot = messages.Text("stdout") ?? "";
        string? starting = boot.Split('\n').FirstOrDefault(line => line.Contains("gVisor", StringComparison.OrdinalIgnoreCase));
        bool held = task.Text("status.phase") == "Completed"
            && banner.Contains("Linux", StringComparison.Ordinal)
            && !banner.Contains(Environment.OSVersion.Version.ToString(3), StringComparison.Ordinal)
            && starting is not null;
        return new Observation(held, ("host", host), ("sandbox", banner), ("dmesg", starting ?? $"no line names gVisor: {boot} {messages.Text("stderr")}"),
            ("task", $"{task.Text("status.phase")} {task.Text("status.error")}"));
    }

    private static async Task<Observation> DeniedAsync(DemoContext context, CancellationToken cancellationToken)
    {
        JsonElement task = await context.RunTaskAsync(Analyst, "write secrets/key.txt: stolen", cancellationToken);
        JsonElement? denial = (await context.RecordsAsync(Analyst, cancellationToken)).Cast<JsonElement?>()
            .LastOrDefault(record => record?.Text("type") == "PolicyDecided" && record?.Text("payload.verdict") == "deny");
        bool written = File.Exists(Path.Combine(context.WorkspaceFile(Analyst, "files"), "secrets", "key.txt"));
        return new Observation(
            task.Text("status.phase") == "Failed" && denial?.Text("payload.rule") == "keep-out-of-secrets" && !written,
            ("happened", denial is { } record
                ? $"{record.Text("payload.verdict")} {record.Text("payload.tool")} by rule {record.Text("payload.rule")} ({record.Text("payload.reason")})"
                : "no denial was recorded"),
            ("task", $"{task.Text("status.phase")}: {task.Text("status.error")}"),
            ("file", written ? "WAS WRITTEN" : "not written"));
    }

    private static async Task<Observation> InboxAsync(DemoContext context, CancellationToken cancellationToken)
    {
        const string Text = "run echo answered by hand in sandbox";
        await File.AppendAllTextAsync(context.WorkspaceFile(Agent, "inbox.jsonl"), $$"""{"text":"{{Text}}"}""" + "\n", cancellationToken);
        string outbox = context.WorkspaceFile(Agent, "outbox.jsonl");
        JsonElement answer = await context.EventuallyAsync(
            "an answer in the outbox",
            async () =>
            {
                string[] lines = File.Exists(outbox) ? await File.ReadAllLinesAsync(outbox, cancellationToken) : [];
                return lines.Where(line => line.Length > 0).Select(Parse).Cast<JsonElement?>().LastOrDefault(line => line?.Text("input") == Text);
            },
            cancellationToken);
        return new Observation(
            answer.Text("status") == "completed" && answer.Text("output.text")?.Contains("answered by hand", StringComparison.Ordinal) == true,
            ("inbox", Text),
            ("outbox", answer.GetRawText()));
    }

    private static async Task<Observation> DoctorAsync(DemoContext context, CancellationToken cancellationToken)
    {
        JsonElement report = await context.Client.GetAsync("/api/v1/doctor", cancellationToken);
        string[] leftovers = [.. report.Items("leftovers").Select(leftover => $"{leftover.Text("kind")} {leftover.Text("name")}")];
        string[] failed = [.. report.Items("checks").Where(check => check.Text("status") == "fail").Select(check => $"{check.Text("name")}: {check.Text("detail")}")];
        return new Observation(
            leftovers.Length == 0 && failed.Length == 0 && report.Items("checks").Any(),
            ("leftovers", leftovers.Length == 0 ? "none" : string.Join("; ", leftovers)),
            ("checks", failed.Length == 0 ? $"{report.Items("checks").Count()} run, none failed" : string.Join("; ", failed)));
    }

    private static JsonElement Parse(string line)
    {
        using JsonDocument document = JsonDocument.Parse(line);
        return document.RootElement.Clone();
    }
}
