using System.Text;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Canonical;

/// <summary>The writer's reader rewrites and compares; the verifier's accepts a grammar. Both must refuse the same lines.</summary>
public sealed class StrictReaderTests
{
    private const string Hash = "0000000000000000000000000000000000000000000000000000000000000000";

    public static TheoryData<string, string, string> BadLines => new()
    {
        { Event("""{"a":1,"a":2}"""), nameof(LineDefect.DuplicateKey), FailureCodes.DuplicateKey },
        { Event("""{"b":1,"a":2}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a": 1}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":1 }"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":"\u0041"}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":"\/"}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":"\u001F"}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":"\u000a"}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":-0}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":1.50}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":1e5}"""), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("""{"a":1e+400}"""), nameof(LineDefect.BadNumber), FailureCodes.NonCanonical },
        { Event("""{"a":01}"""), nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { Event("""{"a":NaN}"""), nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { Event("""{"a":Infinity}"""), nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { Event("""{"a":1,}"""), nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { "\uFEFF" + Event("{}"), nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { Event("{}") + "x", nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { Event("{}") + " ", nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { " " + Event("{}"), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("{}") + "\r", nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { "", nameof(LineDefect.NotJson), FailureCodes.InvalidJson },
        { "[]", nameof(LineDefect.InvalidField), FailureCodes.InvalidJson },
        { "{}", nameof(LineDefect.MissingField), FailureCodes.MissingField },
        { Event("{}")[..^1] + ",\"z\":1}", nameof(LineDefect.UnknownField), FailureCodes.UnknownField },
        { Event("{}").Replace("\"ts\":1", "\"ts\":1,\"tz\":1", StringComparison.Ordinal), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("{}").Replace("\"ts\":1", "\"ts\":1,\"tt\":1", StringComparison.Ordinal), nameof(LineDefect.UnknownField), FailureCodes.UnknownField },
        { Event("{}").Replace("\"hash_version\":\"v2\",", "", StringComparison.Ordinal), nameof(LineDefect.MissingField), FailureCodes.MissingField },
        { Event("{}").Replace("\"v2\",", "\"v3\",", StringComparison.Ordinal), nameof(LineDefect.InvalidField), FailureCodes.InvalidField },
        { Event("{}").Replace("\"v2\",", "\"v2\",\"meta\":{},", StringComparison.Ordinal), nameof(LineDefect.NonCanonical), FailureCodes.NonCanonical },
        { Event("{}").Replace("\"seq\":0", "\"seq\":-1", StringComparison.Ordinal), nameof(LineDefect.InvalidField), FailureCodes.InvalidField },
        { Event("{}").Replace("\"seq\":0", "\"seq\":1.0", StringComparison.Ordinal), nameof(LineDefect.InvalidField), FailureCodes.InvalidField },
        { Event("{}").Replace("\"seq\":0", "\"seq\":9223372036854775808", StringComparison.Ordinal), nameof(LineDefect.InvalidField), FailureCodes.InvalidField },
        { Event("[]"), nameof(LineDefect.InvalidField), FailureCodes.InvalidField },
        { Event("{}").Replace("00\"}", "0A\"}", StringComparison.Ordinal), nameof(LineDefect.InvalidField), FailureCodes.InvalidField },
        { Event("{\"a\":" + new string('[', 62) + new string(']', 62) + "}"), nameof(LineDefect.TooDeep), FailureCodes.TooDeep },
        { Event("{\"a\":\"" + new string('x', LedgerLimits.MaxRecordBytes) + "\"}"), nameof(LineDefect.TooLong), FailureCodes.TooLong },
    };

    [Theory]
    [MemberData(nameof(BadLines), DisableDiscoveryEnumeration = true)]
    public void F1_lines_that_are_not_canonical_are_refused_by_both_readers_with_their_reason(string line, string defect, string code)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(line);

        Should.Throw<NonCanonicalException>(() => new StrictLine().Read(bytes, withContent: false)).Defect.ToString().ShouldBe(defect);
        VerifierCode(bytes).ShouldBe(code);
    }

    [Fact]
    public void The_line_that_the_bad_ones_are_made_of_is_accepted()
    {
        // Positive control: without the defect, and at the edges of depth and length, nothing is refused.
        foreach (string payload in new[]
        {
            "{}", """{"a":"\u001f","b":1.5,"c":-1e-07,"d":123456789012345678901234567890}""",
            "{\"a\":" + new string('[', 61) + new string(']', 61) + "}",
        })
        {
            byte[] bytes = Encoding.UTF8.GetBytes(Event(payload));
            Should.NotThrow(() => new StrictLine().Read(bytes, withContent: true));
            VerifierCode(bytes).ShouldBeNull();
        }
    }

    [Theory]
    [InlineData(0xC3, 0x28)] // A continuation byte is missing.
    [InlineData(0xC0, 0xAF)] // Overlong.
    [InlineData(0xED, 0xA0)] // A surrogate.
    [InlineData(0xFF, 0xFE)]
    public void F4_invalid_utf8_is_refused_by_both_readers(byte first, byte second)
    {
        byte[] bytes = Encoding.UTF8.GetBytes(Event("""{"a":"xxxx"}"""));
        int at = bytes.AsSpan().IndexOf("xxxx"u8);
        (bytes[at], bytes[at + 1]) = (first, second);

        Should.Throw<NonCanonicalException>(() => new StrictLine().Read(bytes, withContent: false)).Defect.ShouldBe(LineDefect.InvalidUtf8);
        VerifierCode(bytes).ShouldBe(FailureCodes.InvalidUtf8);
    }

    [Fact]
    public void Random_and_mutated_bytes_never_crash_a_reader_and_the_two_agree()
    {
        var random = new Random(20261122);
        byte[] seed = Encoding.UTF8.GetBytes(Event("""{"a":["x\n",-1,1.5,{"b":null}],"é":true}"""));
        int rounds = Soak.Enabled ? 10_000_000 : 60_000;
        for (int round = 0; round < rounds; round++)
        {
            byte[] line = Mutate(seed, random, whollyRandom: round % 10 == 0);
            bool writer = Accepts(line);
            (VerifierCode(line) is null).ShouldBe(writer, Convert.ToBase64String(line));
        }
    }

    private static byte[] Mutate(byte[] seed, Random random, bool whollyRandom)
    {
        if (whollyRandom)
        {
            byte[] noise = new byte[random.Next(0, 200)];
            random.NextBytes(noise);
            return noise;
        }

        byte[] line = [.. seed];
        for (int change = random.Next(1, 4); change > 0; change--)
        {
            int at = random.Next(line.Length);
            line = random.Next(5) switch
            {
                0 => [.. line[..at], .. line[(at + 1)..]],
                1 => [.. line[..at], (byte)"\"\\{}[],:0 1.-eEnu"[random.Next(17)], .. line[at..]],
                2 => [.. line[..at], line[at], .. line[at..]],
                3 => [.. line[..at], (byte)random.Next(256), .. line[(at + 1)..]],
                _ => [.. line[..at], (byte)(line[at] ^ (1 << random.Next(8))), .. line[(at + 1)..]],
            };
        }

        return line;
    }

    private static bool Accepts(byte[] line)
    {
        try
        {
            new StrictLine().Read(line, withContent: true);
            return true;
        }
        catch (NonCanonicalException)
        {
            return false;
        }
    }

    private static string? VerifierCode(byte[] line)
    {
        try
        {
            RecordLine.Read(line);
            return null;
        }
        catch (LineDefectException exception)
        {
            return exception.Code;
        }
    }

    /// <summary>A line around a payload; its hash is wrong, which is not these readers' business.</summary>
    private static string Event(string payload) => $$"""{"event":{{Logs.EventV2(payload)}},"event_hash":"{{Hash}}","prev_hash":"{{Hash}}"}""";
}
