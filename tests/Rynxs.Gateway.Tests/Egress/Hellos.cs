using System.Buffers.Binary;
using System.Text;

namespace Rynxs.Gateway.Tests.Egress;

/// <summary>TLS 1.2 client hellos that a server answers, written byte by byte so that tests can bend them.</summary>
internal static class Hellos
{
    public static byte[] Of(string? serverName, bool encrypted = false, int recordSize = 16 * 1024)
    {
        List<byte> extensions = [];
        if (serverName is not null)
        {
            byte[] name = Encoding.ASCII.GetBytes(serverName);
            extensions.AddRange(Extension(0, Vector16([0, .. Vector16(name)])));
        }

        extensions.AddRange(Extension(10, Vector16([0, 23])));
        extensions.AddRange(Extension(11, [1, 0]));
        extensions.AddRange(Extension(13, Vector16([4, 3, 8, 4, 4, 1])));
        if (encrypted)
        {
            extensions.AddRange(Extension(0xfe0d, new byte[64]));
        }

        byte[] body =
        [
            3, 3, .. new byte[32], 0,
            .. Vector16([0xc0, 0x2b, 0xc0, 0x2f, 0xc0, 0x2c, 0xc0, 0x30]),
            1, 0,
            .. Vector16([.. extensions]),
        ];
        byte[] message = [1, (byte)(body.Length >> 16), (byte)(body.Length >> 8), (byte)body.Length, .. body];
        return [.. message.Chunk(recordSize).SelectMany(chunk => (byte[])[22, 3, 1, .. Vector16(chunk)])];
    }

    private static byte[] Extension(ushort type, byte[] data) => [(byte)(type >> 8), (byte)type, .. Vector16(data)];

    private static byte[] Vector16(byte[] data)
    {
        byte[] vector = new byte[2 + data.Length];
        BinaryPrimitives.WriteUInt16BigEndian(vector, (ushort)data.Length);
        data.CopyTo(vector, 2);
        return vector;
    }
}
