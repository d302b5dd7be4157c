using System.Diagnostics;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Schemas.Expressions;

namespace Rynxs.ResourceServer.Tests.Schemas;

public sealed class ExpressionTests
{
    /// <summary>Each is true, or an error whose message holds the second text.</summary>
    [Theory]
    [InlineData("1 + 2 * 3 == 7 && -2 - -3 == 1 && 7 / 2 == 3 && -7 / 2 == -3 && -7 % 2 == -1")]
    [InlineData("1.5 + 1.5 == 3.0 && 3.0 == 3 && 3u == 3 && 2u * 3u == 6u && 1 < 1.5 && 2u > 1")]
    [InlineData("'a' + \"b\" == r'ab' && 'a\\n\\x41\\u00e9\\101' == \"a\\nAéA\" && b'ab' == b'\\x61b' && '''x'y''' == \"x'y\"")]
    [InlineData("[1, 2, 3].size() == 3 && size('aé😀') == 3 && size({'a': 1}) == 1 && size(b'abc') == 3")]
    [InlineData("2 in [1, 2] && !(3 in [1, 2]) && 'a' in {'a': 1} && [1, 2][1] == 2 && {'a': 5}['a'] == 5 && {'a': 5}.a == 5")]
    [InlineData("true ? 1 == 1 : 1 / 0 == 1")]
    [InlineData("(1 / 0 == 1 || true) && !(false && 1 / 0 == 1) && (true || 1 / 0 == 1) && !(1 / 0 == 1 && false)")]
    [InlineData("[1, 2, 3].all(x, x > 0) && [1, 2].exists(x, x == 2) && [1, 2].exists_one(x, x > 1) && ![1, 1].exists_one(x, x == 1)")]
    [InlineData("[1, 2, 3].filter(x, x > 1) == [2, 3] && [1, 2].map(x, x * 2) == [2, 4] && [1, 2, 3].map(x, x > 1, x + 1) == [3, 4]")]
    [InlineData("{'a': 1, 'b': 2}.all(k, k < 'c') && {'a': 1}.map(k, k) == ['a'] && [[1], [2]].all(l, l.all(x, x > 0))")]
    [InlineData("'abc'.startsWith('ab') && 'abc'.endsWith('bc') && 'abc'.contains('b') && 'abc'.matches('^a.c$') && matches('abc', 'b')")]
    [InlineData("'aBc'.lowerAscii() == 'abc' && 'aBc'.upperAscii() == 'ABC' && ' a '.trim() == 'a' && 'a-b-c'.replace('-', '+') == 'a+b+c' && 'a-b-c'.replace('-', '', 1) == 'ab-c'")]
    [InlineData("'a,b,c'.split(',') == ['a', 'b', 'c'] && 'a,b,c'.split(',', 2) == ['a', 'b,c'] && ['a', 'b'].join('-') == 'a-b' && 'abc'.substring(1) == 'bc' && 'abc'.substring(0, 2) == 'ab'")]
    [InlineData("'abcb'.indexOf('b') == 1 && 'abcb'.lastIndexOf('b') == 3 && 'abc'.charAt(1) == 'b' && 'a1b22'.find('[0-9]+') == '1' && 'a1b22'.findAll('[0-9]+') == ['1', '22']")]
    [InlineData("int('5') == 5 && int(5.9) == 5 && double('1.5') == 1.5 && string(5) == '5' && string(true) == 'true' && bool('true') && uint(5) == 5u && string(b'a') == 'a'")]
    [InlineData("duration('1h30m') > duration('1h') && duration('90s').getMinutes() == 1 && duration('1.5s') + duration('500ms') == duration('2s')")]
    [InlineData("timestamp('2026-01-02T03:04:05Z').getFullYear() == 2026 && timestamp('2026-01-02T00:00:00Z') - timestamp('2026-01-01T00:00:00Z') == duration('24h') && timestamp('2026-01-02T03:04:05Z').getMonth() == 0")]
    [InlineData("quantity('1Gi').isGreaterThan(quantity('1G')) && quantity('0.5').compareTo(quantity('500m')) == 0 && isQuantity('1Ki') && !isQuantity('x') && quantity('2k').asInteger() == 2000")]
    [InlineData("type(1) == int && type('a') == string && type([]) == list && type(null) == null_type && type(type(1)) == type")]
    [InlineData("null == null && 1 != 'a' && [1] != [2] && {'a': 1} == {'a': 1} && {'a': [1]} != {'a': [2]}")]
    [InlineData("optional.of(1).hasValue() && optional.none().orValue(5) == 5 && {'a': 1}[?'b'].orValue(2) == 2 && {'a': 1}.?a.value() == 1 && !optional.ofNonZeroValue('').hasValue()")]
    [InlineData("sets.contains([1, 2, 3], [2]) && sets.equivalent([1, 2], [2, 1]) && !sets.intersects([1], [2]) && [3, 1].min() == 1 && [1, 2].sum() == 3 && [1, 2].isSorted() && math.greatest(1, 5, 3) == 5")]
    [InlineData("'%s is %d of %s'.format(['a', 5, [1, 2]]) == 'a is 5 of [1, 2]'")]
    [InlineData("0x1F == 31 && -9223372036854775808 < 0 && 1e3 == 1000.0 // a comment")]
    [InlineData("1 / 0 == 1", "division by zero")]
    [InlineData("9223372036854775807 + 1 > 0", "integer overflow")]
    [InlineData("-9223372036854775808 / -1 > 0", "integer overflow")]
    [InlineData("[1][5] == 1", "index out of bounds: 5")]
    [InlineData("{'a': 1}.b == 1", "no such key: b")]
    [InlineData("'a' + 1 == 'a1'", "no such overload")]
    [InlineData("[1, 2].all(x, x / 0 == 1)", "division by zero")]
    [InlineData("int('x') == 1", "type conversion error")]
    public void Expression_evaluates_as_the_specification_says(string text, string? error = null)
    {
        object? value = Evaluate(text);

        if (error is null)
            value.ShouldBe(true);
        else
            value.ShouldBeOfType<CelError>().Message.ShouldContain(error);
    }

    [Theory]
    [InlineData("self.a <", 9)]
    [InlineData("foo(self)", 1)]
    [InlineData("bar == 1", 1)]
    [InlineData("'abc", 1)]
    [InlineData("1 +* 2", 4)]
    [InlineData("self.all(x)", 11)]
    [InlineData("has(self)", 1)]
    [InlineData("self.matches('(')", 14)]
    [InlineData("'a'.nope()", 4)]
    [InlineData("99999999999999999999 > 1", 1)]
    [InlineData("#", 1)]
    public void Text_that_is_no_expression_is_refused_with_its_place(string text, int column) =>
        Should.Throw<CelSyntaxException>(() => Parser.Parse(text, "self", "oldSelf")).Position.ShouldBe(column - 1);

    [Fact]
    public void Nesting_is_bounded_in_every_direction()
    {
        foreach (string text in new[]
        {
            new string('(', 10_000), new string('[', 10_000), new string('!', 9_000) + "true", string.Concat(Enumerable.Repeat("1+", 4_000)) + "1",
            "self" + string.Concat(Enumerable.Repeat(".a", 4_000)), string.Concat(Enumerable.Repeat("true?true:", 900)) + "true", new string('a', 20_000),
        })
        {
            try
            {
                Evaluate(text);
            }
            catch (CelSyntaxException)
            {
                // Refused is one good end; evaluated is the other.
            }
        }
    }

    [Theory]
    [InlineData("[1,2,3,4,5,6,7,8,9,10].map(a, [1,2,3,4,5,6,7,8,9,10].map(b, [1,2,3,4,5,6,7,8,9,10].map(c, [1,2,3,4,5,6,7,8,9,10].map(d, [1,2,3,4,5,6,7,8,9,10].map(e, [1,2,3,4,5,6,7,8,9,10].map(f, [1,2,3,4,5,6,7,8,9,10].map(g, g))))))).size() > 0")]
    [InlineData("['x'].map(a, a.replace('x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')).map(a, a.replace('x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')).map(a, a.replace('x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')).map(a, a.replace('x', 'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx')).size() > 0")]
    public void G4_a_hostile_rule_runs_out_of_budget_and_not_of_time(string text)
    {
        Stopwatch watch = Stopwatch.StartNew();

        Should.Throw<CelBudgetException>(() => Evaluate(text));
        watch.Elapsed.ShouldBeLessThan(TimeSpan.FromSeconds(20));
        Evaluate("[1, 2].map(a, a).size() == 2").ShouldBe(true); // Positive control: the budget is enough for a rule that means well.
    }

    [Fact]
    public void G4_a_pattern_that_explodes_elsewhere_is_linear_here() =>
        Evaluate($"'{new string('a', 5_000)}!'.matches('^(a+)+$')").ShouldBe(false);

    [Fact]
    public void Any_text_parses_or_is_refused_and_never_breaks_the_evaluator()
    {
        string[] words =
        [
            "self", ".a", "[0]", "(", ")", "[", "]", "{", "}", ",", ":", "?", "&&", "||", "!", "-", "+", "*", "/", "%", "==", "<", "in", "1", "2u", "1.5",
            "'s'", "b'b'", "true", "null", ".all(x, x", ".map(y, y", ".size()", "has(self.a)", "duration('1s')", "timestamp('2026-01-01T00:00:00Z')",
            "quantity('1')", "optional.of(1)", ".?a", "[?0]", ".orValue(1)", ".substring(1, 9)", ".split('')", ".format([1])", "-9223372036854775808", " ",
        ];
        Gen<string> texts = Gen.Elements(words).ListOf().Select(parts => string.Concat(parts));

        Prop.ForAll(texts.ToArbitrary(), text =>
        {
            try
            {
                Evaluate(text);
            }
            catch (CelSyntaxException)
            {
                return true;
            }
            catch (CelBudgetException)
            {
                return true;
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(3_000));
    }

    [Fact]
    public void Integers_behave_as_integers_of_64_bits_that_do_not_wrap() =>
        Prop.ForAll(ArbMap.Default.ArbFor<(long A, long B)>(), pair =>
        {
            object? sum = Evaluate($"{Literal(pair.A)} + {Literal(pair.B)}");
            Int128 exact = (Int128)pair.A + pair.B;
            return exact >= long.MinValue && exact <= long.MaxValue ? Equals(sum, (long)exact) : sum is CelError;
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Strings_survive_a_trip_through_a_literal() =>
        Prop.ForAll(ArbMap.Default.ArbFor<NonNull<string>>(), text =>
        {
            string escaped = string.Concat(text.Get.EnumerateRunes().Select(rune => $"\\U{rune.Value:x8}"));
            string due = string.Concat(text.Get.EnumerateRunes().Select(rune => rune.ToString()));
            return escaped.Length > 9_000 || Equals(Evaluate($"'{escaped}'"), due);
        }).QuickCheckThrowOnFailure();

    [Fact]
    public void Fields_are_read_by_their_escaped_names_and_with_the_types_of_the_schema()
    {
        StructuralSchema schema = StructuralSchema.FromOpenApi(Json("""
            {"type":"object","properties":{"a-b":{"type":"string"},"namespace":{"type":"string"},"a.b":{"type":"integer"},"x__y":{"type":"boolean"},
             "when":{"type":"string","format":"date-time"},"long":{"type":"string","format":"duration"},"n":{"type":"number"},
             "set":{"type":"array","x-kubernetes-list-type":"set","items":{"type":"string"}}}}
            """));
        JsonObject self = Json("""{"a-b":"q","namespace":"n","a.b":3,"x__y":true,"when":"2026-01-01T00:00:00Z","long":"90m","n":2,"set":["a","b"]}""");

        object? value = new Evaluator(new CelBudget(10_000)).Evaluate(
            Parser.Parse("""
                self.a__dash__b == 'q' && self.__namespace__ == 'n' && self.a__dot__b == 3 && self.x__underscores__y && self.when > timestamp('2025-01-01T00:00:00Z')
                && self.long == duration('1h30m') && self.n == 2.0 && type(self.n) == double && self.set == ['b', 'a'] && !has(self.nothing)
                """, "self").Expression,
            new Scope("self", CelValues.From(self, schema), null));

        value.ShouldBe(true);
    }

    private static string Literal(long number) => number < 0 ? $"({number})" : $"{number}";

    private static object? Evaluate(string text) =>
        new Evaluator(new CelBudget(1_000_000)).Evaluate(Parser.Parse(text, "self").Expression, new Scope("self", CelValues.From(Json("""{"a":[1,{"b":"c"}]}"""), null), null));

    private static JsonObject Json(string text) => (JsonObject)JsonNode.Parse(text)!; // Constants of this file.
}
