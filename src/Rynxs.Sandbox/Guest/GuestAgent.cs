using System.Buffers.Binary;
using System.Text;
using System.Text.Json;
using System.Text.Json.Serialization;

namespace Rynxs.Sandbox.Guest;

/// <summary>The Python program that runs inside (<c>agent.py</c>) and what is written to it.</summary>
internal static class GuestAgent
{
    /// <summary>Capabilities of the first process inside: to become the programs' user, and to end what programs leave. Programs have none.</summary>
    public static IReadOnlyList<string> Capabilities { get; } = ["CAP_SETUID", "CAP_SETGID", "CAP_KILL"];

    private static string Source { get; } = Read();

    /// <summary>Command line of one of its parts: <c>first</c>, <c>spare</c> or <c>live</c>.</summary>
    public static IReadOnlyList<string> Command(string part) => ["/usr/bin/python3", "-I", "-c", Source, part];

    /// <summary>What a restored interpreter gets first.</summary>
    /// <param name="mark">Path that it opens in vain, for the trace to show.</param>
    public static byte[] Seed(string mark) => Frame(JsonSerializer.SerializeToUtf8Bytes(
        new GuestSeed(Convert.ToHexStringLower(System.Security.Cryptography.RandomNumberGenerator.GetBytes(32)), mark), GuestJson.Default.GuestSeed));

    /// <summary>A program with its standard input.</summary>
    public static byte[] Job(GuestJob job, ReadOnlySpan<byte> source, ReadOnlySpan<byte> input) =>
        [.. Frame(JsonSerializer.SerializeToUtf8Bytes(job, GuestJson.Default.GuestJob)), .. source, .. input];

    public static byte[] Frame(ReadOnlySpan<byte> content)
    {
        byte[] frame = new byte[4 + content.Length];
        BinaryPrimitives.WriteInt32LittleEndian(frame, content.Length);
        content.CopyTo(frame.AsSpan(4));
        return frame;
    }

    private static string Read()
    {
        using Stream resource = typeof(GuestAgent).Assembly.GetManifestResourceStream("Rynxs.Sandbox.Guest.agent.py") ?? throw new InvalidOperationException("agent.py is part of this assembly");
        using var reader = new StreamReader(resource, Encoding.UTF8);
        return reader.ReadToEnd();
    }
}

internal sealed record GuestSeed(string Entropy, string Mark);

/// <param name="Source">Bytes of the program that follow.</param>
/// <param name="Input">Bytes of its standard input that follow then.</param>
/// <param name="Environment">Whole environment.</param>
/// <param name="Directory">Working directory.</param>
/// <param name="Arguments">From <c>sys.argv[1]</c> on.</param>
internal sealed record GuestJob(int Source, int Input, IReadOnlyDictionary<string, string> Environment, string Directory, IReadOnlyList<string> Arguments);

[JsonSourceGenerationOptions(PropertyNamingPolicy = JsonKnownNamingPolicy.CamelCase)]
[JsonSerializable(typeof(GuestSeed))]
[JsonSerializable(typeof(GuestJob))]
internal sealed partial class GuestJson : JsonSerializerContext;
