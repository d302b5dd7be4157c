using System.Text.Json.Nodes;
using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Tests.Schemas;

/// <summary>The causes here were recorded from kube-apiserver 1.36.2 with the same schema and the same values.</summary>
public sealed class SchemaTests
{
    private const string Unchecked = "<nil>|FieldValueInvalid|Invalid value: null: some validation rules were not checked because the object was invalid; correct the existing errors to complete validation";

    private static readonly StructuralSchema Sink = StructuralSchema.FromOpenApi(Json("""
        {"type":"object","properties":{"spec":{"type":"object","properties":{
          "i32":{"type":"integer","format":"int32"},"i64":{"type":"integer","format":"int64"},
          "num":{"type":"number","minimum":1,"exclusiveMinimum":true,"maximum":5,"exclusiveMaximum":true},"mul":{"type":"number","multipleOf":0.5},
          "s":{"type":"string","minLength":2,"maxLength":4},"pat":{"type":"string","pattern":"^[0-9]+Gi$"},"dt":{"type":"string","format":"date-time"},
          "dur":{"type":"string","format":"duration"},"byte":{"type":"string","format":"byte"},
          "arr":{"type":"array","minItems":2,"maxItems":3,"items":{"type":"string","minLength":1}},
          "map":{"type":"object","minProperties":2,"maxProperties":3,"additionalProperties":{"type":"integer"}},
          "ios":{"x-kubernetes-int-or-string":true},"b":{"type":"boolean"},"o":{"type":"object","properties":{"x":{"type":"string"}},"required":["x"]},
          "any":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"},"c":{"type":"integer"}},"anyOf":[{"required":["a"]},{"required":["b"]}]},
          "one":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"oneOf":[{"required":["a"]},{"required":["b"]}]},
          "all":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"allOf":[{"required":["a"]},{"required":["b"]}]},
          "not":{"type":"object","properties":{"a":{"type":"integer"}},"not":{"required":["a"]}},
          "nul":{"type":"string","nullable":true},"ienum":{"type":"integer","enum":[1,2]},
          "emb":{"type":"object","x-kubernetes-embedded-resource":true,"x-kubernetes-preserve-unknown-fields":true},
          "tags":{"type":"array","items":{"type":"string"},"x-kubernetes-list-type":"set"},
          "mlist":{"type":"array","items":{"type":"object","properties":{"k":{"type":"string"},"j":{"type":"integer","default":3}},"required":["k","j"]},
                   "x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k","j"]},
          "cs":{"type":"string","maxLength":100,"x-kubernetes-validations":[{"rule":"self.startsWith('a')"},{"rule":"self != 'ab'","reason":"FieldValueRequired","message":"m1"},
                {"rule":"self != 'ac'","reason":"FieldValueDuplicate","message":"m2"},{"rule":"self != 'ad'","message":"m3"}]},
          "ci":{"type":"integer","x-kubernetes-validations":[{"rule":"self / 0 > 1"},{"rule":"self > 3"}]},
          "ca":{"type":"array","items":{"type":"string","x-kubernetes-validations":[{"rule":"self != 'x'"}]},"x-kubernetes-validations":[{"rule":"self.all(x, x.size() > 1)"}]},
          "cel":{"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"integer"}},"x-kubernetes-validations":[{"rule":"self.a<self.b"},
                 {"rule":"self.a != 7","message":"no seven","reason":"FieldValueForbidden","fieldPath":".a"},
                 {"rule":"self.b != 9","messageExpression":"self.b > 3 ? 'b is nine' : 'no'"}]}
        }}}}
        """));

    [Theory]
    [InlineData("""{"i32":3000000000}""", "<nil>|FieldValueInvalid|Invalid value: \"\": Checked value must be of type integer with format int32 in spec.i32")]
    [InlineData("""{"i32":true}""", "spec.i32|FieldValueTypeInvalid|Invalid value: \"\": spec.i32 in body must be of type int32: \"\"", Unchecked)]
    [InlineData("""{"i32":"x"}""", "spec.i32|FieldValueTypeInvalid|Invalid value: \"string\": spec.i32 in body must be of type integer: \"string\"", Unchecked)]
    [InlineData("""{"i32":1.0,"i64":1e3}""")]
    [InlineData("""{"i32":1.5}""", "spec.i32|FieldValueTypeInvalid|Invalid value: \"float64\": spec.i32 in body must be of type int32: \"float64\"",
        "<nil>|FieldValueInvalid|Invalid value: \"\": Checked value must be of type integer with format int32 in spec.i32", Unchecked)]
    [InlineData("""{"num":1}""", "spec.num|FieldValueInvalid|Invalid value: 1: spec.num in body should be greater than 1")]
    [InlineData("""{"num":5}""", "spec.num|FieldValueInvalid|Invalid value: 5: spec.num in body should be less than 5")]
    [InlineData("""{"mul":1.3}""", "spec.mul|FieldValueInvalid|Invalid value: 1.3: spec.mul in body should be a multiple of 0.5")]
    [InlineData("""{"s":"a"}""", "spec.s|FieldValueInvalid|Invalid value: \"a\": spec.s in body should be at least 2 chars long")]
    [InlineData("""{"s":"abcde"}""", "spec.s|FieldValueTooLong|Too long: may not be more than 4 bytes", Unchecked)]
    [InlineData("""{"s":"😀😀"}""")]
    [InlineData("""{"pat":"x"}""", "spec.pat|FieldValueInvalid|Invalid value: \"x\": spec.pat in body should match '^[0-9]+Gi$'")]
    [InlineData("""{"pat":"1Gi\n"}""", "spec.pat|FieldValueInvalid|Invalid value: \"1Gi\\n\": spec.pat in body should match '^[0-9]+Gi$'")]
    [InlineData("""{"dt":"x"}""", "spec.dt|FieldValueTypeInvalid|Invalid value: \"x\": spec.dt in body must be of type date-time: \"x\"", Unchecked)]
    [InlineData("""{"dt":5}""", "spec.dt|FieldValueTypeInvalid|Invalid value: \"int64\": spec.dt in body must be of type date-time: \"int64\"", Unchecked)]
    [InlineData("""{"dur":"3 days","byte":"aGk="}""")]
    [InlineData("""{"byte":"!!"}""", "spec.byte|FieldValueTypeInvalid|Invalid value: \"!!\": spec.byte in body must be of type byte: \"!!\"", Unchecked)]
    [InlineData("""{"arr":["a"]}""", "spec.arr|FieldValueInvalid|Invalid value: 1: spec.arr in body should have at least 2 items")]
    [InlineData("""{"arr":["a","","c","d"]}""", "spec.arr[1]|FieldValueInvalid|Invalid value: \"\": spec.arr[1] in body should be at least 1 chars long",
        "spec.arr|FieldValueTooMany|Too many: 4: must have at most 3 items", Unchecked)]
    [InlineData("""{"arr":[null,"b"]}""", "spec.arr[0]|FieldValueTypeInvalid|Invalid value: \"null\": spec.arr[0] in body must be of type string: \"null\"", Unchecked)]
    [InlineData("""{"map":{"a":1}}""", "spec.map|FieldValueInvalid|Invalid value: 1: spec.map in body should have at least 2 properties")]
    [InlineData("""{"map":{"a.b/c":"x","b":2}}""", "spec.map.a.b/c|FieldValueTypeInvalid|Invalid value: \"string\": spec.map.a.b/c in body must be of type integer: \"string\"", Unchecked)]
    [InlineData("""{"ios":true}""", "spec.ios|FieldValueTypeInvalid|Invalid value: \"boolean\": spec.ios in body must be of type integer,string: \"boolean\"", Unchecked)]
    [InlineData("""{"ios":"5%","b":true,"o":null,"nul":null}""")]
    [InlineData("""{"o":{}}""", "spec.o.x|FieldValueRequired|Required value", Unchecked)]
    [InlineData("""{"o":[]}""", "spec.o|FieldValueTypeInvalid|Invalid value: \"array\": spec.o in body must be of type object: \"array\"", Unchecked)]
    [InlineData("""{"any":{"c":1}}""", "<nil>|FieldValueInvalid|Invalid value: \"\": \"spec.any\" must validate at least one schema (anyOf)", "spec.any.a|FieldValueRequired|Required value", Unchecked)]
    [InlineData("""{"one":{}}""", "<nil>|FieldValueInvalid|Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found none valid", "spec.one.a|FieldValueRequired|Required value", Unchecked)]
    [InlineData("""{"one":{"a":1,"b":1}}""", "<nil>|FieldValueInvalid|Invalid value: \"\": \"spec.one\" must validate one and only one schema (oneOf). Found 2 valid alternatives")]
    [InlineData("""{"all":{}}""", "spec.all.a|FieldValueRequired|Required value", "spec.all.b|FieldValueRequired|Required value",
        "<nil>|FieldValueInvalid|Invalid value: \"\": \"spec.all\" must validate all the schemas (allOf). None validated", Unchecked)]
    [InlineData("""{"not":{"a":1}}""", "<nil>|FieldValueInvalid|Invalid value: \"\": \"spec.not\" must not validate the schema (not)")]
    [InlineData("""{"ienum":3}""", "spec.ienum|FieldValueNotSupported|Unsupported value: 3: supported values: \"1\", \"2\"", Unchecked)]
    [InlineData("""{"emb":{}}""", "spec.emb.apiVersion|FieldValueRequired|Required value", "spec.emb.kind|FieldValueRequired|Required value", Unchecked)]
    [InlineData("""{"tags":["a","a","a"]}""", "spec.tags[1]|FieldValueDuplicate|Duplicate value: \"a\"")]
    [InlineData("""{"mlist":[{"k":"a"},{"k":"a","j":3},{"j":4}]}""", "spec.mlist[2].k|FieldValueRequired|Required value",
        "spec.mlist[1]|FieldValueDuplicate|Duplicate value: {\"j\":3,\"k\":\"a\"}", Unchecked)]
    [InlineData("""{"cel":{"a":5,"b":5}}""", "spec.cel|FieldValueInvalid|Invalid value: failed rule: self.a<self.b")]
    [InlineData("""{"cel":{"a":7,"b":9}}""", "spec.cel.a|FieldValueForbidden|Forbidden: no seven", "spec.cel|FieldValueInvalid|Invalid value: b is nine")]
    [InlineData("""{"cel":{"a":1}}""", "spec.cel|FieldValueInvalid|Invalid value: \"object\": no such key: b evaluating rule: self.a<self.b",
        "spec.cel|FieldValueInvalid|Invalid value: \"object\": no such key: b evaluating rule: self.b != 9")]
    [InlineData("""{"cs":"b"}""", "spec.cs|FieldValueInvalid|Invalid value: \"b\": failed rule: self.startsWith('a')")]
    [InlineData("""{"cs":"ab"}""", "spec.cs|FieldValueRequired|Required value: m1")]
    [InlineData("""{"cs":"ac"}""", "spec.cs|FieldValueDuplicate|Duplicate value: \"ac\"")]
    [InlineData("""{"cs":"ad"}""", "spec.cs|FieldValueInvalid|Invalid value: \"ad\": m3")]
    [InlineData("""{"ci":1}""", "spec.ci|FieldValueInvalid|Invalid value: \"integer\": division by zero evaluating rule: self / 0 > 1", "spec.ci|FieldValueInvalid|Invalid value: 1: failed rule: self > 3")]
    [InlineData("""{"ca":["x","ab"]}""", "spec.ca|FieldValueInvalid|Invalid value: failed rule: self.all(x, x.size() > 1)", "spec.ca[0]|FieldValueInvalid|Invalid value: \"x\": failed rule: self != 'x'")]
    [InlineData("[]", "spec|FieldValueTypeInvalid|Invalid value: \"array\": spec in body must be of type object: \"array\"", Unchecked)]
    public void Causes_are_those_of_the_real_server(string spec, params string[] causes)
    {
        JsonObject document = new() { ["spec"] = JsonNode.Parse(spec) };
        SchemaDefaulter.Default(document, Sink);

        SchemaValidator.Validate(document, null, Sink).Select(cause => $"{cause.Field}|{cause.Reason}|{cause.Message}").Order(StringComparer.Ordinal)
            .ShouldBe(causes.Order(StringComparer.Ordinal));
    }

    [Fact]
    public void What_an_update_leaves_as_it_was_is_not_held_against_it()
    {
        JsonObject old = Json("""{"spec":{"s":"abcde","tags":["a","a"],"cs":"b","b":true}}""");
        JsonObject same = Json("""{"spec":{"s":"abcde","tags":["a","a"],"cs":"b","b":false}}""");
        JsonObject worse = Json("""{"spec":{"s":"abcdef","tags":["a","a"],"cs":"b","b":false}}""");

        SchemaValidator.Validate(same, old, Sink).ShouldBeEmpty();
        SchemaValidator.Validate(worse, old, Sink).Select(cause => cause.Field).ShouldBe(["spec.s", "<nil>"]);
    }

    [Fact]
    public void Transition_rules_run_where_there_was_something_before()
    {
        StructuralSchema schema = StructuralSchema.FromOpenApi(Json("""
            {"type":"object","properties":{
              "fixed":{"type":"string","x-kubernetes-validations":[{"rule":"self == oldSelf","message":"is immutable"}]},
              "once":{"type":"string","x-kubernetes-validations":[{"rule":"!oldSelf.hasValue() || oldSelf.value() == self","optionalOldSelf":true,"message":"written once"}]},
              "list":{"type":"array","x-kubernetes-list-type":"map","x-kubernetes-list-map-keys":["k"],"items":{"type":"object","properties":{"k":{"type":"string"},"v":{"type":"integer",
                "x-kubernetes-validations":[{"rule":"self >= oldSelf","message":"may only grow"}]}}}}}}
            """));
        JsonObject first = Json("""{"fixed":"a","once":"a","list":[{"k":"x","v":5},{"k":"y","v":1}]}""");

        SchemaValidator.Validate(first, null, schema).ShouldBeEmpty();
        SchemaValidator.Validate(first, new JsonObject(), schema).ShouldBeEmpty();
        SchemaValidator.Validate(Json("""{"fixed":"b","once":"b","list":[{"k":"y","v":2},{"k":"x","v":4}]}"""), first, schema)
            .Select(cause => $"{cause.Field}|{cause.Message}")
            .ShouldBe(["fixed|Invalid value: \"b\": is immutable", "once|Invalid value: \"b\": written once", "list[1].v|Invalid value: 4: may only grow"]);
    }

    [Fact]
    public void Pruning_drops_what_is_unknown_and_tells_where()
    {
        StructuralSchema schema = StructuralSchema.FromOpenApi(Json("""
            {"type":"object","properties":{
              "a":{"type":"object","properties":{"x":{"type":"string"}}},
              "l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"string"}}}},
              "m":{"type":"object","additionalProperties":{"type":"object","properties":{"x":{"type":"string"}}}},
              "free":{"type":"object","x-kubernetes-preserve-unknown-fields":true,"properties":{"known":{"type":"object","properties":{"x":{"type":"string"}}}}},
              "emb":{"type":"object","x-kubernetes-embedded-resource":true,"properties":{"spec":{"type":"string"}}}}}
            """));
        JsonObject document = Json("""
            {"a":{"x":"1","y":1},"l":[{"x":"1"},{"z":1}],"m":{"k":{"x":"1","w":1}},"free":{"any":{"thing":1},"known":{"q":1}},
             "emb":{"apiVersion":"v1","kind":"X","metadata":{"name":"n","foo":1},"spec":"s","other":1},"gone":1}
            """);

        SchemaPruner.Prune(document, schema).ShouldBe(["a.y", "emb.metadata.foo", "emb.other", "free.known.q", "gone", "l[1].z", "m.k.w"]);
        JsonNode.DeepEquals(document, Json("""
            {"a":{"x":"1"},"l":[{"x":"1"},{}],"m":{"k":{"x":"1"}},"free":{"any":{"thing":1},"known":{}},"emb":{"apiVersion":"v1","kind":"X","metadata":{"name":"n"},"spec":"s"}}
            """)).ShouldBeTrue(document.ToJsonString());
    }

    [Fact]
    public void Defaults_fill_what_is_absent_and_nulls_that_are_not_allowed()
    {
        StructuralSchema schema = StructuralSchema.FromOpenApi(Json("""
            {"type":"object","properties":{
              "a":{"type":"string","default":"A"},"n":{"type":"string","nullable":true,"default":"N"},"plain":{"type":"string"},
              "o":{"type":"object","default":{},"properties":{"x":{"type":"integer","default":5}}},
              "l":{"type":"array","items":{"type":"object","properties":{"x":{"type":"integer","default":7}}}},
              "m":{"type":"object","additionalProperties":{"type":"object","properties":{"x":{"type":"integer","default":8}}}}}}
            """));
        JsonObject document = Json("""{"a":null,"n":null,"plain":null,"l":[{}],"m":{"k":{},"gone":null}}""");

        SchemaDefaulter.Default(document, schema);

        JsonNode.DeepEquals(document, Json("""{"a":"A","n":null,"o":{"x":5},"l":[{"x":7}],"m":{"k":{"x":8}}}""")).ShouldBeTrue(document.ToJsonString());
    }

    [Fact]
    public void Pruning_and_defaulting_twice_is_once_and_nothing_breaks_the_validator() =>
        Prop.ForAll(Documents().ToArbitrary(), document =>
        {
            JsonObject once = (JsonObject)document.DeepClone();
            SchemaPruner.Prune(once, Sink);
            SchemaDefaulter.Default(once, Sink);
            JsonObject twice = (JsonObject)once.DeepClone();
            bool nothing = SchemaPruner.Prune(twice, Sink).Count == 0;
            SchemaDefaulter.Default(twice, Sink);
            SchemaValidator.Validate(twice, document, Sink);
            return nothing && JsonNode.DeepEquals(once, twice);
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(500));

    [Theory]
    [InlineData("^a$", "a\n", false)]
    [InlineData("^\\d+$", "٣", false)]
    [InlineData("^\\w+$", "é", false)]
    [InlineData("^[\\w.]+$", "a.b", true)]
    [InlineData("^[[:alpha:]_]+$", "ab_", true)]
    [InlineData("(?P<x>a)", "a", true)]
    [InlineData("^[]a]+$", "]a", true)]
    [InlineData("^[a-c-[b]]$", "b]", true)]
    [InlineData("(?m)^b$", "a\nb\nc", true)]
    [InlineData("\\$$", "a$", true)]
    public void Patterns_mean_what_they_mean_in_RE2(string pattern, string text, bool matches)
    {
        Re2Pattern.TryGet(pattern, out System.Text.RegularExpressions.Regex? regex, out string? problem).ShouldBeTrue(problem);
        regex!.IsMatch(text).ShouldBe(matches); // TryGet said that it is there.
    }

    private static Gen<JsonObject> Documents()
    {
        string[] names = [.. Sink.Properties["spec"].Properties.Keys, "unknown", "x", "k", "a"];
        Gen<JsonNode?> value = Gen.Sized(size => Value(Math.Min(size, 4), names));
        return from pairs in Gen.ListOf(Gen.Zip(Gen.Elements(names), value))
               select new JsonObject { ["spec"] = new JsonObject(pairs.DistinctBy(pair => pair.Item1).Select(pair => KeyValuePair.Create(pair.Item1, pair.Item2?.DeepClone()))) };
    }

    private static Gen<JsonNode?> Value(int depth, string[] names)
    {
        Gen<JsonNode?> leaf = Gen.OneOf(
            Gen.Constant<JsonNode?>(null),
            ArbMap.Default.GeneratorFor<long>().Select(number => (JsonNode?)JsonValue.Create(number)),
            ArbMap.Default.GeneratorFor<bool>().Select(flag => (JsonNode?)JsonValue.Create(flag)),
            Gen.Elements("", "a", "ab", "2026-01-01T00:00:00Z", "1Gi").Select(text => (JsonNode?)JsonValue.Create(text)));
        if (depth == 0)
            return leaf;
        Gen<JsonNode?> inner = Value(depth - 1, names);
        return Gen.OneOf(
            leaf,
            Gen.ListOf(inner, 3).Select(items => (JsonNode?)new JsonArray([.. items.Select(item => item?.DeepClone())])),
            Gen.ListOf(Gen.Zip(Gen.Elements(names), inner), 3)
                .Select(pairs => (JsonNode?)new JsonObject(pairs.DistinctBy(pair => pair.Item1).Select(pair => KeyValuePair.Create(pair.Item1, pair.Item2?.DeepClone())))));
    }

    private static JsonObject Json(string text) => (JsonObject)JsonNode.Parse(text)!; // Constants of this file.
}
