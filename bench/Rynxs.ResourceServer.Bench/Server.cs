using System.Diagnostics;
using System.Globalization;

namespace Rynxs.ResourceServer.Bench;

/// <summary>A server in processes of its own.</summary>
internal sealed class Server(HttpClient client, IReadOnlyList<Process> processes, string directory) : IAsyncDisposable
{
    public HttpClient Client => client;

    /// <summary>Processor time of all its processes so far.</summary>
    public TimeSpan ProcessorTime()
    {
        double seconds = 0;
        foreach (Process process in processes)
        {
            // Fields 14 and 15 of the text after the command's name, in ticks of a hundredth.
            string stat = File.ReadAllText($"/proc/{process.Id}/stat");
            string[] fields = stat[(stat.LastIndexOf(')') + 2)..].Split(' ');
            seconds += (long.Parse(fields[11], CultureInfo.InvariantCulture) + long.Parse(fields[12], CultureInfo.InvariantCulture)) / 100.0;
        }

        return TimeSpan.FromSeconds(seconds);
    }

    /// <summary>Resident memory of all its processes in megabytes.</summary>
    public double Rss() => processes.Sum(process =>
        double.Parse(File.ReadLines($"/proc/{process.Id}/status").First(line => line.StartsWith("VmRSS:", StringComparison.Ordinal)).Split(' ', StringSplitOptions.RemoveEmptyEntries)[1], CultureInfo.InvariantCulture) / 1024);

    public async ValueTask DisposeAsync()
    {
        client.Dispose();
        foreach (Process process in processes)
        {
            process.Kill();
            await process.WaitForExitAsync();
            process.Dispose();
        }

        if (directory.Length > 0)
            Directory.Delete(directory, recursive: true);
    }
}
