using System.Text;
using Rynxs.Agents.Secrets;
using Rynxs.Server.State;

namespace Rynxs.Server.Secrets;

/// <summary>
/// Secrets as files: <c>STATE/secrets/NAMESPACE/NAME/KEY</c>, mode 0600, at most 64 KiB. Every part of the path is checked against the
/// rules of its kind before it can reach the file system, and a link or a file that others may read is refused.
/// </summary>
internal sealed class FileSecretSource(string directory) : ISecretSource
{
    internal const int MaxBytes = 64 * 1024;

    public async ValueTask<string?> TryGetAsync(string secretNamespace, string name, string key, CancellationToken cancellationToken)
    {
        if (!Labels.IsDnsLabel(secretNamespace) || !Labels.IsDnsLabel(name) || !IsKey(key))
        {
            return null;
        }

        string path = Path.Combine(directory, secretNamespace, name, key);
        var file = new FileInfo(path);
        if (!file.Exists)
        {
            return null;
        }

        if (file.LinkTarget is not null || (file.UnixFileMode & ~StateDirectory.PrivateFile) != 0)
        {
            throw new SecretRefusedException($"The secret {secretNamespace}/{name}/{key} is refused: its file must be a regular file of mode 0600.");
        }

        if (file.Length > MaxBytes)
        {
            throw new SecretRefusedException($"The secret {secretNamespace}/{name}/{key} is larger than {MaxBytes} bytes.");
        }

        byte[] content = await File.ReadAllBytesAsync(path, cancellationToken);
        return Encoding.UTF8.GetString(content).TrimEnd('\r', '\n');
    }

    private static bool IsKey(string key) =>
        key.Length is > 0 and <= 253 && key is not "." and not ".." && key.All(c => char.IsAsciiLetterOrDigit(c) || c is '-' or '_' or '.');
}

/// <summary>A secret's file is not kept as it must be. The message names the secret, never its value.</summary>
internal sealed class SecretRefusedException(string message) : IOException(message);
