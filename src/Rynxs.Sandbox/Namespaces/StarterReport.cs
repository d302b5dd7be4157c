using System.Text;
using System.Text.Json;
using Rynxs.Sandbox.Native;

namespace Rynxs.Sandbox.Namespaces;

/// <summary>What bubblewrap tells of itself on a pipe: a line of JSON when it made the namespaces, another at its end.</summary>
/// <param name="FirstProcess">The namespace's first process, by its number on the host; null when it never was.</param>
/// <param name="IsStarted">An exit code is reported only of a program that could be executed.</param>
internal readonly record struct StarterReport(int? FirstProcess, bool IsStarted)
{
    private const int MostBytes = 4096; // two lines of some hundred

    /// <summary>Reads what is there. The descriptor stays the caller's.</summary>
    public static StarterReport Read(int descriptor)
    {
        var report = new StarterReport(null, false);
        foreach (string line in TextOf(descriptor).Split('\n'))
        {
            report = report.With(line);
        }

        return report;
    }

    private StarterReport With(string line)
    {
        try
        {
            using JsonDocument parsed = JsonDocument.Parse(line);
            if (parsed.RootElement.ValueKind != JsonValueKind.Object)
            {
                return this;
            }

            int? first = parsed.RootElement.TryGetProperty("child-pid", out JsonElement number) && number.TryGetInt32(out int pid) && pid > 1 ? pid : FirstProcess;
            return new StarterReport(first, IsStarted || parsed.RootElement.TryGetProperty("exit-code", out _));
        }
        catch (JsonException)
        {
            return this; // the end of the text, or a line that was cut with its writer
        }
    }

    private static unsafe string TextOf(int descriptor)
    {
        const int setFlags = 4;
        Span<byte> text = stackalloc byte[MostBytes];
        _ = Libc.fcntl(descriptor, setFlags, Libc.O_NONBLOCK);
        int length = 0;
        nint count;
        do
        {
            fixed (byte* at = text[length..])
            {
                count = Libc.read(descriptor, at, (nuint)(MostBytes - length));
            }

            length += (int)Math.Max(count, 0);
        }
        while (count > 0 && length < MostBytes);
        return Encoding.UTF8.GetString(text[..length]);
    }
}
