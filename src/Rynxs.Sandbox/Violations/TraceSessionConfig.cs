using System.Globalization;
using System.Text.Json;

namespace Rynxs.Sandbox.Violations;

/// <summary>
/// The <c>--pod-init-config</c> of runsc that makes a sandbox report to a <see cref="TraceReceiver"/>. Calls with a form of their own mostly report their exit only: it carries the
/// arguments too and says whether the attempt failed, at half the cost (4 to 5 µs for each report).
/// <para>
/// runsc (seen with 0.0~20240729) runs the program all the same, unseen and with exit code 0, when one point is unknown to it. So a sandbox counts
/// as watched only after its first <see cref="TraceEvent.ContainerStart"/>, and a test compares every point with <c>runsc trace metadata</c>.
/// </para>
/// </summary>
internal static class TraceSessionConfig
{
    private static readonly string[] ContextFields = ["time", "thread_id", "group_id", "container_id", "cwd", "process_name"];

    /// <summary>Calls that runsc reports in a form of their own.</summary>
    private static readonly (string Name, bool HasDescriptorPath)[] TypedExits =
    [
        ("open", false), ("openat", true), ("creat", false), ("connect", false), ("bind", false), ("socket", false), ("chroot", false),
        ("clone", false), ("fork", false), ("vfork", false),
    ];

    /// <summary>Calls that may not return before the sandbox ends, or that end it.</summary>
    private static readonly string[] TypedEntries = ["connect", "socket", "execve", "execveat"];

    /// <summary>Every point, in the order of the file.</summary>
    public static IReadOnlyList<TracePoint> Points { get; } =
    [
        new("container/start", null, ContextFields),
        new("sentry/clone", null, ContextFields),
        new("sentry/execve", null, ContextFields),
        new("sentry/exit_notify_parent", null, [.. ContextFields.Where(f => f != "cwd")]),
        new("sentry/task_exit", null, ContextFields),
        .. TypedEntries.Select(name => new TracePoint($"syscall/{name}/enter", null, ContextFields)),
        .. TypedExits.Select(call => new TracePoint($"syscall/{call.Name}/exit", call.HasDescriptorPath ? "fd_path" : null, ContextFields)),

        // Both: without the entry's point, runsc leaves the context of a raw exit empty (nobody would know which process it was).
        .. SystemCalls.Watched.SelectMany(number => new[] { "enter", "exit" }.Select(edge =>
            new TracePoint(string.Create(CultureInfo.InvariantCulture, $"syscall/sysno/{number}/{edge}"), null, ContextFields))),
    ];

    /// <summary>The JSON file as UTF-8.</summary>
    /// <param name="endpoint">Absolute path of the receiver's socket.</param>
    public static byte[] Build(string endpoint)
    {
        using var buffer = new MemoryStream();
        using (var json = new Utf8JsonWriter(buffer))
        {
            json.WriteStartObject();
            json.WriteStartObject("trace_session");
            json.WriteString("name", "Default"); // the only name that runsc accepts
            json.WriteStartArray("points");
            foreach (TracePoint point in Points)
            {
                json.WriteStartObject();
                json.WriteString("name", point.Name);
                if (point.OptionalField is not null)
                {
                    WriteArray(json, "optional_fields", [point.OptionalField]);
                }

                WriteArray(json, "context_fields", point.ContextFields);
                json.WriteEndObject();
            }

            json.WriteEndArray();
            json.WriteStartArray("sinks");
            json.WriteStartObject();
            json.WriteString("name", "remote");
            json.WriteStartObject("config");
            json.WriteString("endpoint", endpoint);

            // A full buffer delays the guest by at most 3 short sleeps; then the event is dropped and counted.
            json.WriteNumber("retries", 3);
            json.WriteString("backoff", "25us");
            json.WriteString("backoff_max", "10ms");
            json.WriteEndObject();
            json.WriteEndObject();
            json.WriteEndArray();
            json.WriteEndObject();
            json.WriteEndObject();
        }

        return buffer.ToArray();
    }

    private static void WriteArray(Utf8JsonWriter json, string name, IReadOnlyList<string> values)
    {
        json.WriteStartArray(name);
        foreach (string value in values)
        {
            json.WriteStringValue(value);
        }

        json.WriteEndArray();
    }
}

/// <summary>One point of a trace session.</summary>
internal sealed record TracePoint(string Name, string? OptionalField, IReadOnlyList<string> ContextFields);

/// <summary>Linux system call numbers on x86-64, the only architecture on which the rules by number hold.</summary>
internal static class SystemCalls
{
    public const int Ptrace = 101;
    public const int PivotRoot = 155;
    public const int SetTimeOfDay = 164;
    public const int Mount = 165;
    public const int Unmount = 166;
    public const int SwapOn = 167;
    public const int Reboot = 169;
    public const int IoPrivilege = 172;
    public const int IoPermission = 173;
    public const int InitModule = 175;
    public const int DeleteModule = 176;
    public const int ClockSetTime = 227;
    public const int KexecLoad = 246;
    public const int AddKey = 248;
    public const int RequestKey = 249;
    public const int KeyControl = 250;
    public const int Unshare = 272;
    public const int PerfEventOpen = 298;
    public const int OpenByHandle = 304;
    public const int SetNamespace = 308;
    public const int ProcessVmRead = 310;
    public const int ProcessVmWrite = 311;
    public const int FinitModule = 313;
    public const int KexecFileLoad = 320;
    public const int Bpf = 321;
    public const int UserFault = 323;
    public const int IoUringSetup = 425;
    public const int OpenTree = 428;
    public const int MoveMount = 429;
    public const int FsOpen = 430;
    public const int FsMount = 432;
    public const int Clone3 = 435;

    /// <summary>Numbers that are reported raw.</summary>
    public static IReadOnlyList<int> Watched { get; } =
    [
        Ptrace, PivotRoot, SetTimeOfDay, Mount, Unmount, SwapOn, Reboot, IoPrivilege, IoPermission, InitModule, DeleteModule, ClockSetTime,
        KexecLoad, AddKey, RequestKey, KeyControl, Unshare, PerfEventOpen, OpenByHandle, SetNamespace, ProcessVmRead, ProcessVmWrite, FinitModule,
        KexecFileLoad, Bpf, UserFault, IoUringSetup, OpenTree, MoveMount, FsOpen, FsMount, Clone3,
    ];
}
