namespace Rynxs.Sandbox.Violations;

/// <summary>Makes a guest's path absolute and plain by its text alone. Symbolic links in the guest stay unseen.</summary>
internal static class GuestPath
{
    private const int AtFdCwd = -100;

    /// <param name="workingDirectory">Of the process.</param>
    /// <param name="descriptor">The directory descriptor that was given, or AT_FDCWD.</param>
    /// <param name="descriptorPath">Its path; empty when unknown.</param>
    /// <param name="path">As given.</param>
    public static string Resolve(string workingDirectory, long descriptor, string descriptorPath, string path)
    {
        bool fromWorkingDirectory = descriptor == AtFdCwd || descriptorPath.Length == 0;
        return Normalise(path.StartsWith('/') ? path : $"{(fromWorkingDirectory ? workingDirectory : descriptorPath)}/{path}");
    }

    /// <summary>Without <c>.</c>, <c>..</c> and empty parts; <c>/proc/X/root</c> in front is what it is, the root.</summary>
    public static string Normalise(string path)
    {
        var parts = new List<string>();
        foreach (string part in path.Split('/'))
        {
            switch (part)
            {
                case "" or ".":
                    break;
                case "..":
                    if (parts.Count > 0)
                    {
                        parts.RemoveAt(parts.Count - 1);
                    }

                    break;
                default:
                    parts.Add(part);
                    if (parts is ["proc", _, "root"])
                    {
                        parts.Clear();
                    }

                    break;
            }
        }

        return "/" + string.Join('/', parts);
    }
}
