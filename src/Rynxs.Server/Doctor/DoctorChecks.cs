using System.Globalization;
using Rynxs.Ledger.Verifier;
using Rynxs.ResourceServer.Storage;
using Rynxs.Sandbox;
using Rynxs.Sandbox.GVisor;
using Rynxs.Sandbox.Images;
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
            await CheckRuntimeAsync(cancellationToken),
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

    private async Task<DoctorCheck> CheckRuntimeAsync(CancellationToken cancellationToken)
    {
        RuntimeProbe probe = await runtime.ProbeAsync(cancellationToken);
        return probe.Available
            ? new DoctorCheck("sandbox_runtime", "ok", $"{runtime.Name} {probe.Version} ran a program in a sandbox. {probe.Detail}", null)
            : new DoctorCheck("sandbox_runtime", "fail", probe.Detail, "Run as root on a host with runsc in PATH.");
    }

    private IEnumerable<DoctorCheck> CheckPools()
    {
        if (runtime is not GVisorRuntime gvisor)
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
        if (runtime is not GVisorRuntime gvisor)
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
            ];
        }
        catch (SandboxRefusedException refused)
        {
            return [new DoctorCheck($"control {refused.Control}", "fail", refused.Message, "Sandboxes that need this control are refused.")];
        }
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
            : new DoctorCheck("user_namespaces", "warn", "User namespaces are switched off.", "Only a server without root needs them: sysctl user.max_user_namespaces=15000.");
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

    private static DoctorCheck CheckKvm() => new(
        "kvm", "warn", "Hardware virtualisation was never exercised: this version has no runtime that uses it (firecracker).", null);
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
