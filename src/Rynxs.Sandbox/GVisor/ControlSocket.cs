using System.Net.Sockets;
using System.Text.Json;
using System.Text.Json.Nodes;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.GVisor;

/// <summary>
/// The sentry's control socket: one JSON object per request, descriptors ride on its first byte, one JSON object as the answer, no length before either.
/// An internal interface of gVisor that changes without notice, so it is used only after <see cref="GVisorRuntime"/> has tried each call with the installed runsc.
/// </summary>
/// <remarks>Each call has a connection of its own: an answer may take as long as a program runs.</remarks>
internal sealed class ControlSocket(string root, string id)
{
    private const int MaxAnswerBytes = 1024 * 1024;
    private readonly string _path = Path.Combine(root, $"runsc-{id}.sock");

    /// <summary>Starts the sandbox's first process.</summary>
    public Task StartRootAsync(CancellationToken cancellationToken) => CallAsync("containerManager.StartRoot", id, [], cancellationToken);

    /// <summary>
    /// Gives it the loopback interface, as runsc's own commands do before they start or restore. Without it nothing inside can listen on 127.0.0.1.
    /// </summary>
    public Task CreateLoopbackAsync(CancellationToken cancellationToken) => CallAsync(
        "Network.CreateLinksAndRoutes",
        new JsonObject
        {
            ["LoopbackLinks"] = new JsonArray(new JsonObject
            {
                ["Name"] = "lo",
                ["Addresses"] = new JsonArray(Address("127.0.0.1", 8), Address("::1", 128)),
                ["Routes"] = new JsonArray(Route("127.0.0.0", [255, 0, 0, 0]), Route("::1", [.. Enumerable.Repeat((byte)255, 16)])),
            }),
        },
        [],
        cancellationToken);

    private static JsonObject Address(string address, int bits) => new() { ["Address"] = address, ["PrefixLen"] = bits };

    private static JsonObject Route(string address, byte[] mask) =>
        new() { ["Destination"] = new JsonObject { ["IP"] = address, ["Mask"] = Convert.ToBase64String(mask) }, ["Gateway"] = "" };

    /// <summary>Turns a created sandbox into a copy of a checkpoint.</summary>
    /// <param name="images">Descriptors of checkpoint.img, pages_meta.img and pages.img.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    public Task RestoreAsync(int[] images, CancellationToken cancellationToken) =>
        CallAsync("containerManager.Restore", new JsonObject { ["HavePagesFile"] = true, ["HaveDeviceFile"] = false }, images, cancellationToken);

    /// <summary>Starts a process and returns its number inside.</summary>
    /// <param name="arguments">Program (looked up in the PATH of the environment) and arguments.</param>
    /// <param name="environment">NAME=value.</param>
    /// <param name="directory">Working directory.</param>
    /// <param name="files">Its descriptors from 0 on.</param>
    /// <param name="cancellationToken">Gives up waiting.</param>
    /// <param name="isTerminal">They are the other end of a pseudo-terminal, which becomes its controlling terminal.</param>
    /// <param name="uid">User and group.</param>
    /// <param name="capabilities">Mask of what it may beside that; programs get none.</param>
    public async Task<int> ExecuteAsync(
        IEnumerable<string> arguments, IEnumerable<KeyValuePair<string, string>> environment, string directory, int[] files, CancellationToken cancellationToken,
        bool isTerminal = false, int uid = OciBundle.AgentUid, int capabilities = 0)
    {
        JsonNode? pid = await CallAsync(
            "containerManager.ExecuteAsync",
            new JsonObject
            {
                ["filename"] = "",
                ["argv"] = new JsonArray([.. arguments.Select(argument => (JsonNode)argument)]),
                ["envv"] = new JsonArray([.. environment.Select(pair => (JsonNode)$"{pair.Key}={pair.Value}")]),
                ["MountNamespace"] = null,
                ["wd"] = directory,
                ["KUID"] = uid,
                ["KGID"] = uid,
                ["ExtraKGIDs"] = null,
                ["Capabilities"] = new JsonObject { ["PermittedCaps"] = capabilities, ["InheritableCaps"] = 0, ["EffectiveCaps"] = capabilities, ["BoundingCaps"] = capabilities, ["AmbientCaps"] = 0 },
                ["StdioIsPty"] = isTerminal,
                ["GuestFDs"] = new JsonArray([.. Enumerable.Range(0, files.Length).Select(number => (JsonNode)number)]),
                ["ContainerID"] = id,
                ["PIDNamespace"] = null,
                ["Limits"] = null, // those of the sandbox's configuration
            },
            files,
            cancellationToken);
        return pid?.GetValue<int>() ?? throw new InvalidDataException("the sandbox did not name the process that it started");
    }

    /// <summary>Waits for the end of a process, and returns its wait status.</summary>
    public async Task<int> WaitAsync(int process, CancellationToken cancellationToken)
    {
        JsonNode? status = await CallAsync("containerManager.WaitPID", new JsonObject { ["PID"] = process, ["CID"] = id }, [], cancellationToken);
        return status?.GetValue<int>() ?? 0;
    }

    /// <summary>Sends a signal to one process, or to the foreground processes of its terminal.</summary>
    public Task SignalAsync(int process, int signal, CancellationToken cancellationToken, bool isForeground = false) =>
        CallAsync("containerManager.Signal", new JsonObject { ["CID"] = id, ["Signo"] = signal, ["PID"] = process, ["Mode"] = isForeground ? 2 : 0 }, [], cancellationToken);

    private async Task<JsonNode?> CallAsync(string method, JsonNode? argument, int[] files, CancellationToken cancellationToken)
    {
        byte[] request = JsonSerializer.SerializeToUtf8Bytes(new JsonObject { ["method"] = method, ["arg"] = argument }, ControlJson.Default.JsonObject);
        using var connection = new Socket(AddressFamily.Unix, SocketType.Stream, ProtocolType.Unspecified);
        try
        {
            await connection.ConnectAsync(new UnixDomainSocketEndPoint(_path), cancellationToken);
            int sent = files.Length == 0 ? 0 : SendFirst(connection, request, files);
            while (sent < request.Length)
            {
                sent += await connection.SendAsync(request.AsMemory(sent), SocketFlags.None, cancellationToken);
            }

            JsonObject answer = await ReceiveAsync(connection, cancellationToken);
            return answer["success"]?.GetValue<bool>() == true
                ? answer["result"]?.DeepClone()
                : throw new ControlException(method, RunscCommand.Bounded(Violations.ViolationDetector.Sanitise(answer["err"]?.ToString() ?? "no reason")));
        }
        catch (SocketException gone)
        {
            throw new ControlException(method, gone.Message, gone);
        }
    }

    /// <summary>The request's beginning with its descriptors. The socket's buffer is empty, so this does not wait.</summary>
    private static int SendFirst(Socket connection, byte[] request, int[] files)
    {
        const int withDescriptors = 64;
        int length = Math.Min(withDescriptors, request.Length);
        PacketSocket.SendWithDescriptors((int)connection.Handle, request.AsSpan(0, length), files);
        return length;
    }

    private static async Task<JsonObject> ReceiveAsync(Socket connection, CancellationToken cancellationToken)
    {
        byte[] buffer = new byte[4096];
        int filled = 0;
        while (true)
        {
            int count = await connection.ReceiveAsync(buffer.AsMemory(filled), SocketFlags.None, cancellationToken);
            if (count == 0)
            {
                throw new ControlException("receive", "the sandbox closed the connection");
            }

            filled += count;
            if (TryParse(buffer.AsSpan(0, filled)) is { } answer)
            {
                return answer;
            }

            if (filled == buffer.Length)
            {
                if (buffer.Length >= MaxAnswerBytes)
                {
                    throw new ControlException("receive", "the answer is too long");
                }

                Array.Resize(ref buffer, buffer.Length * 4);
            }
        }
    }

    private static JsonObject? TryParse(ReadOnlySpan<byte> received)
    {
        var reader = new Utf8JsonReader(received, isFinalBlock: false, default);
        try
        {
            return reader.Read() && reader.TokenType == JsonTokenType.StartObject && reader.TrySkip()
                ? JsonNode.Parse(received[..(int)reader.BytesConsumed])?.AsObject()
                : null;
        }
        catch (JsonException broken)
        {
            throw new ControlException("receive", broken.Message, broken);
        }
    }
}

/// <summary>A call to the sentry failed.</summary>
internal sealed class ControlException(string method, string message, Exception? innerException = null) : Exception($"{method}: {message}", innerException);

[System.Text.Json.Serialization.JsonSerializable(typeof(JsonObject))]
internal sealed partial class ControlJson : System.Text.Json.Serialization.JsonSerializerContext;
