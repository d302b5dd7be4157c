namespace Rynxs.Sandbox.Native;

/// <summary>Mount points of this process's mount namespace.</summary>
internal static class HostMounts
{
    /// <summary>umount2 flag MNT_DETACH.</summary>
    public const int Detach = 2;

    /// <summary>Mount points below a directory, parents first.</summary>
    public static IReadOnlyList<string> Below(string directory)
    {
        string prefix = directory.TrimEnd('/') + "/";
        return [.. File.ReadLines("/proc/self/mountinfo")
            .Select(line => line.Split(' '))
            .Where(fields => fields.Length > 4)
            .Select(fields => Unescape(fields[4]))
            .Where(point => (point + "/").StartsWith(prefix, StringComparison.Ordinal))
            .Order(StringComparer.Ordinal)];
    }

    /// <summary>The kernel writes space, tab, newline and backslash as three octal digits.</summary>
    private static string Unescape(string field) =>
        field.Replace("\\040", " ", StringComparison.Ordinal).Replace("\\011", "\t", StringComparison.Ordinal)
            .Replace("\\012", "\n", StringComparison.Ordinal).Replace("\\134", "\\", StringComparison.Ordinal);
}
