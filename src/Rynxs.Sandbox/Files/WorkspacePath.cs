using System.Text;

namespace Rynxs.Sandbox.Files;

/// <summary>
/// A checked relative path. Only what Linux itself gives a meaning to is interpreted: <c>/</c>, <c>.</c> and <c>..</c>. Percent-encoding and
/// backslashes are ordinary characters of a name; decoding them here would open a second way to spell a path.
/// </summary>
internal sealed class WorkspacePath
{
    /// <summary>PATH_MAX, with the final NUL.</summary>
    private const int MaxBytes = 4095;
    private const int MaxComponentBytes = 255;
    private static readonly UTF8Encoding StrictUtf8 = new(encoderShouldEmitUTF8Identifier: false, throwOnInvalidBytes: true);

    private WorkspacePath(string text, IReadOnlyList<byte[]> components)
    {
        Text = text;
        Components = components;
    }

    /// <summary>Normalised: no empty or <c>.</c> components; the empty string is the workspace itself.</summary>
    public string Text { get; }

    /// <summary>Each NUL-terminated.</summary>
    public IReadOnlyList<byte[]> Components { get; }

    public bool IsRoot => Components.Count == 0;

    /// <summary>The last component, NUL-terminated.</summary>
    public byte[] Name => Components[^1];

    /// <summary>NUL-terminated bytes of the whole path, <c>.</c> for the workspace itself.</summary>
    public byte[] ToBytes() => Join(Components.Count);

    /// <summary>NUL-terminated bytes of the directory that holds the name.</summary>
    public byte[] ParentToBytes() => Join(Components.Count - 1);

    /// <exception cref="FileAccessException"><c>invalid_path</c>, or <c>outside_workspace</c> for absolute paths and <c>..</c>.</exception>
    public static WorkspacePath Parse(string path, bool allowRoot)
    {
        ArgumentNullException.ThrowIfNull(path);
        byte[] bytes;
        try
        {
            // UTF-16 is never longer in characters than UTF-8 is in bytes: this bounds the encoding below.
            if (path.Length > MaxBytes)
            {
                throw new FileAccessException("invalid_path", $"path: longer than {MaxBytes} bytes");
            }

            bytes = StrictUtf8.GetBytes(path);
        }
        catch (EncoderFallbackException e)
        {
            throw new FileAccessException("invalid_path", "path: not valid Unicode (a lone surrogate)", e);
        }

        if (bytes.Length > MaxBytes)
        {
            throw new FileAccessException("invalid_path", $"path: longer than {MaxBytes} bytes");
        }

        if (bytes.AsSpan().Contains((byte)0))
        {
            throw new FileAccessException("invalid_path", "path: contains a NUL character");
        }

        if (path.StartsWith('/'))
        {
            throw new FileAccessException("outside_workspace", $"path: '{path}' is absolute; give one relative to the workspace");
        }

        var components = new List<byte[]>();
        var names = new List<string>();
        foreach (string name in path.Split('/'))
        {
            if (name is "" or ".")
            {
                continue;
            }

            if (name == "..")
            {
                throw new FileAccessException("outside_workspace", $"path: '{path}' contains '..'");
            }

            byte[] component = StrictUtf8.GetBytes(name + '\0');
            if (component.Length - 1 > MaxComponentBytes)
            {
                throw new FileAccessException("invalid_path", $"path: a name is longer than {MaxComponentBytes} bytes");
            }

            components.Add(component);
            names.Add(name);
        }

        if (components.Count == 0 && !allowRoot)
        {
            throw new FileAccessException("invalid_path", "path: empty; name a file in the workspace");
        }

        return new WorkspacePath(string.Join('/', names), components);
    }

    private byte[] Join(int count)
    {
        if (count <= 0)
        {
            return [(byte)'.', 0];
        }

        using var joined = new MemoryStream();
        for (int i = 0; i < count; i++)
        {
            if (i > 0)
            {
                joined.WriteByte((byte)'/');
            }

            joined.Write(Components[i].AsSpan(0, Components[i].Length - 1));
        }

        joined.WriteByte(0);
        return joined.ToArray();
    }
}
