using System.Text.Json;
using Rynxs.Cli;
using Rynxs.Cli.Nodes;
using Rynxs.Cli.Terminal;
using YamlDotNet.RepresentationModel;

namespace Rynxs.EndToEndTests;

/// <summary>rynxs node setup against a root directory of its own.</summary>
public sealed class NodeSetupTests : IDisposable
{
    private readonly TemporaryDirectory _root = new();

    public void Dispose() => _root.Dispose();

    [Fact]
    public async Task Setup_of_gvisor_writes_what_containerd_reads_and_a_second_run_changes_nothing()
    {
        Program("usr/bin/runsc");
        Program("usr/local/bin/containerd-shim-runsc-v1");
        const string theirs = "# ours\nversion = 2\nroot = \"/var/lib/containerd\"\n[plugins.\"io.containerd.grpc.v1.cri\"]\n  sandbox_image = \"pause\"\n";
        Write(ContainerdConfig.Path, theirs);

        (int code, string first) = await RunAsync("node", "setup", "gvisor", "--root", _root);
        string[] files = Snapshot();
        (int again, string second) = await RunAsync("node", "setup", "gvisor", "--root", _root);

        (code, again).ShouldBe((0, 0), first + second);
        Snapshot().ShouldBe(files);
        second.ShouldNotContain("wrote");
        Read(ContainerdConfig.Path).ShouldBe("imports = [\"/etc/containerd/conf.d/rynxs-gvisor.toml\"]\n" + theirs, "a key belongs to the table above it, so it stands before all");
        Read(ContainerdConfig.Path + ".before-rynxs").ShouldBe(theirs);
        Read(NodeTier.DropInPath).ShouldContain("version = 2\n\n[plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes.runsc]\n  runtime_type = \"io.containerd.runsc.v1\"");
        Read(NodeTier.RunscOptionsPath).Split('\n').Where(line => line.Contains('=', StringComparison.Ordinal)).ShouldAllBe(line => line.TrimEnd().EndsWith('"'), "the shim takes strings only");
        first.ShouldContain("systemctl restart containerd");
        second.ShouldNotContain("systemctl restart containerd");
        first.ShouldContain("kubectl taint node NODE sandbox=dedicated:NoSchedule --overwrite");
    }

    [Fact]
    public async Task Setup_of_namespaces_puts_the_profile_where_the_kubelet_looks()
    {
        Program("usr/sbin/runc");

        (await RunAsync("node", "setup", "namespaces", "--root", _root)).Code.ShouldBe(0);

        using JsonDocument profile = JsonDocument.Parse(Read("var/lib/kubelet/seccomp/rynxs-namespaces.json"));
        profile.RootElement.GetProperty("syscalls").EnumerateArray().SelectMany(rule => rule.GetProperty("names").EnumerateArray()).Select(name => name.GetString()).ShouldContain("unshare");
        Read("etc/rynxs/nodes/namespaces.yaml").ShouldContain("localhostProfile: rynxs-namespaces.json");
        Directory.Exists(_root.File("etc/containerd")).ShouldBeFalse("runc is containerd's own");
    }

    [Theory]
    [InlineData("gvisor")]
    [InlineData("namespaces")]
    public async Task Dry_run_says_everything_and_does_nothing(string tier)
    {
        (int code, string output) = await RunAsync("node", "setup", tier, "--root", _root, "--dry-run", "--node", "worker-1");

        code.ShouldBe(0, output);
        Snapshot().ShouldBeEmpty();
        output.ShouldContain("missing    ");
        output.ShouldContain($"would write /etc/rynxs/nodes/{tier}.yaml");
        output.ShouldContain($"would run  kubectl label node worker-1 sandbox.universe.ai/{tier}=enabled --overwrite");
    }

    [Fact]
    public async Task What_is_missing_or_not_understood_is_named_and_nothing_is_written()
    {
        (int code, string output) = await RunAsync("node", "setup", "gvisor", "--root", _root);
        code.ShouldBe(1);
        output.ShouldContain("containerd-shim-runsc-v1");
        Snapshot().ShouldBeEmpty();

        Program("usr/bin/runsc");
        Program("usr/bin/containerd-shim-runsc-v1");
        foreach ((string text, string named) in ((string, string)[])[("version = 2\nimports = [\n  \"/a\"\n]\n", "not on one line"), ("root = \"/x\"\n", "version 1"), ("version = 4\n", "version 4")])
        {
            Write(ContainerdConfig.Path, text);
            string[] before = Snapshot();
            (code, output) = await RunAsync("node", "setup", "gvisor", "--root", _root);
            code.ShouldBe(1, text);
            output.ShouldContain(named);
            Snapshot().ShouldBe(before);
        }

        (await RunAsync("node", "setup", "kata", "--root", _root)).Code.ShouldBe(64);
        (await RunAsync("node", "setup", "gvisor", "--root", _root.File("absent"))).Code.ShouldBe(64);
    }

    [Theory]
    [InlineData("version = 3\nimports = [\"/a.toml\"]\n[plugins]\n", "version = 3\nimports = [\"/a.toml\", \"/etc/containerd/conf.d/x.toml\"]\n[plugins]\n")]
    [InlineData("version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n", "version = 2\nimports = ['/etc/containerd/conf.d/*.toml']\n")]
    [InlineData("version = 2\nimports = []\n", "version = 2\nimports = [\"/etc/containerd/conf.d/x.toml\"]\n")]
    [InlineData("version = 2\n[a]\nimports = [\"/of/a/table\"]\n", "imports = [\"/etc/containerd/conf.d/x.toml\"]\nversion = 2\n[a]\nimports = [\"/of/a/table\"]\n")]
    [InlineData(null, "version = 2\nimports = [\"/etc/containerd/conf.d/x.toml\"]\n")]
    public void An_import_is_added_once_and_the_rest_stays(string? before, string after)
    {
        ContainerdConfig.WithImport(before, "/etc/containerd/conf.d/x.toml").ShouldBe(after);
        ContainerdConfig.WithImport(after, "/etc/containerd/conf.d/x.toml").ShouldBe(after);
    }

    [Fact]
    public void Runtime_of_containerd_2_stands_in_its_own_plugin() =>
        NodeTier.DropIn(ContainerdConfig.VersionOf("version = 3\n")).ShouldContain("[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runsc]");

    [Fact]
    public void Every_class_tolerates_the_taint_and_selects_its_own_label()
    {
        foreach (NodeTier tier in (NodeTier[])[NodeTier.Gvisor, NodeTier.Namespaces])
        {
            var yaml = new YamlStream();
            yaml.Load(new StringReader(tier.Manifest));
            var scheduling = (YamlMappingNode)yaml.Documents.Single().RootNode["scheduling"];
            string[] label = tier.Label.Split('=');
            scheduling["nodeSelector"][label[0]].ToString().ShouldBe(label[1]);
            YamlNode toleration = ((YamlSequenceNode)scheduling["tolerations"]).Single();
            (toleration["key"].ToString(), toleration["operator"].ToString(), toleration["effect"].ToString()).ShouldBe((NodeTier.Taint.Split('=')[0], "Exists", NodeTier.Taint.Split(':')[1]));
            yaml.Documents.Single().RootNode["metadata"]["name"].ToString().ShouldBe(tier.Name);
        }

        NodeTier.Gvisor.Label.Split('=')[0].ShouldNotBe(NodeTier.Namespaces.Label.Split('=')[0], "a node can serve both");
    }

    [Fact]
    public void Committed_files_are_those_that_are_written()
    {
        string folder = Path.Combine(RynxsProgram.Repository, "deploy", "nodes");
        (string Name, string Content)[] files =
        [
            ("gvisor.yaml", NodeTier.Gvisor.Manifest), ("namespaces.yaml", NodeTier.Namespaces.Manifest), ("containerd/runsc.toml", NodeTier.RunscOptions),
            ("containerd/rynxs-gvisor.toml", NodeTier.DropIn(2)), ("containerd/rynxs-gvisor.containerd-2.toml", NodeTier.DropIn(3)),
        ];
        foreach ((string name, string content) in files)
        {
            string path = Path.Combine(folder, name);
            if (Environment.GetEnvironmentVariable("RYNXS_UPDATE_DOCS") == "1")
            {
                Directory.CreateDirectory(Path.GetDirectoryName(path) ?? folder);
                File.WriteAllText(path, content);
            }

            File.ReadAllText(path).ShouldBe(content, $"deploy/nodes/{name}: RYNXS_UPDATE_DOCS=1 writes it anew");
        }
    }

    private static async Task<(int Code, string Output)> RunAsync(params string[] arguments)
    {
        var output = new StringWriter();
        int code = await CommandLine.RunAsync(arguments, new Screen(output, output, false, false, false));
        return (code, output.ToString());
    }

    private void Program(string path) => Write(path, "#!/bin/sh\n");

    private void Write(string path, string text)
    {
        Directory.CreateDirectory(Path.GetDirectoryName(_root.File(path)) ?? _root);
        File.WriteAllText(_root.File(path), text);
    }

    private string Read(string path) => File.ReadAllText(_root.File(path));

    private string[] Snapshot() => [.. Directory.EnumerateFiles(_root, "*", SearchOption.AllDirectories).Order(StringComparer.Ordinal).Select(file => $"{file} {File.GetLastWriteTimeUtc(file).Ticks} {File.ReadAllText(file)}")];
}
