using FsCheck;
using FsCheck.Fluent;
using Rynxs.Sandbox.Violations;
using static Rynxs.Sandbox.Tests.Violations.Packets;

namespace Rynxs.Sandbox.Tests.Violations;

public sealed class TraceDecoderTests
{
    [Fact]
    public void An_open_with_its_exit_is_decoded()
    {
        byte[] packet = Packet(7, 3, Context(), Exit(0, 2), Number(3, 257), Number(4, AtFdCwd), Text(6, "/dev/mem"), Number(7, 2));
        TraceDecoder.TryDecode(packet, out TraceEvent? decoded, out uint dropped).ShouldBeTrue();
        dropped.ShouldBe(3u);
        TraceEvent.Open open = decoded.ShouldBeOfType<TraceEvent.Open>();
        open.Path.ShouldBe("/dev/mem");
        open.Descriptor.ShouldBe(-100);
        open.Flags.ShouldBe(2u);
        open.Exit.ShouldBe(new SystemCallExit(0, 2));
        open.Context.ShouldBe(new TraceContext(1_700_000_000_000_000_000, 7, 7, "c1", "python3", "/workspace/files"));
    }

    [Fact]
    public void An_exit_without_fields_is_a_success_and_its_absence_an_entry()
    {
        Decode(Packet(12, 0, Context(), Exit(0, 0), Number(4, 2))).ShouldBeOfType<TraceEvent.Socket>().Exit.ShouldBe(new SystemCallExit(0, 0));
        Decode(Packet(12, 0, Context(), Number(4, 2))).ShouldBeOfType<TraceEvent.Socket>().Exit.ShouldBeNull();
    }

    [Fact]
    public void Raw_calls_keep_number_and_arguments()
    {
        TraceEvent.Raw raw = Decode(Packet(6, 0, Context(), Exit(0, 1), Number(4, 101), Number(5, 16), Number(6, 1))).ShouldBeOfType<TraceEvent.Raw>();
        raw.Number.ShouldBe(101);
        raw.Arguments.ShouldBe(new SystemCallArguments(16, 1, 0, 0, 0, 0));
    }

    [Fact]
    public void A_message_of_a_later_version_is_tolerated() =>
        Decode(Packet(999, 0, Context(), Number(77, 1))).ShouldBeOfType<TraceEvent.Unknown>().Type.ShouldBe((ushort)999);

    [Theory]
    [InlineData(new byte[] { })]
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 7, 0, 7, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 9, 0, 7, 0, 0, 0, 0, 0 })]
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x0a })] // no length
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x0a, 0x05, 0x08 })] // longer than the rest
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x0a, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01 })] // length 2^64-1
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x18, 0x80 })] // varint cut
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x18, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x02 })] // 65 bits
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x1b })] // group
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x00, 0x00 })] // field 0
    [InlineData(new byte[] { 8, 0, 7, 0, 0, 0, 0, 0, 0x12, 0x01, 0x08 })] // malformed exit
    public void A_malformed_packet_is_refused(byte[] packet) => TraceDecoder.TryDecode(packet, out _, out _).ShouldBeFalse();

    [Fact]
    public void No_bytes_make_the_decoder_or_the_detector_throw_or_grow()
    {
        Gen<(byte Type, byte[] Body)> packets =
            from type in Gen.Choose(0, 40)
            from body in ArbMap.Default.ArbFor<byte[]>().Generator
            select ((byte)type, body);
        var detector = new ViolationDetector();
        Prop.ForAll(Arb.From(packets), packet =>
        {
            byte[] bytes = [8, 0, packet.Type, 0, 0, 0, 0, 0, .. packet.Body];
            long before = GC.GetAllocatedBytesForCurrentThread();
            if (TraceDecoder.TryDecode(bytes, out TraceEvent? decoded, out _) && decoded is not null)
            {
                long allocated = GC.GetAllocatedBytesForCurrentThread() - before;
                detector.Observe(decoded);
                return allocated < 16 * 1024 + (16 * bytes.Length);
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(5000));
        detector.Violations().Count.ShouldBeLessThanOrEqualTo(ViolationDetector.MaxViolations + 1);
    }

    [Fact]
    public void A_cut_packet_never_throws()
    {
        byte[] packet = Packet(10, 0, Context(), Exit(-1, 13), Number(3, 42), Bytes(6, Inet("8.8.8.8", 53)));
        for (int length = 0; length < packet.Length; length++)
        {
            TraceDecoder.TryDecode(packet.AsSpan(0, length), out _, out _);
        }

        Decode(packet).ShouldBeOfType<TraceEvent.Connect>();
    }

    [Fact]
    public void Long_text_and_many_arguments_are_cut()
    {
        byte[] packet = Packet(11, 0, [Context(), Text(6, new string('p', 100_000)), .. Enumerable.Range(0, 1000).Select(_ => Text(7, new string('a', 1000)))]);
        TraceEvent.Execve execve = Decode(packet).ShouldBeOfType<TraceEvent.Execve>();
        execve.Path.Length.ShouldBe(4096);
        execve.Arguments.Count.ShouldBe(16);
        execve.Arguments.ShouldAllBe(a => a.Length == 256);
    }

    private static TraceEvent Decode(byte[] packet)
    {
        TraceDecoder.TryDecode(packet, out TraceEvent? decoded, out _).ShouldBeTrue();
        return decoded.ShouldNotBeNull();
    }
}
