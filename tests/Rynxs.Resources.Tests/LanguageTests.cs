using System.Text.Json;
using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.Resources.Client;
using Rynxs.Resources.Quantities;
using Rynxs.Resources.Selectors;
using Rynxs.Resources.Serialization;

namespace Rynxs.Resources.Tests;

/// <summary>The small languages: quantities, selectors, merge patches.</summary>
public sealed class LanguageTests
{
    [Theory]
    [InlineData("256Mi", 268435456, long.MaxValue)]
    [InlineData("1Gi", 1073741824, long.MaxValue)]
    [InlineData("100m", 1, 100)]
    [InlineData("1", 1, 1000)]
    [InlineData("0.5", 1, 500)]
    [InlineData(".5", 1, 500)]
    [InlineData("1.", 1, 1000)]
    [InlineData("1e3", 1000, 1000000)]
    [InlineData("1E3", 1000, 1000000)]
    [InlineData("5e-1", 1, 500)]
    [InlineData("1k", 1000, 1000000)]
    [InlineData("1500u", 1, 2)]
    [InlineData("0", 0, 0)]
    [InlineData("9223372036854775807", long.MaxValue, long.MaxValue)]
    public void A_quantity_has_the_value_that_kubernetes_gives_it(string text, long units, long thousandths)
    {
        Quantity.TryParse(text, out Quantity quantity).ShouldBeTrue();
        quantity.Units.ShouldBe(units);
        if (thousandths != long.MaxValue)
            quantity.Thousandths.ShouldBe(thousandths);
    }

    [Theory]
    [InlineData("")]
    [InlineData(".")]
    [InlineData("m")]
    [InlineData("-1")]
    [InlineData("1 Gi")]
    [InlineData("1gi")]
    [InlineData("1GiB")]
    [InlineData("1e")]
    [InlineData("1e999")]
    [InlineData("9223372036854775808")]
    [InlineData("8Ei")]
    [InlineData("٣")]
    [InlineData(null)]
    public void What_is_no_quantity_is_refused(string? text) => Quantity.TryParse(text, out _).ShouldBeFalse();

    [Fact]
    public void Quantities_keep_their_order_and_print_what_they_parse()
    {
        Prop.ForAll(ArbMap.Default.ArbFor<NonNegativeInt>(), ArbMap.Default.ArbFor<NonNegativeInt>(), (a, b) =>
        {
            Quantity.TryParse($"{a.Get}m", out Quantity x).ShouldBeTrue();
            Quantity.TryParse($"{b.Get}m", out Quantity y).ShouldBeTrue();
            Quantity.TryParse(x.ToString(), out Quantity again).ShouldBeTrue();
            return x.CompareTo(y) == a.Get.CompareTo(b.Get) && again == x && x.Thousandths == a.Get;
        }).QuickCheckThrowOnFailure();
        Prop.ForAll(ArbMap.Default.ArbFor<string>(), text => Quantity.TryParse(text, out _) || true).Check(Config.QuickThrowOnFailure.WithMaxTest(Soak.Count(2000)));
    }

    [Theory]
    [InlineData("app=x", true)]
    [InlineData("app==x", true)]
    [InlineData("app!=x", false)]
    [InlineData("app", true)]
    [InlineData("!app", false)]
    [InlineData("!old", true)]
    [InlineData("app in (x, y)", true)]
    [InlineData("app in (y)", false)]
    [InlineData("app notin (y),tier=db", true)]
    [InlineData("missing notin (y)", true)]
    [InlineData("missing!=y", true)]
    [InlineData("missing=", false)]
    [InlineData("empty=", true)]
    [InlineData("example.com/a=b", true)]
    [InlineData("in in (in)", true)]
    [InlineData("", true)]
    [InlineData("  ", true)]
    public void A_label_selector_selects(string selector, bool expected)
    {
        Dictionary<string, string> labels = new() { ["app"] = "x", ["tier"] = "db", ["example.com/a"] = "b", ["empty"] = "", ["in"] = "in" };

        LabelSelector parsed = LabelSelector.Parse(selector);

        parsed.Matches(labels).ShouldBe(expected);
        LabelSelector.Parse(parsed.ToString()).ToString().ShouldBe(parsed.ToString());
    }

    [Theory]
    [InlineData("a===b")]
    [InlineData("a in b")]
    [InlineData("a in (b")]
    [InlineData("a,")]
    [InlineData(",a")]
    [InlineData("a>1")]
    [InlineData("a!b")]
    [InlineData("a b")]
    [InlineData("=b")]
    [InlineData("a=b c")]
    public void A_bad_label_selector_is_a_bad_request(string selector) =>
        Should.Throw<ResourceException>(() => LabelSelector.Parse(selector)).Reason.ShouldBe(ResourceErrorReason.BadRequest);

    [Fact]
    public void No_text_makes_a_selector_parser_do_anything_but_parse_or_refuse()
    {
        Gen<string> texts = Gen.Elements("a", "b.c/d", "=", "!", ",", " ", "in", "notin", "(", ")", ">", "\\", "é", "metadata.name", "spec.role")
            .ListOf().Select(list => string.Concat(list));
        Prop.ForAll(Arb.From(texts), text =>
        {
            try
            {
                LabelSelector parsed = LabelSelector.Parse(text);
                LabelSelector.Parse(parsed.ToString()).ToString().ShouldBe(parsed.ToString());
            }
            catch (ResourceException e) when (e.Reason == ResourceErrorReason.BadRequest)
            {
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Soak.Count(3000)));
    }

    /// <summary>RFC 7396, appendix A.</summary>
    [Theory]
    [InlineData("""{"a":"b"}""", """{"a":"c"}""", """{"a":"c"}""")]
    [InlineData("""{"a":"b"}""", """{"b":"c"}""", """{"a":"b","b":"c"}""")]
    [InlineData("""{"a":"b"}""", """{"a":null}""", """{}""")]
    [InlineData("""{"a":"b","b":"c"}""", """{"a":null}""", """{"b":"c"}""")]
    [InlineData("""{"a":["b"]}""", """{"a":"c"}""", """{"a":"c"}""")]
    [InlineData("""{"a":"c"}""", """{"a":["b"]}""", """{"a":["b"]}""")]
    [InlineData("""{"a":{"b":"c"}}""", """{"a":{"b":"d","c":null}}""", """{"a":{"b":"d"}}""")]
    [InlineData("""{"a":[{"b":"c"}]}""", """{"a":[1]}""", """{"a":[1]}""")]
    [InlineData("""["a","b"]""", """["c","d"]""", """["c","d"]""")]
    [InlineData("""{"a":"b"}""", """["c"]""", """["c"]""")]
    [InlineData("""{"a":"foo"}""", """null""", """null""")]
    [InlineData("""{"a":"foo"}""", "\"bar\"", "\"bar\"")]
    [InlineData("""{"e":null}""", """{"a":1}""", """{"e":null,"a":1}""")]
    [InlineData("""[1,2]""", """{"a":"b","c":null}""", """{"a":"b"}""")]
    [InlineData("""{}""", """{"a":{"bb":{"ccc":null}}}""", """{"a":{"bb":{}}}""")]
    public void A_merge_patch_does_what_the_rfc_shows(string target, string patch, string expected) =>
        MergePatch.Apply(Json(target), Json(patch)).GetRawText().ShouldBe(expected);

    [Fact]
    public void A_merge_patch_agrees_with_the_rfcs_pseudocode_and_is_idempotent()
    {
        Arbitrary<JsonNode?> values = Arb.From(Value(3));
        Prop.ForAll(values, values, (target, patch) =>
        {
            JsonElement once = MergePatch.Apply(Json(target), Json(patch));
            JsonElement expected = Json(Naive(target?.DeepClone(), patch?.DeepClone()));
            return JsonElement.DeepEquals(once, expected) && JsonElement.DeepEquals(MergePatch.Apply(once, Json(patch)), once);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Soak.Count(1000)));
    }

    private static JsonNode? Naive(JsonNode? target, JsonNode? patch)
    {
        if (patch is not JsonObject changes)
            return patch?.DeepClone();
        JsonObject result = target as JsonObject ?? [];
        foreach ((string name, JsonNode? value) in changes)
        {
            if (value is null)
                result.Remove(name);
            else
                result[name] = Naive(result[name]?.DeepClone(), value);
        }

        return result;
    }

    private static Gen<JsonNode?> Value(int depth)
    {
        Gen<JsonNode?> leaf = Gen.OneOf(
            Gen.Constant<JsonNode?>(null), Gen.Choose(0, 3).Select(n => (JsonNode?)JsonValue.Create(n)), Gen.Elements("x", "y").Select(s => (JsonNode?)JsonValue.Create(s)));
        if (depth == 0)
            return leaf;
        Gen<JsonNode?> members = Gen.Elements("a", "b", "c").SelectMany(name => Value(depth - 1).Select(value => (name, value))).ListOf()
            .Select(list => (JsonNode?)new JsonObject(list.DistinctBy(pair => pair.name).Select(pair => new KeyValuePair<string, JsonNode?>(pair.name, pair.value?.DeepClone()))));
        Gen<JsonNode?> items = Value(depth - 1).ListOf().Select(list => (JsonNode?)new JsonArray([.. list.Take(3).Select(item => item?.DeepClone())]));
        return Gen.OneOf(leaf, members, members, items);
    }

    private static JsonElement Json(string text) => JsonDocument.Parse(text).RootElement;

    private static JsonElement Json(JsonNode? node) => Json(node?.ToJsonString() ?? "null");
}
