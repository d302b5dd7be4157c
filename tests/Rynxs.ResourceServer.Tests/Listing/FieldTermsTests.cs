using FsCheck;
using FsCheck.Fluent;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Listing;
using Rynxs.ResourceServer.Objects;
using Rynxs.ResourceServer.Tests.Kit;

namespace Rynxs.ResourceServer.Tests.Listing;

/// <summary>Field selectors, the ones that are served.</summary>
public sealed class FieldTermsTests
{
    private static readonly RegisteredKind Pod = new(BuiltInKinds.All.Single(kind => kind is { Group: "", Plural: "pods" }), custom: false);
    private static readonly string[] Paths = ["metadata.name", "metadata.namespace", "status.phase", "spec.nodeName"];

    [Fact]
    public void G3_no_text_makes_the_parser_do_anything_but_parse_or_refuse()
    {
        Gen<string> texts = Gen.Elements("a", "=", "==", "!", "!=", ",", " ", "\\", "\\,", "é", "\0", "metadata.name", "status.phase", "spec.none")
            .ListOf().Select(list => string.Concat(list));
        int parsed = 0;
        Prop.ForAll(Arb.From(texts), text =>
        {
            try
            {
                parsed += FieldTerms.Parse(text, Pod).Count;
            }
            catch (ApiException e) when (e.Status.Code == 400)
            {
                // Refused: fine.
            }

            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Soak.Count(3000)));
        parsed.ShouldBeGreaterThan(0, "positive control: some of them are selectors");
    }

    [Fact]
    public void What_is_written_with_backslashes_is_read_as_it_was()
    {
        Gen<FieldTerm> term =
            from path in Gen.Elements(Paths)
            from value in Gen.Elements('a', ',', '=', '\\', '!', ' ', 'é').ListOf().Select(list => new string([.. list]))
            from equal in Gen.Elements(true, false)
            select new FieldTerm(path, null, value, equal);
        Prop.ForAll(Arb.From(term.NonEmptyListOf().Select(list => list.ToArray())), terms =>
        {
            string text = string.Join(',', terms.Select(one => one.Path + (one.Equal ? "=" : "!=") + Escape(one.Value)));
            FieldTerms.Parse(text, Pod).Select(one => (one.Path, one.Value, one.Equal)).ShouldBe(terms.Select(one => (one.Path, one.Value, one.Equal)), text);
            return true;
        }).Check(Config.QuickThrowOnFailure.WithMaxTest(Soak.Count(1000)));
    }

    [Theory]
    [InlineData("spec.none=x", "\"spec.none\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\"")]
    [InlineData("metadata.name", "invalid selector: 'metadata.name'; can't understand 'metadata.name'")]
    [InlineData("=x", "invalid selector: '=x'; can't understand '=x'")]
    public void A_selector_that_means_nothing_is_refused_in_the_words_of_the_real_server(string text, string expected) =>
        Should.Throw<ApiException>(() => FieldTerms.Parse(text, Pod)).Status.Message.ShouldBe(expected);

    private static string Escape(string value) => string.Concat(value.Select(c => c is ',' or '=' or '\\' ? $"\\{c}" : c.ToString()));
}
