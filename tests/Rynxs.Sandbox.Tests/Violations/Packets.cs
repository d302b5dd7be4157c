using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Rynxs.Sandbox.Tests.Violations;

/// <summary>Writes packets as runsc does.</summary>
internal static class Packets
{
    public const ulong AtFdCwd = unchecked((ulong)-100L);

    public static byte[] Packet(ushort type, uint dropped, params byte[][] fields)
    {
        byte[] packet = [.. new byte[8], .. fields.SelectMany(f => f)];
        BinaryPrimitives.WriteUInt16LittleEndian(packet, 8);
        BinaryPrimitives.WriteUInt16LittleEndian(packet.AsSpan(2), type);
        BinaryPrimitives.WriteUInt32LittleEndian(packet.AsSpan(4), dropped);
        return packet;
    }

    public static byte[] Context(string cwd = "/workspace/files", string process = "python3", int thread = 7) =>
        Bytes(1, [.. Number(1, 1_700_000_000_000_000_000), .. Number(2, (ulong)thread), .. Number(4, 7), .. Text(6, "c1"), .. Text(8, cwd), .. Text(9, process)]);

    public static byte[] Exit(long result, ulong error) =>
        Bytes(2, [.. result == 0 ? [] : Number(1, (ulong)result), .. error == 0 ? [] : Number(2, error)]);

    public static byte[] Text(uint field, string text) => Bytes(field, Encoding.Latin1.GetBytes(text));

    public static byte[] Number(uint field, ulong value) => [.. Varint(field << 3), .. Varint(value)];

    public static byte[] Bytes(uint field, byte[] value) => [.. Varint((field << 3) | 2), .. Varint((ulong)value.Length), .. value];

    public static byte[] Inet(string address, int port)
    {
        var parsed = IPAddress.Parse(address);
        byte[] portBytes = [(byte)(port >> 8), (byte)port];
        return parsed.AddressFamily == System.Net.Sockets.AddressFamily.InterNetwork
            ? [2, 0, .. portBytes, .. parsed.GetAddressBytes(), .. new byte[8]]
            : [10, 0, .. portBytes, 0, 0, 0, 0, .. parsed.GetAddressBytes(), 0, 0, 0, 0];
    }

    public static byte[] Unix(string path) => [1, 0, .. Encoding.Latin1.GetBytes(path), 0];

    private static byte[] Varint(ulong value)
    {
        var bytes = new List<byte>();
        while (value >= 0x80)
        {
            bytes.Add((byte)(value | 0x80));
            value >>= 7;
        }

        bytes.Add((byte)value);
        return [.. bytes];
    }
}
