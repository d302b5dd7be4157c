using Rynxs.EndToEndTests.Kubectl;

namespace Rynxs.EndToEndTests;

/// <summary>The object commands on kinds that the program does not know by itself, over TLS through a kubeconfig.</summary>
public sealed class GenericCommandTests(KubectlServer shared) : IClassFixture<KubectlServer>
{
    private const string Manifest =
        "apiVersion: v1\nkind: ConfigMap\nmetadata: {name: NAME, labels: {app: x}}\ndata: {a: \"1\", b: two}\n";

    [Fact]
    public async Task Get_prints_every_form()
    {
        string file = await ApplyAsync("forms");

        (await RunAsync("get", "cm", "forms")).Output.ShouldMatch(@"NAME +DATA +AGE\nforms +2 ");
        (await RunAsync("get", "configmap/forms", "-o", "name")).Output.ShouldBe("configmap/forms\n");
        (await RunAsync("get", "cm", "forms", "-o", "jsonpath={.data.a} {.metadata.labels['app']}")).Output.ShouldBe("1 x");
        (await RunAsync("get", "cm", "-l", "app=x", "-o", "custom-columns=N:.metadata.name,B:.data.b,NONE:.data.c")).Output.ShouldMatch(@"N +B +NONE\n(.+\n)*forms +two +<none>");
        (await RunAsync("get", "cm", "forms", "-o", "yaml")).Output.ShouldContain("b: two");
        (await RunAsync("get", "cm,sa", "-o", "json")).Output.ShouldContain("\"kind\": \"List\"");
        Finished wrong = await RunAsync("get", "configmpas");
        wrong.ExitCode.ShouldBe(64);
        wrong.Error.ShouldContain("did you mean 'configmaps'?");
        (await RunAsync("delete", "-f", file)).Output.ShouldBe("configmap/forms deleted\n");
    }

    [Fact]
    public async Task Diff_apply_and_conflicts_follow_the_server()
    {
        string file = await ApplyAsync("fields", "--server-side");
        (await RunAsync("diff", "-f", file)).ExitCode.ShouldBe(0);
        await File.WriteAllTextAsync(file, (await File.ReadAllTextAsync(file, TestContext.Current.CancellationToken)).Replace("two", "three", StringComparison.Ordinal), TestContext.Current.CancellationToken);

        Finished differs = await RunAsync("diff", "-f", file);
        differs.ExitCode.ShouldBe(1, differs.All);
        differs.Output.ShouldContain("-  b: two\n+  b: three");
        (await RunAsync("get", "cm", "fields", "-o", "jsonpath={.data.b}")).Output.ShouldBe("two", "a diff changes nothing");
        Finished conflict = await RunAsync("apply", "-f", file, "--server-side", "--field-manager", "other");
        conflict.ExitCode.ShouldBe(1);
        conflict.Error.ShouldContain(".data.b");
        (await RunAsync("apply", "-f", file, "--server-side", "--field-manager", "other", "--force-conflicts", "--dry-run", "server")).Output.ShouldContain("(server dry run)");
        (await RunAsync("apply", "-f", file, "--server-side", "--field-manager", "other", "--force-conflicts")).Output.ShouldBe("configmap/fields serverside-applied\n");
        (await RunAsync("get", "cm", "fields", "-o", "jsonpath={.data.b}")).Output.ShouldBe("three");
        Finished failed = await RunAsync("diff", "-f", file, "-n", "elsewhere");
        failed.ExitCode.ShouldBe(2, failed.All);
    }

    [Fact]
    public async Task Plain_apply_removes_what_the_manifest_says_no_more_keeps_what_others_set_and_can_be_mixed_with_kubectl()
    {
        string file = await ApplyAsync("plain");
        async Task<Finished> ApplyDataAsync(string data, params string[] options)
        {
            string text = Manifest.Replace("NAME", "plain", StringComparison.Ordinal).Replace("{a: \"1\", b: two}", data, StringComparison.Ordinal);
            await File.WriteAllTextAsync(file, text, TestContext.Current.CancellationToken);
            return await RunAsync(["apply", "-f", file, .. options]);
        }

        (await RunAsync("apply", "-f", file)).Output.ShouldBe("configmap/plain unchanged\n");
        string others = Path.Combine(Server().State, "..", "plain-others.yaml");
        await File.WriteAllTextAsync(others, Manifest.Replace("NAME", "plain", StringComparison.Ordinal).Replace("{a: \"1\", b: two}", "{theirs: kept}", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        (await RunAsync("apply", "-f", others, "--server-side", "--field-manager", "others", "--force-conflicts")).ExitCode.ShouldBe(0);

        Finished dry = await ApplyDataAsync("{a: \"2\"}", "--dry-run", "server");
        dry.Output.ShouldBe("configmap/plain configured (server dry run)\n", dry.All);
        Finished differs = await RunAsync("diff", "-f", file);
        differs.ExitCode.ShouldBe(1, differs.All);
        differs.Output.ShouldContain("-  b: two");
        (await ApplyDataAsync("{a: \"2\"}")).Output.ShouldBe("configmap/plain configured\n");
        (await RunAsync("get", "cm", "plain", "-o", "jsonpath={.data.a}|{.data.b}|{.data.theirs}")).Output.ShouldBe("2||kept");
        (await RunAsync("diff", "-f", file)).ExitCode.ShouldBe(0);
        (await RunAsync("describe", "cm", "plain")).Output.ShouldNotContain("last-applied");

        KubernetesTools.Require("kubectl");
        var kubectl = new Invocation
        {
            Program = "/bin/bash",
            Arguments = ["-c", "kubectl apply -n \"$0\" -f \"$1\"", "rynxs", file],
            Environment = new Dictionary<string, string> { ["PATH"] = KubernetesTools.SearchPath, ["KUBECONFIG"] = Path.Combine(Server().State, "kubeconfig") },
        };
        Finished mixed = await RynxsProgram.RunAsync(kubectl);
        mixed.ExitCode.ShouldBe(0, mixed.All);
        mixed.All.ShouldNotContain("missing the kubectl.kubernetes.io/last-applied-configuration");
        (await ApplyDataAsync("{c: \"3\"}")).Output.ShouldBe("configmap/plain configured\n");
        (await RynxsProgram.RunAsync(kubectl)).ExitCode.ShouldBe(0);
        (await RunAsync("get", "cm", "plain", "-o", "jsonpath={.data.a}|{.data.c}|{.data.theirs}")).Output.ShouldBe("|3|kept");
    }

    [Fact]
    public async Task Edit_of_an_object_that_changed_meanwhile_is_opened_again_over_the_newer_one_and_loses_neither_change()
    {
        string file = await ApplyAsync("raced");
        string other = file + ".other.yaml", editor = file + ".editor";
        await File.WriteAllTextAsync(other, Manifest.Replace("NAME", "raced", StringComparison.Ordinal).Replace("b: two", "b: theirs", StringComparison.Ordinal), TestContext.Current.CancellationToken);
        // While the first editor is open, somebody else changes the object; the second one sees both.
        await File.WriteAllTextAsync(editor, $"""
            #!/bin/sh
            if grep -q 'NOT ACCEPTED' "$1"; then
              cp "$1" "$0.seen"
              sed -i '1i # again' "$1"
            else
              sed -i 's/a: "1"/a: mine/' "$1"
              '{RynxsProgram.Path}' apply -f '{other}'
            fi
            """, TestContext.Current.CancellationToken);
        File.SetUnixFileMode(editor, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        Finished edited = await RunAsync(new Dictionary<string, string> { ["RYNXS_EDITOR"] = editor }, "edit", "cm", "raced");

        edited.ExitCode.ShouldBe(0, edited.All);
        string seen = await File.ReadAllTextAsync(editor + ".seen", TestContext.Current.CancellationToken);
        seen.ShouldContain("changed by somebody else");
        seen.ShouldContain("a: mine");
        seen.ShouldContain("b: theirs");
        (await RunAsync("get", "cm", "raced", "-o", "jsonpath={.data.a}|{.data.b}")).Output.ShouldBe("mine|theirs");
    }

    [Fact]
    public async Task Secrets_get_another_key_and_stay_and_describe_shows_only_their_sizes()
    {
        string file = Path.Combine(Server().State, "..", "secret.yaml");
        await File.WriteAllTextAsync(file, "apiVersion: v1\nkind: Secret\nmetadata: {name: kept}\ndata: {k: c2VjcmV0}\n", TestContext.Current.CancellationToken);
        (await RunAsync("apply", "-f", file)).ExitCode.ShouldBe(0);

        Finished rotated = await RunAsync("secrets", "rotate-key");

        rotated.ExitCode.ShouldBe(0, rotated.All);
        rotated.Output.ShouldMatch("every Secret is sealed with key [0-9a-f]{16}; the key file holds no other");
        (await RunAsync("get", "secret", "kept", "-o", "jsonpath={.data.k}")).Output.ShouldBe("c2VjcmV0");
        Finished described = await RunAsync("describe", "secret", "kept");
        described.Output.ShouldContain("6 bytes");
        described.Output.ShouldNotContain("c2VjcmV0");
    }

    [Fact]
    public async Task Edit_opens_a_refused_edit_again_with_the_reason_and_waits_for_what_was_edited()
    {
        using var directory = new TemporaryDirectory();
        Finished applied = await RunAsync("apply", "-f", Path.Combine(RynxsProgram.Repository, "examples", "universe.yaml"));
        applied.ExitCode.ShouldBe(0, applied.All);
        Finished listed = await RunAsync("get", "universes", "-o", "jsonpath={.items[0].metadata.name}");
        string editor = directory.File("editor");
        // First an edit that the server refuses, then, having seen the reason, one that it takes.
        await File.WriteAllTextAsync(editor, """
            #!/bin/sh
            if grep -q 'NOT ACCEPTED' "$1"; then
              cp "$1" "$0.seen"
              sed -i 's/^  name: .*/&\n  labels:\n    edited: "yes"/; /bogusField/d' "$1"
            else
              sed -i 's/^spec:.*/&\n  bogusField: 1/' "$1"
            fi
            """, TestContext.Current.CancellationToken);
        File.SetUnixFileMode(editor, UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute);

        Finished edited = await RunAsync(new Dictionary<string, string> { ["RYNXS_EDITOR"] = editor }, "edit", "universe", listed.Output);

        edited.ExitCode.ShouldBe(0, edited.All);
        (await File.ReadAllTextAsync(editor + ".seen", TestContext.Current.CancellationToken)).ShouldContain("bogusField");
        (await RunAsync("wait", $"universe/{listed.Output}", "--for=jsonpath={.metadata.labels.edited}=yes")).ExitCode.ShouldBe(0);
        Finished late = await RunAsync("wait", $"universe/{listed.Output}", "--for=condition=Nonsense", "--timeout", "1s");
        late.ExitCode.ShouldBe(1);
        late.Error.ShouldContain("Nonsense=True");
    }

    [Fact]
    public async Task Explain_api_resources_and_contexts_tell_what_there_is()
    {
        (await RunAsync("explain", "agents.spec.role")).Output.ShouldContain("FIELD: role");
        Finished none = await RunAsync("explain", "agents.spec.rolle");
        none.Error.ShouldContain("did you mean 'role'?");
        (await RunAsync("api-resources", "--api-group", "universe.ai")).Output.ShouldMatch("agents +ag +universe.ai/v1alpha1 +true +Agent");
        (await RunAsync("config", "current-context")).Output.ShouldBe("rynxs\n");
        (await RunAsync("config", "get-contexts")).Output.ShouldMatch(@"\* +rynxs +rynxs +rynxs +rynxs");
        Finished unknown = await RunAsync("config", "use-context", "rynx");
        unknown.ExitCode.ShouldBe(1);
        unknown.Error.ShouldContain("did you mean 'rynxs'?");
    }

    private async Task<string> ApplyAsync(string name, params string[] options)
    {
        string file = Path.Combine(Server().State, "..", name + ".yaml");
        await File.WriteAllTextAsync(file, Manifest.Replace("NAME", name, StringComparison.Ordinal), TestContext.Current.CancellationToken);
        Finished applied = await RunAsync(["apply", "-f", file, .. options]);
        applied.ExitCode.ShouldBe(0, applied.All);
        return file;
    }

    private Task<Finished> RunAsync(params string[] arguments) => RunAsync(new Dictionary<string, string>(), arguments);

    private Task<Finished> RunAsync(Dictionary<string, string> environment, params string[] arguments) => RynxsProgram.RunAsync(new Invocation
    {
        Arguments = arguments,
        Environment = new Dictionary<string, string>(environment) { ["KUBECONFIG"] = Path.Combine(Server().State, "kubeconfig") },
    });

    private RunningServer Server()
    {
        SandboxRequirement.Require();
        return shared.Server ?? throw new InvalidOperationException("The server was not started.");
    }
}
