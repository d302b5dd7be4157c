using System.Diagnostics;
using System.Globalization;
using System.Text;
using System.Text.Json;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Ledger.Canonical;
using Rynxs.Ledger.Verifier;

namespace Rynxs.Ledger.Tests.Canonical;

public sealed class CanonicalJsonTests
{
    public static TheoryData<int> CanonicalVectors => [.. Enumerable.Range(0, Logs.Vectors.GetProperty("canonical").GetArrayLength())];

    [Theory]
    [MemberData(nameof(CanonicalVectors))]
    public void Vectors_of_the_original_come_out_byte_for_byte(int index)
    {
        JsonElement vector = Logs.Vectors.GetProperty("canonical")[index];
        JsonElement input = JsonElement.Parse(vector.GetProperty("input_ascii_json").GetString() ?? "");

        Convert.ToHexStringLower(CanonicalJson.Serialize(input)).ShouldBe(vector.GetProperty("canonical_utf8_hex").GetString());
        CanonicalJson.Sha256Hex(input).ShouldBe(vector.GetProperty("sha256").GetString());
    }

    [Fact]
    public void Stable_ids_are_those_of_the_original()
    {
        foreach (JsonElement vector in Logs.Vectors.GetProperty("stable_id").EnumerateArray())
        {
            string[] parts = [.. vector.GetProperty("parts").EnumerateArray().Select(part => part.GetString() ?? "")];
            StableId.Compute(parts).ShouldBe(vector.GetProperty("id").GetString());
        }
    }

    [Theory]
    [InlineData("""{"\ud83d\ude00":1,"\ufffd":2}""", "{\"\uFFFD\":2,\"\U0001F600\":1}")] // Code points, not UTF-16 units.
    [InlineData("""{"10":1,"2":2,"1":3}""", """{"1":3,"10":1,"2":2}""")]
    [InlineData("""{"a\n":1,"a":2,"a\"":3}""", """{"a":2,"a\n":1,"a\"":3}""")]
    [InlineData("""["\u003c\/\u007f\u2028\u001F"]""", "[\"</\u007f\u2028\\u001f\"]")]
    [InlineData("[ 123456789012345678901234567890 , -5, -0, 0 ]", "[123456789012345678901234567890,-5,0,0]")]
    [InlineData("{}", "{}")]
    [InlineData("[[],{}]", "[[],{}]")]
    public void Values_are_written_in_canonical_form(string input, string expected) =>
        Encoding.UTF8.GetString(CanonicalJson.Serialize(JsonElement.Parse(input))).ShouldBe(expected);

    [Theory]
    [InlineData("[1.5]")]
    [InlineData("[1e3]")]
    [InlineData("""["\ud800"]""")]
    [InlineData("""["\udc00x"]""")]
    [InlineData("""{"\ud800":1}""")]
    [InlineData("""{"a":1,"a":2}""")]
    [InlineData("""{"a":1,"\u0061":2}""")]
    public void Values_without_a_canonical_form_are_refused_when_writing(string input) =>
        Should.Throw<ArgumentException>(() => CanonicalJson.Serialize(JsonElement.Parse(input)));

    [Fact]
    public void Invalid_utf8_is_refused_when_writing()
    {
        byte[] json = [(byte)'"', 0xC3, 0x28, (byte)'"'];
        using JsonDocument document = JsonDocument.Parse(json);

        Should.Throw<ArgumentException>(() => CanonicalJson.Serialize(document.RootElement));
    }

    [Theory]
    [InlineData(64, true)]
    [InlineData(65, false)]
    public void Nesting_is_limited_to_64(int depth, bool accepted)
    {
        JsonElement value = JsonElement.Parse(
            new string('[', depth) + new string(']', depth), new JsonDocumentOptions { MaxDepth = 100 });

        if (accepted)
        {
            CanonicalJson.Serialize(value).Length.ShouldBe(2 * depth);
        }
        else
        {
            Should.Throw<ArgumentException>(() => CanonicalJson.Serialize(value)).Message.ShouldContain("64");
        }
    }

    [Theory]
    [InlineData(1.0, "1.0")]
    [InlineData(0.0001, "0.0001")]
    [InlineData(0.00001, "1e-05")]
    [InlineData(1000000000000000.0, "1000000000000000.0")]
    [InlineData(1e16, "1e+16")]
    [InlineData(1e21, "1e+21")]
    [InlineData(-0.0, "-0.0")]
    [InlineData(5e-324, "5e-324")]
    [InlineData(1.7976931348623157e308, "1.7976931348623157e+308")]
    [InlineData(123.456, "123.456")]
    [InlineData(9007199254740993.0, "9007199254740992.0")]
    [InlineData(-2.5e-7, "-2.5e-07")]
    public void Floats_of_old_records_are_spelt_as_python_does(double value, string expected)
    {
        PythonFloat.Repr(value).ShouldBe(expected);
        Should.NotThrow(() => NumberForm.Check(Encoding.ASCII.GetBytes(expected)));
    }

    [Fact]
    public void Both_float_spellers_agree_on_any_double()
    {
        Prop.ForAll(
            ArbMap.Default.ArbFor<long>(),
            bits =>
            {
                // A long as bits reaches every exponent; small ones give subnormal numbers.
                double value = BitConverter.Int64BitsToDouble(unchecked(bits * 0x9E3779B97F4A7C1));
                if (double.IsFinite(value))
                {
                    NumberForm.Check(Encoding.ASCII.GetBytes(PythonFloat.Repr(value)));
                }
            }).Check(Config.QuickThrowOnFailure.WithMaxTest(2000));
    }

    [Fact]
    public void Canonical_form_is_a_fixed_point_that_both_readers_accept()
    {
        Prop.ForAll(Json.Values.ToArbitrary(), text =>
        {
            string event1 = Logs.EventV2($$"""{"v":{{Canonical(text)}}}""");
            Canonical(Canonical(text)).ShouldBe(Canonical(text));
            byte[] line = Encoding.UTF8.GetBytes(Logs.Line(event1));
            new StrictLine().Read(line, withContent: true).Content.ShouldNotBeNull();
            RecordLine.Read(line).Seq.ShouldBe(0);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(1000));
    }

    [Fact]
    public async Task Canonical_form_agrees_with_python_the_language_of_the_original()
    {
        if (!Python.IsInstalled)
        {
            Assert.Skip("python3 is not installed");
        }

        string[] inputs = [.. Json.Values.Sample(400, 60), .. Enumerable.Range(0, 400).Select(index =>
            PythonFloat.Repr(BitConverter.Int64BitsToDouble((index * 0x1E3779B97F4A7C15) ^ 0x3FF0000000000000)))
            .Where(text => !text.Contains("inf", StringComparison.OrdinalIgnoreCase) && !text.Contains("nan", StringComparison.OrdinalIgnoreCase))];

        string[] expected = await Python.CanonicalAsync(inputs, TestContext.Current.CancellationToken);

        for (int index = 0; index < inputs.Length; index++)
        {
            Canonical(inputs[index], allowFloats: true).ShouldBe(expected[index], inputs[index]);
        }
    }

    private static string Canonical(string json, bool allowFloats = false)
    {
        var output = new System.Buffers.ArrayBufferWriter<byte>();
        new CanonicalWriter(output, allowFloats).Write(JsonElement.Parse(json));
        return Encoding.UTF8.GetString(output.WrittenSpan);
    }
}

/// <summary>Random JSON texts without floats and lone surrogates, with hostile characters, in no particular order.</summary>
internal static class Json
{
    private static readonly Gen<string> Text = Gen.Elements(
            "a", "b", "z", "\\n", "\\u0001", "\\\"", "\\\\", "\\/", "\u00e9", "\u2028", "\uFFFD", "\U0001F600", "\\ud83d\\ude00", "\\u001f", "<&>'")
        .ListOf().Select(parts => $"\"{string.Concat(parts)}\"");

    private static readonly Gen<string> Scalar = Gen.OneOf(
        Text,
        Gen.Elements("true", "false", "null", "0", "-1", "123456789012345678901234567890"),
        ArbMap.Default.GeneratorFor<long>().Select(number => number.ToString(CultureInfo.InvariantCulture)));

    public static Gen<string> Values { get; } = Gen.Sized(size => OfDepth(Math.Min(4, size / 8)));

    private static Gen<string> OfDepth(int depth) => depth <= 0
        ? Scalar
        : Gen.OneOf(
            Scalar,
            OfDepth(depth - 1).ListOf().Select(items => $"[{string.Join(", ", items)}]"),
            Text.Zip(OfDepth(depth - 1)).ListOf().Select(members => "{" + string.Join(" ,", members
                .DistinctBy(member => JsonElement.Parse(member.Item1).GetString())
                .Select(member => $"{member.Item1} : {member.Item2}")) + "}"));
}

/// <summary>The original's own rule, run by Python.</summary>
internal static class Python
{
    private const string Program =
        "import sys,json\n" +
        "for line in sys.stdin:\n" +
        "    v=json.loads(json.loads(line))\n" +
        "    print(json.dumps(json.dumps(v,sort_keys=True,ensure_ascii=False,separators=(',',':'))))\n";

    public static bool IsInstalled => (Environment.GetEnvironmentVariable("PATH") ?? "").Split(':')
        .Any(directory => File.Exists(Path.Combine(directory, "python3")));

    public static async Task<string[]> CanonicalAsync(IReadOnlyList<string> inputs, CancellationToken cancellationToken)
    {
        using var process = new Process
        {
            StartInfo = new ProcessStartInfo("python3", ["-c", Program]) { RedirectStandardInput = true, RedirectStandardOutput = true },
        };
        process.Start();
        Task<string> output = process.StandardOutput.ReadToEndAsync(cancellationToken);
        foreach (string input in inputs)
        {
            await process.StandardInput.WriteLineAsync(JsonSerializer.Serialize(input).AsMemory(), cancellationToken);
        }

        process.StandardInput.Close();
        string[] lines = (await output).Split('\n', StringSplitOptions.RemoveEmptyEntries);
        await process.WaitForExitAsync(cancellationToken);
        process.ExitCode.ShouldBe(0);
        return [.. lines.Select(line => JsonElement.Parse(line).GetString() ?? "")];
    }
}
