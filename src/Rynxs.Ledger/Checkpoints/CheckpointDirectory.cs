using System.Globalization;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Checkpoints;

/// <summary>The checkpoints in a directory, by the names that they have there. A name is a hint: what counts is in the file and is verified.</summary>
public sealed class CheckpointDirectory(string directory)
{
    /// <summary>How many checkpoints a rotation keeps.</summary>
    public const int DefaultKept = 10;

    /// <summary>Index and path of each, ascending; other files are ignored.</summary>
    public IReadOnlyList<(long EventIndex, string Path)> List()
    {
        if (!Directory.Exists(directory))
        {
            return [];
        }

        var found = new List<(long EventIndex, string Path)>();
        foreach (string path in Directory.EnumerateFiles(directory, "cp_*.json"))
        {
            string[] parts = Path.GetFileNameWithoutExtension(path).Split('_');
            if (parts.Length == 3 && parts[2].Length == 8 && parts[2].All(char.IsAsciiHexDigitLower)
                && long.TryParse(parts[1], NumberStyles.None, CultureInfo.InvariantCulture, out long index))
            {
                found.Add((index, path));
            }
        }

        return [.. found.OrderBy(item => item.EventIndex).ThenBy(item => item.Path, StringComparer.Ordinal)];
    }

    /// <summary>Path of the one with the highest index; null when there is none.</summary>
    public string? FindLatest() => FindAtOrBefore(long.MaxValue);

    /// <summary>Path of the one with the highest index up to <paramref name="eventIndex"/>; null when there is none.</summary>
    public string? FindAtOrBefore(long eventIndex) => List().LastOrDefault(item => item.EventIndex <= eventIndex).Path;

    /// <summary>Reads one.</summary>
    /// <exception cref="FormatException">It is not a checkpoint.</exception>
    /// <exception cref="IOException">It cannot be read.</exception>
    public static RynxsCheckpoint Read(string path)
    {
        using FileStream file = File.OpenRead(path);
        if (file.Length > RynxsCheckpoint.MaxFileBytes)
        {
            throw new FormatException($"A checkpoint has at most {RynxsCheckpoint.MaxFileBytes} bytes.");
        }

        byte[] bytes = new byte[file.Length];
        file.ReadExactly(bytes);
        return RynxsCheckpoint.Parse(bytes);
    }

    /// <summary>Writes one durably under its own name; its path.</summary>
    public string Write(RynxsCheckpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        LedgerFile.CreateDirectory(directory);
        string path = Path.Combine(directory, checkpoint.FileName);
        WriteTo(path, checkpoint);
        return path;
    }

    /// <summary>Writes one durably to a path: whole or not at all.</summary>
    public static void WriteTo(string path, RynxsCheckpoint checkpoint)
    {
        ArgumentNullException.ThrowIfNull(checkpoint);
        string full = Path.GetFullPath(path);
        string draft = full + ".draft";
        using (Microsoft.Win32.SafeHandles.SafeFileHandle file = LedgerFile.CreateEmpty(draft))
        {
            RandomAccess.Write(file, checkpoint.ToFile(), 0);
            LinuxFile.SyncData(file);
        }

        File.Move(draft, full, overwrite: true);
        LinuxFile.SyncDirectory(Path.GetDirectoryName(full) ?? "/");
    }

    /// <summary>Removes all but the newest; the number removed.</summary>
    public int Rotate(int kept = DefaultKept)
    {
        ArgumentOutOfRangeException.ThrowIfLessThan(kept, 1);
        IReadOnlyList<(long EventIndex, string Path)> all = List();
        foreach ((_, string path) in all.SkipLast(kept))
        {
            File.Delete(path);
        }

        return Math.Max(0, all.Count - kept);
    }
}
