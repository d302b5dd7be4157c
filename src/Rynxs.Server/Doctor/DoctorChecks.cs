using System.Globalization;
using Rynxs.Ledger.Verifier;
using Rynxs.ResourceServer.Storage;
using Rynxs.Sandbox;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
using Rynxs.Sandbox.Namespaces;
using Rynxs.Server.State;

namespace Rynxs.Server.Doctor;

/// <summary>Looks at the host and at our own state by trying, and says what was never tried here.</summary>
internal sealed class DoctorChecks(StateDirectory state, ImageStore images, ISandboxRuntime runtime, ResourceStore store)
{
    private const long LowDiskBytes = 1024L * 1024 * 1024;

    /// <param name="probe">Also tries every control of a sandbox anew, which takes some seconds.</param>
    /// <param name="cancellationToken">Stops it.</param>
    public async Task<DoctorReport> RunAsync(bool probe, CancellationToken cancellationToken)
    {
        DoctorCheck[] checks =
        [
            .. await CheckRuntimesAsync(cancellationToken),
            .. CheckPools(),
            .. probe ? await ProbeControlsAsync(cancellationToken) : [],
            CheckImage(),
            CheckCgroups(),
            CheckUserNamespaces(),
            await Task.Run(() => CheckLedger(cancellationToken), cancellationToken),
            new DoctorCheck("objects", "ok", string.Create(CultureInfo.InvariantCulture, $"Version {store.CurrentVersion}."), null),
            CheckDisk(),
            CheckModes(),
            CheckKvm(),
        ];
        IReadOnlyList<Leftover> leftovers = await runtime.FindLeftoversAsync(cancellationToken);
        return new DoctorReport(checks, [.. leftovers.Select(leftover => new LeftoverView(leftover.Kind, leftover.Name))]);
    }

    /// <summary>What each tier isolates by, and whether a program ran in it here. Only the default must be there.</summary>
    private async Task<IReadOnlyList<DoctorCheck>> CheckRuntimesAsync(CancellationToken cancellationToken)
    {
        List<DoctorCheck> checks = [];
        foreach (ISandboxRuntime tier in runtime.Tiers)
        {
            bool isDefault = tier.Name == runtime.Name;
            string name = isDefault ? "sandbox_runtime" : $"sandbox_tier {tier.Name}";
            RuntimeProbe probe = await tier.ProbeAsync(cancellationToken);
            checks.Add(probe.Available
                ? new DoctorCheck(name, "ok", $"{tier.Name} {probe.Version} ran a program in a sandbox. {IsolationOf(tier.Name)} {probe.Detail}", null)
                : new DoctorCheck(name, isDefault ? "fail" : "warn", $"{tier.Name} is not available: {probe.Detail}",
                    isDefault ? "Run as root on a host with runsc in PATH." : $"Sandboxes that ask for {tier.Name} are refused; no other runtime takes its place."));
        }

        return checks;
    }

    private static string IsolationOf(string tier) => tier switch
    {
        "gvisor" => "Programs run on gVisor's own kernel, in software: for untrusted code.",
        NamespacesRuntime.RuntimeName => "Programs share the host's kernel behind namespaces and a seccomp deny list: for code that is trusted.",
        _ => "",
    };

    private IEnumerable<DoctorCheck> CheckPools()
    {
        if (runtime.Tiers.OfType<GVisorRuntime>().FirstOrDefault() is not { } gvisor)
        {
            yield break;
        }

        yield return new DoctorCheck("spawner", "ok", $"Sandboxes are started by {gvisor.SpawnerDescription}.", null);
        foreach (PoolStatus pool in gvisor.Pools)
        {
            yield return pool.Unusable is { } reason
                ? new DoctorCheck("sandbox_pool", "warn", $"{pool.Template}: {reason}", "Sandboxes are started by the command line, which is slower and otherwise the same.")
                : new DoctorCheck("sandbox_pool", "ok", string.Create(CultureInfo.InvariantCulture, $"{pool.Template}: {pool.Ready()} of {pool.Target()} wait."), null);
        }
    }

    private async Task<IReadOnlyList<DoctorCheck>> ProbeControlsAsync(CancellationToken cancellationToken)
    {
        if (runtime.Tiers.OfType<GVisorRuntime>().FirstOrDefault() is not { } gvisor)
        {
            return [];
        }

        try
        {
            return
            [
                .. (await gvisor.ProbeControlsAsync(cancellationToken)).SelectMany(probed => probed.Controls.Select(control => new DoctorCheck(
                    $"control {control.Control}", control.Result == "stated" ? "warn" : "ok",
                    $"{probed.Sandbox}: {control.Requested}; enforced by {control.EnforcedBy}; {control.Probe}: {control.Result}",
                    control.Result == "stated" ? "This is stated, not tried; docs/security/sandbox.md says why." : null))),
                .. await ProbeNamespacesAsync(cancellationToken),
            ];
        }
        catch (SandboxRefusedException refused)
        {
            return [new DoctorCheck($"control {refused.Control}", "fail", refused.Message, "Sandboxes that need this control are refused.")];
        }
    }

    /// <summary>A sandbox of the namespaces tier, probed as every first one of its kind is.</summary>
    private async Task<IReadOnlyList<DoctorCheck>> ProbeNamespacesAsync(CancellationToken cancellationToken)
    {
        if (runtime.Tiers.OfType<NamespacesRuntime>().FirstOrDefault() is not { } namespaces || !(await namespaces.ProbeAsync(cancellationToken)).Available)
        {
            return [];
        }

        ImageResolution image = await images.ResolveAsync(ImageStore.BuiltInName, cancellationToken);
        await using ISandbox sandbox = await namespaces.CreateAsync(new SandboxSpec { Owner = new SandboxOwner("rynxs", "doctor"), Image = image.Image }, cancellationToken);
        return
        [
            .. sandbox.Controls.Select(control => new DoctorCheck(
                $"control {control.Control}", control.Result == "stated" ? "warn" : "ok",
                $"{namespaces.Name}: {control.Requested}; enforced by {control.EnforcedBy}; {control.Probe}: {control.Result}",
                control.Result == "stated" ? "This is stated, not tried; docs/security/namespaces-tier.md says why." : null)),
        ];
    }

    private DoctorCheck CheckImage()
    {
        ImageDescriptor? image = images.List().FirstOrDefault(image => image.Name == ImageStore.BuiltInName);
        return image is not null
            ? new DoctorCheck("image", "ok", $"{image.Name} {image.Digest}", null)
            : new DoctorCheck("image", "fail", $"{ImageStore.BuiltInName} is not built.", "Start 'rynxs up' as root with network access once: it builds the image.");
    }

    private static DoctorCheck CheckCgroups()
    {
        bool unified = File.Exists("/sys/fs/cgroup/cgroup.controllers");
        string version = unified ? "v2" : "v1";
        string[] roots = unified ? ["/sys/fs/cgroup"] : ["/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/cpu"];
        string probe = string.Create(CultureInfo.InvariantCulture, $"rynxs-doctor-{Environment.ProcessId}");
        foreach (string root in roots)
        {
            string path = Path.Combine(root, probe);
            try
            {
                Directory.CreateDirectory(path);
                Directory.Delete(path);
            }
            catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
            {
                return new DoctorCheck("cgroups", "fail", $"cgroup {version}: '{root}' cannot be written: {exception.Message}", "Run as root, outside of a container that hides cgroups.");
            }
        }

        string other = unified ? "v1" : "v2";
        return new DoctorCheck("cgroups", "ok", $"cgroup {version} is writable. cgroup {other} was never exercised on this host.", null);
    }

    private static DoctorCheck CheckUserNamespaces()
    {
        const string Path = "/proc/sys/user/max_user_namespaces";
        string text = File.Exists(Path) ? File.ReadAllText(Path).Trim() : "0";
        return long.TryParse(text, CultureInfo.InvariantCulture, out long most) && most > 0
            ? new DoctorCheck("user_namespaces", "ok", string.Create(CultureInfo.InvariantCulture, $"At most {most}."), null)
            : new DoctorCheck("user_namespaces", "warn", "User namespaces are switched off.", "The namespaces tier and a server without root need them: sysctl user.max_user_namespaces=15000.");
    }

    private DoctorCheck CheckLedger(CancellationToken cancellationToken)
    {
        // Light: the chains themselves, without recomputing every blob.
        LedgerVerification verification = ChainVerifier.VerifyPath(state.LedgerDirectory, new VerificationOptions { CheckBlobs = false }, cancellationToken);
        return verification.Failure is { } failure
            ? new DoctorCheck("ledger", "fail", $"{failure.Chain}: {failure.Message} (seq {failure.Seq}, {failure.Code})", "Run 'rynxs ledger verify' and keep a copy of the state directory.")
            : new DoctorCheck("ledger", "ok", string.Create(CultureInfo.InvariantCulture, $"{verification.Records} records in {verification.Chains.Count} chains verify."), null);
    }

    private DoctorCheck CheckDisk()
    {
        long free = new DriveInfo(state.Path).AvailableFreeSpace;
        string detail = string.Create(CultureInfo.InvariantCulture, $"{free / (1024 * 1024)} MiB free for the state directory.");
        return free >= LowDiskBytes
            ? new DoctorCheck("disk", "ok", detail, null)
            : new DoctorCheck("disk", "warn", detail, "Without space nothing can be recorded, and what cannot be recorded is refused.");
    }

    private DoctorCheck CheckModes()
    {
        UnixFileMode wider = File.GetUnixFileMode(state.Path) & ~StateDirectory.PrivateDirectory;
        UnixFileMode token = File.Exists(state.TokenPath) ? File.GetUnixFileMode(state.TokenPath) & ~StateDirectory.PrivateFile : 0;
        return (wider | token) == 0
            ? new DoctorCheck("state_modes", "ok", "The state directory is 0700 and the token 0600.", null)
            : new DoctorCheck("state_modes", "fail", "Others may read the state directory or the token.", $"chmod 700 '{state.Path}' && chmod 600 '{state.TokenPath}'");
    }

    private static DoctorCheck CheckKvm()
    {
        const string unused = "this version has no runtime that uses it (firecracker), so it was never exercised";
        return new DoctorCheck(
            "kvm", "warn",
            File.Exists("/dev/kvm")
                ? $"/dev/kvm is here; {unused}."
                : $"/dev/kvm is not here: no sandbox of this host can have a kernel of its own behind hardware virtualisation; {unused}.",
            "Hostile code belongs on a host with such a runtime; here gvisor is the strongest isolation.");
    }
}

/// <summary>One check.</summary>
/// <param name="Name">Stable.</param>
/// <param name="Status"><c>ok</c>, <c>warn</c> or <c>fail</c>.</param>
/// <param name="Detail">What was seen.</param>
/// <param name="Hint">What to do.</param>
internal sealed record DoctorCheck(string Name, string Status, string Detail, string? Hint);

/// <summary>Something of ours on the host that no running sandbox owns.</summary>
internal sealed record LeftoverView(string Kind, string Name);

/// <summary>GET /api/v1/doctor.</summary>
internal sealed record DoctorReport(IReadOnlyList<DoctorCheck> Checks, IReadOnlyList<LeftoverView> Leftovers);
