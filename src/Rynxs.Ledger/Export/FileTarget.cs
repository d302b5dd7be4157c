using Microsoft.Win32.SafeHandles;
using Rynxs.Ledger.Files;

namespace Rynxs.Ledger.Export;

/// <summary>OCSF JSON lines at the end of a file, for an agent that ships files. A batch has arrived when it is on disk.</summary>
internal sealed class FileTarget(string path) : IExportTarget
{
    public Task SendAsync(IReadOnlyList<ExportedEvent> batch, CancellationToken cancellationToken)
    {
        using var lines = new MemoryStream();
        foreach (ExportedEvent exported in batch)
        {
            lines.Write(OcsfFormat.Format(exported));
            lines.WriteByte((byte)'\n');
        }

        try
        {
            // Opened each time: whoever rotates the file by renaming it needs to tell us nothing.
            using SafeFileHandle file = LedgerFile.OpenOrCreate(path);
            long end = RandomAccess.GetLength(file);
            RandomAccess.Write(file, lines.GetBuffer().AsSpan(0, (int)lines.Length), end);
            LinuxFile.SyncData(file);
            return Task.CompletedTask;
        }
        catch (Exception exception) when (AppendOnlyFile.IsStorageFailure(exception))
        {
            throw new ExportException($"'{path}' cannot be written: {exception.Message}", exception);
        }
    }

    public ValueTask DisposeAsync() => ValueTask.CompletedTask;
}
