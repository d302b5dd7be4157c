using System.Buffers.Binary;
using System.Net;
using System.Text;

namespace Rynxs.Sandbox.Violations;

/// <summary>
/// Decodes packets of gVisor's remote trace sink: a little-endian header (u16 size of the header, u16 type, u32 dropped so far), then a protobuf
/// message. The sender is the sandbox, which a hostile program may have taken over: nothing in a packet is believed.
/// </summary>
internal static class TraceDecoder
{
    public const int HeaderBytes = 8;

    /// <summary>Messages from this type on have the exit of a system call in field 2.</summary>
    private const int FirstSystemCallMessage = 6;
    private const int MaxTextBytes = 4096;
    private const int MaxArguments = 16;
    private const int MaxArgumentBytes = 256;

    /// <summary>False when the packet is malformed. <paramref name="dropped"/> is the sender's running count.</summary>
    public static bool TryDecode(ReadOnlySpan<byte> packet, out TraceEvent? decoded, out uint dropped)
    {
        decoded = null;
        dropped = 0;
        if (packet.Length < HeaderBytes)
        {
            return false;
        }

        int header = BinaryPrimitives.ReadUInt16LittleEndian(packet);
        ushort type = BinaryPrimitives.ReadUInt16LittleEndian(packet[2..]);
        dropped = BinaryPrimitives.ReadUInt32LittleEndian(packet[4..]);
        if (header < HeaderBytes || header > packet.Length)
        {
            return false;
        }

        var fields = new Fields();
        if (!fields.TryRead(packet[header..]))
        {
            return false;
        }

        return fields.TryConvert(type, out decoded);
    }

    /// <summary>The handshake <c>{1: version}</c>; null when malformed.</summary>
    public static uint? DecodeHandshake(ReadOnlySpan<byte> packet)
    {
        var reader = new ProtobufReader(packet);
        uint? version = null;
        while (reader.TryRead(out uint field, out ulong number, out _, out bool isBytes))
        {
            if (field == 1 && !isBytes)
            {
                version = (uint)Math.Min(number, uint.MaxValue);
            }
        }

        return reader.Failed ? null : version;
    }

    internal static SocketTarget DecodeAddress(ReadOnlySpan<byte> address)
    {
        if (address.Length < 2)
        {
            return new SocketTarget.Other(0);
        }

        int family = BinaryPrimitives.ReadUInt16LittleEndian(address);
        switch (family)
        {
            case 1:
                ReadOnlySpan<byte> name = address[2..];
                bool isAbstract = name.Length > 0 && name[0] == 0;
                name = isAbstract ? name[1..] : name;
                int end = name.IndexOf((byte)0);
                return new SocketTarget.Local(Text(end < 0 ? name : name[..end]), isAbstract);
            case 2 when address.Length >= 8:
                return new SocketTarget.Internet(new IPAddress(address.Slice(4, 4)), BinaryPrimitives.ReadUInt16BigEndian(address[2..]));
            case 10 when address.Length >= 24:
                var six = new IPAddress(address.Slice(8, 16));
                return new SocketTarget.Internet(six.IsIPv4MappedToIPv6 ? six.MapToIPv4() : six, BinaryPrimitives.ReadUInt16BigEndian(address[2..]));
            default:
                return new SocketTarget.Other(family);
        }
    }

    private static string Text(ReadOnlySpan<byte> bytes, int limit = MaxTextBytes) => Encoding.Latin1.GetString(bytes[..Math.Min(bytes.Length, limit)]);

    /// <summary>
    /// The top-level fields of one message. Messages number them alike: 1 context, 2 exit, 3 sysno, then their own; fields 2 to 10 are kept as
    /// number and text, whichever came, and the last one wins as protobuf says.
    /// </summary>
    private ref struct Fields
    {
        private const int Count = 11;
        private readonly Span<ulong> _numbers;
        private TraceContext _context = TraceContext.None;
        private SystemCallExit? _exit;
        private List<(uint Field, string Text)>? _arguments;
        private bool _has2;
        private ReadOnlySpan<byte> _text2;
        private ReadOnlySpan<byte> _text4;
        private ReadOnlySpan<byte> _text5;
        private ReadOnlySpan<byte> _text6;

        public Fields()
        {
            _numbers = new ulong[Count];
        }

        public bool TryRead(ReadOnlySpan<byte> message)
        {
            var reader = new ProtobufReader(message);
            while (reader.TryRead(out uint field, out ulong number, out ReadOnlySpan<byte> bytes, out bool isBytes))
            {
                if (!isBytes)
                {
                    if (field < Count)
                    {
                        _numbers[(int)field] = number;
                    }

                    continue;
                }

                switch (field)
                {
                    case 1:
                        if (!TryReadContext(bytes, out _context))
                        {
                            return false;
                        }

                        break;
                    case 2:
                        _text2 = bytes;
                        _has2 = true;
                        break;
                    case 4:
                        _text4 = bytes;
                        AddArgument(4, bytes);
                        break;
                    case 5:
                        _text5 = bytes;
                        break;
                    case 6:
                        _text6 = bytes;
                        break;
                    default:
                        AddArgument(field, bytes);
                        break;
                }
            }

            return !reader.Failed;
        }

        public bool TryConvert(ushort type, out TraceEvent? converted)
        {
            converted = null;

            // An exit without fields is a success with result 0: protobuf leaves zeros out, but not the message itself.
            if (type >= FirstSystemCallMessage && _has2 && !TryReadExit(_text2, out _exit))
            {
                return false;
            }

            converted = Convert(type);
            return true;
        }

        private readonly TraceEvent Convert(ushort type)
        {
            int sysno = (int)Math.Min(_numbers[3], int.MaxValue);
            return type switch
            {
                1 => new TraceEvent.ContainerStart(_context, Text(_text2), Arguments(4)),
                2 => new TraceEvent.Cloned(_context, (int)_numbers[3], (int)_numbers[4]),
                3 => new TraceEvent.Executed(_context, Text(_text2), Arguments(3)),
                4 => new TraceEvent.Exited(_context, (int)_numbers[2]),
                5 => new TraceEvent.TaskExited(_context, (int)_numbers[2]),
                6 => new TraceEvent.Raw(
                    _context,
                    _exit,
                    (int)Math.Min(_numbers[4], int.MaxValue),
                    new SystemCallArguments(_numbers[5], _numbers[6], _numbers[7], _numbers[8], _numbers[9], _numbers[10])),
                7 => new TraceEvent.Open(_context, _exit, sysno, (long)_numbers[4], Text(_text5), Text(_text6), (uint)_numbers[7]),
                10 => new TraceEvent.Connect(_context, _exit, sysno, DecodeAddress(_text6)),
                11 => new TraceEvent.Execve(_context, _exit, sysno, Text(_text6), Arguments(7)),
                12 => new TraceEvent.Socket(_context, _exit, sysno, (int)_numbers[4], (int)_numbers[5], (int)_numbers[6]),
                21 => new TraceEvent.Chroot(_context, _exit, sysno, Text(_text4)),
                23 => new TraceEvent.NewProcess(_context, _exit, sysno, _numbers[4]),
                24 => new TraceEvent.Bind(_context, _exit, sysno, DecodeAddress(_text6)),
                29 => new TraceEvent.NewProcess(_context, _exit, sysno, 0),
                _ => new TraceEvent.Unknown(_context, type),
            };
        }

        private readonly IReadOnlyList<string> Arguments(uint field) =>
            _arguments is null ? [] : [.. _arguments.Where(a => a.Field == field).Select(a => a.Text)];

        private void AddArgument(uint field, ReadOnlySpan<byte> bytes)
        {
            if (field is 3 or 4 or 7)
            {
                _arguments ??= [];
                if (_arguments.Count < MaxArguments)
                {
                    _arguments.Add((field, Text(bytes, MaxArgumentBytes)));
                }
            }
        }
    }

    private static bool TryReadExit(ReadOnlySpan<byte> message, out SystemCallExit? exit)
    {
        var reader = new ProtobufReader(message);
        ulong result = 0;
        ulong error = 0;
        while (reader.TryRead(out uint field, out ulong number, out _, out bool isBytes))
        {
            if (!isBytes)
            {
                (result, error) = field switch { 1 => (number, error), 2 => (result, number), _ => (result, error) };
            }
        }

        exit = reader.Failed ? null : new SystemCallExit((long)result, (long)error);
        return !reader.Failed;
    }

    private static bool TryReadContext(ReadOnlySpan<byte> message, out TraceContext context)
    {
        var reader = new ProtobufReader(message);
        ulong time = 0;
        ulong thread = 0;
        ulong group = 0;
        ReadOnlySpan<byte> container = default;
        ReadOnlySpan<byte> directory = default;
        ReadOnlySpan<byte> process = default;
        while (reader.TryRead(out uint field, out ulong number, out ReadOnlySpan<byte> bytes, out bool isBytes))
        {
            switch (field, isBytes)
            {
                case (1, false):
                    time = number;
                    break;
                case (2, false):
                    thread = number;
                    break;
                case (4, false):
                    group = number;
                    break;
                case (6, true):
                    container = bytes;
                    break;
                case (8, true):
                    directory = bytes;
                    break;
                case (9, true):
                    process = bytes;
                    break;
                default:
                    break; // start times, credentials and what later versions add
            }
        }

        context = new TraceContext((long)time, (int)thread, (int)group, Text(container, MaxArgumentBytes), Text(process, MaxArgumentBytes), Text(directory));
        return !reader.Failed;
    }
}
