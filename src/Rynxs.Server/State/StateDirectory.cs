using System.Globalization;
using System.Security.Cryptography;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;
using Rynxs.Server.Hosting;

namespace Rynxs.Server.State;

/// <summary>
/// The directory that holds everything a server keeps, locked for one process. The lock is the kernel's (flock), so it ends with the
/// process however that ends; the pid beside it only serves the message of the server that is refused.
/// </summary>
internal sealed class StateDirectory : IDisposable
{
    internal const UnixFileMode PrivateDirectory = UnixFileMode.UserRead | UnixFileMode.UserWrite | UnixFileMode.UserExecute;
    internal const UnixFileMode PrivateFile = UnixFileMode.UserRead | UnixFileMode.UserWrite;

    private readonly FileStream _lock;

    private StateDirectory(string path, FileStream stateLock)
    {
        Path = path;
        _lock = stateLock;
    }

    /// <summary>Absolute path, symbolic links of its last element resolved.</summary>
    public string Path { get; }

    public string LedgerDirectory => System.IO.Path.Combine(Path, "ledger");
    public string WorkspacesDirectory => System.IO.Path.Combine(Path, "workspaces");
    public string AgentsDirectory => System.IO.Path.Combine(Path, "agents");
    public string SecretsDirectory => System.IO.Path.Combine(Path, "secrets");
    public string ExecutionsDirectory => System.IO.Path.Combine(Path, "executions");
    public string LedgerKeysDirectory => System.IO.Path.Combine(Path, "keys", "ledger");
    public string ObjectsPath => System.IO.Path.Combine(Path, "objects.db");
    public string TokensPath => System.IO.Path.Combine(Path, "tokens.json");
    public string KubeconfigPath => System.IO.Path.Combine(Path, "kubeconfig");
    public string TokenPath => System.IO.Path.Combine(Path, "token");

    /// <summary>12 hexadecimal digits that stand for this state in short paths and cgroup names.</summary>
    public string ScopeId => Convert.ToHexStringLower(SHA256.HashData(Encoding.UTF8.GetBytes(Path)))[..12];

    /// <summary>Creates what is missing and takes the lock.</summary>
    /// <exception cref="ServerStartException">Another server holds it, or it cannot be written.</exception>
    public static StateDirectory Open(string path)
    {
        try
        {
            string full = System.IO.Path.GetFullPath(path);
            Directory.CreateDirectory(full, PrivateDirectory);
            full = Directory.ResolveLinkTarget(full, returnFinalTarget: true)?.FullName ?? full;
            FileStream stateLock = TakeLock(full);
            try
            {
                // An existing directory may have been made with wider rights by hand.
                File.SetUnixFileMode(full, PrivateDirectory);
                foreach (string name in (string[])["ledger", "workspaces", "agents", "secrets", "executions"])
                {
                    string directory = System.IO.Path.Combine(full, name);
                    Directory.CreateDirectory(directory, PrivateDirectory);
                    File.SetUnixFileMode(directory, PrivateDirectory);
                }
            }
            catch
            {
                stateLock.Dispose();
                throw;
            }

            return new StateDirectory(full, stateLock);
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            throw new ServerStartException(
                StartFailure.StateUnavailable, $"The state directory '{path}' cannot be used: {exception.Message}", exception);
        }
    }

    /// <summary>Writes server.json, which tells local clients where the server is.</summary>
    public void PublishServerInfo(ServerInfo info) =>
        WriteAtomically(System.IO.Path.Combine(Path, "server.json"), JsonSerializer.SerializeToUtf8Bytes(info, StateJson.Default.ServerInfo));

    /// <summary>Removes server.json at a clean stop. On a disk that went read-only it stays, as after a kill: clients find nobody there.</summary>
    public void WithdrawServerInfo()
    {
        try
        {
            File.Delete(System.IO.Path.Combine(Path, "server.json"));
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            // A stop never fails for it.
        }
    }

    /// <summary>Replaces a private file so that a reader or a crash sees the old or the new content, never a part.</summary>
    internal static void WriteAtomically(string path, ReadOnlySpan<byte> content)
    {
        string temporary = path + ".new";
        File.Delete(temporary);
        var options = new FileStreamOptions { Mode = FileMode.CreateNew, Access = FileAccess.Write, UnixCreateMode = PrivateFile };
        try
        {
            using (var stream = new FileStream(temporary, options))
            {
                stream.Write(content);
                stream.Flush(flushToDisk: true);
            }

            File.Move(temporary, path, overwrite: true);
        }
        catch
        {
            File.Delete(temporary);
            throw;
        }
    }

    public void Dispose() => _lock.Dispose();

    private static FileStream TakeLock(string directory)
    {
        string path = System.IO.Path.Combine(directory, "lock");
        FileStream stream;
        try
        {
            stream = new FileStream(path, new FileStreamOptions
            {
                Mode = FileMode.OpenOrCreate,
                Access = FileAccess.ReadWrite,
                Share = FileShare.None,
                UnixCreateMode = PrivateFile,
            });
        }
        catch (IOException exception) when (File.Exists(path) && exception is not FileNotFoundException and not DirectoryNotFoundException)
        {
            string? holder = ReadHolder(directory);
            if (holder is null)
            {
                throw;
            }

            throw new ServerStartException(
                StartFailure.StateLocked, $"The state directory '{directory}' is in use by another rynxs server (pid {holder}). Stop it first, or choose another --state.", exception);
        }

        // Beside the lock, not in it: the runtime takes a lock of its own to read a file, and would be refused.
        WriteAtomically(
            System.IO.Path.Combine(directory, "pid"), Encoding.ASCII.GetBytes(Environment.ProcessId.ToString(CultureInfo.InvariantCulture) + "\n"));
        return stream;
    }

    private static string? ReadHolder(string directory)
    {
        try
        {
            string path = System.IO.Path.Combine(directory, "pid");
            string text = new FileInfo(path).Length <= 16 ? File.ReadAllText(path).Trim() : "";
            return text.Length > 0 && text.All(char.IsAsciiDigit) ? text : "unknown";
        }
        catch (Exception exception) when (exception is IOException or UnauthorizedAccessException)
        {
            return null;
        }
    }
}

/// <summary>Content of server.json.</summary>
/// <param name="Pid">The server's process.</param>
/// <param name="Url">Base URL, such as <c>http://127.0.0.1:8002</c>.</param>
/// <param name="Version">Version of the server.</param>
/// <param name="TlsUrl">Base URL over TLS; null when it does not speak TLS.</param>
public sealed record ServerInfo(int Pid, string Url, string Version, string? TlsUrl = null);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.SnakeCaseLower, WriteIndented = true)]
[JsonSerializable(typeof(ServerInfo))]
internal sealed partial class StateJson : JsonSerializerContext;
