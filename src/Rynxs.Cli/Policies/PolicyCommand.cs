using System.CommandLine;
using System.Text;
using System.Text.Json;
using Rynxs.Cli.Client;
using Rynxs.Cli.Objects;
using Rynxs.Cli.Terminal;
using Rynxs.Server.Egress;

namespace Rynxs.Cli.Policies;

/// <summary><c>rynxs policy explain|test|pack</c>.</summary>
internal static class PolicyCommand
{
    private const int MaxFileBytes = 16 * 1024 * 1024;

    public static Command Create(Screen screen) => new("policy", "Says what policies decide, and tests them.") { Explain(screen), Test(screen), Pack(screen) };

    private static Command Explain(Screen screen)
    {
        var agent = new Argument<string>("agent") { Description = "The agent, or an agent id of the execute API." };
        var target = new Argument<string>("target") { Description = "https://HOST/, http://HOST/PATH, or HOST:PORT for any bytes." };
        var method = new Option<string>("--method") { Description = "Method of plain HTTP.", HelpName = "METHOD", DefaultValueFactory = _ => "GET" };
        var execution = new Option<bool>("--execution") { Description = "For a program of the execute API instead of the agent's own sandbox." };
        Option<string> output = OutputFormat.Create(OutputFormat.Table, OutputFormat.Json);
        var command = new Command("explain", "Which rule decides about a host, and why.") { agent, target, method, execution, output };
        command.SetAction(async (parsed, cancellationToken) =>
        {
            ClientSettings settings = ClientSettings.Resolve(parsed);
            using var client = new ApiClient(settings);
            JsonElement answer = await client.SendAsync(
                HttpMethod.Post, $"/api/v1/namespaces/{Uri.EscapeDataString(settings.Namespace)}/egress/explain",
                Body(parsed.GetRequiredValue(agent), parsed.GetRequiredValue(target), parsed.GetRequiredValue(method), parsed.GetValue(execution)), cancellationToken)
                ?? throw new CliException("the server did not answer");
            if (parsed.GetRequiredValue(output) == OutputFormat.Json)
            {
                screen.Line(answer.GetRawText());
                return ExitCodes.Ok;
            }

            screen.Line($"{Text(answer, "verdict")}: {Text(answer, "reason")}{(Text(answer, "rule") is { Length: > 0 } rule ? $" ({rule})" : "")}");
            screen.Line($"DNS in the sandbox answers the name: {(answer.GetProperty("dns_answers").GetBoolean() ? "yes" : "no")}; a person could open it: {(answer.GetProperty("could_be_approved").GetBoolean() ? "yes" : "no")}");
            var table = new ColumnTable("POLICY", "SAYS", "RULE", "APPROVALS", "DIGEST");
            foreach (JsonElement policy in answer.GetProperty("policies").EnumerateArray())
            {
                table.Add(Text(policy, "policy"), Text(policy, "verdict"), Text(policy, "rule"), policy.GetProperty("approvals_count").GetBoolean() ? "count" : "do not count", Text(policy, "digest"));
            }

            table.WriteTo(screen);
            return ExitCodes.Ok;
        });
        return command;
    }

    private static Command Test(Screen screen)
    {
        var files = new Argument<string[]>("file") { Description = "YAML with EgressPolicies and a PolicyTest; without one, the packs that ship.", Arity = ArgumentArity.ZeroOrMore };
        var command = new Command("test", "Runs tables of cases through the code that the gateway decides by; needs no server. Exit code 1 when one fails.") { files };
        command.SetAction(parsed =>
        {
            string[] given = parsed.GetValue(files) ?? [];
            IReadOnlyList<EgressCaseResult> results;
            try
            {
                results = EgressPolicyTests.Run(given.Length == 0
                    ? EgressPolicyTests.Packs.Select(pack => (ReadOnlyMemory<byte>)Encoding.UTF8.GetBytes(EgressPolicyTests.Pack(pack)))
                    : given.Select(Read));
            }
            catch (FormatException wrong)
            {
                throw new CliException(wrong.Message);
            }

            foreach (EgressCaseResult result in results)
            {
                screen.Line($"{(result.Passed ? "ok  " : "FAIL")} {result.Name}: {result.Request} is {result.Verdict}{(result.Rule is null ? "" : $" by {result.Rule}")}{(result.Passed ? "" : $", expected {result.Expected}")}");
            }

            int failed = results.Count(result => !result.Passed);
            screen.Line($"{results.Count - failed} passed, {failed} failed");
            return failed == 0 ? ExitCodes.Ok : ExitCodes.Failure;
        });
        return command;
    }

    private static Command Pack(Screen screen)
    {
        var name = new Argument<string?>("name") { Description = "The pack; without one, their names.", Arity = ArgumentArity.ZeroOrOne };
        var command = new Command("pack", "Prints a policy that ships, to be applied: rynxs policy pack coding | rynxs apply -f -") { name };
        command.SetAction(parsed =>
        {
            string? chosen = parsed.GetValue(name);
            if (chosen is not null && !EgressPolicyTests.Packs.Contains(chosen))
            {
                throw new CliException($"there is no pack '{chosen}'; packs: {string.Join(", ", EgressPolicyTests.Packs)}", ExitCodes.Usage);
            }

            foreach (string line in chosen is null ? EgressPolicyTests.Packs : EgressPolicyTests.PolicyOf(chosen).TrimEnd().Split('\n'))
            {
                screen.Line(line);
            }

            return ExitCodes.Ok;
        });
        return command;
    }

    private static ReadOnlyMemory<byte> Read(string path)
    {
        var file = new FileInfo(path);
        return !file.Exists ? throw new CliException($"{path}: no such file", ExitCodes.Usage)
            : file.Length > MaxFileBytes ? throw new CliException($"{path}: more than {MaxFileBytes} bytes")
            : File.ReadAllBytes(path);
    }

    private static string Body(string agent, string target, string method, bool execution)
    {
        using var buffer = new MemoryStream();
        using (var writer = new Utf8JsonWriter(buffer))
        {
            writer.WriteStartObject();
            writer.WriteString("agent", agent);
            if (Uri.TryCreate(target, UriKind.Absolute, out Uri? url) && url.Scheme is "http" or "https")
            {
                writer.WriteString("host", url.IdnHost);
                writer.WriteNumber("port", url.Port);
                writer.WriteString("protocol", url.Scheme == "http" ? "http" : "tls");
                if (url.Scheme == "http")
                {
                    writer.WriteString("method", method);
                    writer.WriteString("path", url.AbsolutePath);
                }
            }
            else if (target.LastIndexOf(':') is var colon and > 0 && int.TryParse(target.AsSpan(colon + 1), System.Globalization.CultureInfo.InvariantCulture, out int port))
            {
                writer.WriteString("host", target[..colon]);
                writer.WriteNumber("port", port);
                writer.WriteString("protocol", "tcp");
            }
            else
            {
                throw new CliException($"'{target}': https://HOST/, http://HOST/PATH or HOST:PORT is due", ExitCodes.Usage);
            }

            if (execution)
            {
                writer.WriteBoolean("execution", true);
            }

            writer.WriteEndObject();
        }

        return Encoding.UTF8.GetString(buffer.ToArray());
    }

    private static string Text(JsonElement element, string path) => element.Text(path) ?? "";
}
