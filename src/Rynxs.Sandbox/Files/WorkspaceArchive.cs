using System.Formats.Tar;

namespace Rynxs.Sandbox.Files;

/// <summary>
/// A workspace's tree as a tar file, out and in. Every name of an archive goes through <see cref="WorkspaceFiles"/>, so an archive can name nothing outside; only
/// regular files and directories are taken, and links and special files refuse the whole archive before their name is touched.
/// </summary>
public static class WorkspaceArchive
{
    /// <summary>Most entries of one archive.</summary>
    public const int MaxEntries = 10_000;

    /// <summary>Most bytes of all files of one archive.</summary>
    public const long MaxBytes = 512L * 1024 * 1024;

    /// <summary>Writes what is below a directory, names relative to it. Symbolic links, special files and names that are not text are left out.</summary>
    /// <exception cref="FileAccessException"><c>too_large</c>: more than fits one archive; the stream is not complete then.</exception>
    public static async Task WriteAsync(WorkspaceFiles files, string path, Stream to, CancellationToken cancellationToken)
    {
        WorkspaceListing listing = files.List(path, recursive: true, MaxEntries, cancellationToken);
        if (listing.Truncated || listing.Entries.Sum(entry => entry.Bytes) > MaxBytes)
        {
            throw new FileAccessException("too_large", $"'{path}': more than {MaxEntries} entries or {MaxBytes} bytes");
        }

        string prefix = path.Trim('/') is { Length: > 0 } below ? below + "/" : "";
        await using var writer = new TarWriter(to, TarEntryFormat.Pax, leaveOpen: true);
        foreach (WorkspaceEntry entry in listing.Entries)
        {
            if (entry.Kind is not (WorkspaceEntryKind.File or WorkspaceEntryKind.Directory) || entry.Path.Contains("\\x", StringComparison.Ordinal))
            {
                continue;
            }

            string name = entry.Path[prefix.Length..];
            var item = new PaxTarEntry(entry.Kind == WorkspaceEntryKind.File ? TarEntryType.RegularFile : TarEntryType.Directory, entry.Kind == WorkspaceEntryKind.File ? name : name + "/")
            {
                ModificationTime = entry.Modified, Mode = (UnixFileMode)(entry.Mode & 0x1ff),
            };
            Stream? content = null;
            try
            {
                if (entry.Kind == WorkspaceEntryKind.File)
                {
                    item.DataStream = content = OpenContent(files, entry);
                }

                await writer.WriteEntryAsync(item, cancellationToken);
            }
            catch (FileAccessException gone) when (gone.Code is "not_found" or "not_a_file")
            {
                // Removed since it was listed.
            }
            finally
            {
                if (content is not null)
                {
                    await content.DisposeAsync();
                }
            }
        }
    }

    /// <summary>Unpacks an archive below a directory. What was unpacked before a failure stays.</summary>
    /// <returns>Files written.</returns>
    /// <exception cref="FileAccessException">Naming the entry.</exception>
    /// <exception cref="InvalidDataException">No tar file.</exception>
    public static async Task<int> ReadAsync(WorkspaceFiles files, string path, Stream from, CancellationToken cancellationToken)
    {
        string prefix = path.Trim('/') is { Length: > 0 } below ? below + "/" : "";
        await using var reader = new TarReader(from, leaveOpen: true);
        int entries = 0, written = 0;
        long bytes = 0;
        while (await NextAsync(reader, cancellationToken) is { } entry)
        {
            if (++entries > MaxEntries || entry.Length > WorkspaceFiles.MaxWriteBytes || (bytes += entry.Length) > MaxBytes)
            {
                throw new FileAccessException("too_large", $"'{entry.Name}': an archive takes {MaxEntries} entries, {WorkspaceFiles.MaxWriteBytes} bytes a file and {MaxBytes} bytes in all");
            }

            switch (entry.EntryType)
            {
                case TarEntryType.Directory when entry.Name.Trim('/') is "" or ".":
                    break;
                case TarEntryType.Directory:
                    files.MakeDirectory(prefix + entry.Name.TrimEnd('/'));
                    break;
                case TarEntryType.RegularFile or TarEntryType.V7RegularFile:
                    byte[] content = new byte[entry.Length];
                    if (entry.DataStream is { } data)
                    {
                        await data.ReadExactlyAsync(content, cancellationToken);
                    }

                    files.Write(prefix + entry.Name, content);
                    written++;
                    break;
                case TarEntryType.GlobalExtendedAttributes or TarEntryType.ExtendedAttributes:
                    break;
                default:
                    throw new FileAccessException(
                        entry.EntryType is TarEntryType.SymbolicLink ? "symlink" : "not_a_file", $"'{entry.Name}': an archive may hold files and directories only, not {entry.EntryType}");
            }
        }

        return written;
    }

    private static async Task<TarEntry?> NextAsync(TarReader reader, CancellationToken cancellationToken)
    {
        try
        {
            return await reader.GetNextEntryAsync(copyData: false, cancellationToken);
        }
        catch (Exception broken) when (broken is FormatException or InvalidOperationException or EndOfStreamException or ArgumentException)
        {
            throw new InvalidDataException($"not a tar file: {broken.Message}", broken);
        }
    }

    /// <summary>Exactly as many bytes as the listing said: the header is written before them. Zeros stand for what was cut off meanwhile.</summary>
    private static MemoryStream OpenContent(WorkspaceFiles files, WorkspaceEntry entry)
    {
        if (entry.Bytes > WorkspaceFiles.MaxWriteBytes * 8L)
        {
            throw new FileAccessException("too_large", $"'{entry.Path}': {entry.Bytes} bytes are more than an archive takes in one file");
        }

        byte[] content = new byte[entry.Bytes];
        for (int at = 0; at < content.Length;)
        {
            FileWindow window = files.Read(entry.Path, at, (int)Math.Min(WorkspaceFiles.MaxReadBytes, content.Length - at));
            if (window.Data.Length == 0)
            {
                break;
            }

            window.Data.Span.CopyTo(content.AsSpan(at));
            at += window.Data.Length;
        }

        return new MemoryStream(content, writable: false);
    }
}
