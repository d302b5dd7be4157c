using System.Text;
using Rynxs.Resources.Client;
using Rynxs.Resources.Meta;
using Rynxs.Resources.Serialization;
using Rynxs.Resources.Validation;

namespace Rynxs.Resources.Manifests;

/// <summary>Reads manifests: YAML documents or JSON, untrusted, into resources with defaults, or into every error.</summary>
public static class ManifestReader
{
    /// <summary>
    /// Reads a stream of documents: YAML with <c>---</c>, one JSON object, or a <c>List</c> of objects in either form. Empty documents are skipped.
    /// Never throws for bad content.
    /// </summary>
    /// <param name="utf8">The text; a byte order mark is allowed.</param>
    /// <param name="limits">Bounds; null for the defaults.</param>
    /// <param name="defaultNamespace">For namespaced kinds that name none.</param>
    public static ManifestResult Read(ReadOnlyMemory<byte> utf8, ManifestLimits? limits = null, string defaultNamespace = "rynxs")
    {
        Reading reading = new(limits ?? new ManifestLimits(), defaultNamespace, IgnoreUnknown: false);
        reading.Run(utf8.Span);
        return new ManifestResult(reading.Errors.Count == 0 ? reading.Resources : [], reading.Errors);
    }

    /// <summary>Reads one object of a known kind, as a request body; the namespace must be there or <paramref name="defaultNamespace"/> given.</summary>
    /// <exception cref="ResourceException"><c>BadRequest</c>: not YAML or JSON; <c>Invalid</c> with every cause; <c>TooLarge</c>.</exception>
    public static Resource ReadOne(
        ReadOnlyMemory<byte> utf8, ResourceType type, string defaultNamespace, ManifestLimits? limits = null, bool ignoreUnknown = false)
    {
        limits ??= new ManifestLimits();
        if (utf8.Length > limits.MaxDocumentBytes)
            throw new ResourceException(ResourceErrorReason.TooLarge, $"the object is {utf8.Length} bytes, at most {limits.MaxDocumentBytes} are allowed");

        Reading reading = new(limits, defaultNamespace, ignoreUnknown) { Due = type };
        reading.Run(utf8.Span);
        if (reading.SyntaxFailed)
        {
            ManifestError first = reading.Errors[0];
            throw new ResourceException(ResourceErrorReason.BadRequest, $"line {first.Line}, column {first.Column}: {first.Error.Message}", [first.Error]);
        }

        if (reading.Errors.Count > 0)
            throw ResourceErrors.Invalid(type, reading.NameOfFirst, [.. reading.Errors.Select(error => error.Error)]);
        if (reading.Resources.Count != 1)
            throw new ResourceException(ResourceErrorReason.BadRequest, $"one {type.Kind} is due, the body holds {reading.Resources.Count} objects");
        return reading.Resources[0];
    }

    private sealed record Reading(ManifestLimits Limits, string DefaultNamespace, bool IgnoreUnknown)
    {
        public List<Resource> Resources { get; } = [];

        public List<ManifestError> Errors { get; } = [];

        public bool SyntaxFailed { get; private set; }

        public string NameOfFirst { get; private set; } = "";

        public ResourceType? Due { get; init; }

        public void Run(ReadOnlySpan<byte> utf8)
        {
            int document = 0;
            try
            {
                if (utf8.Length > Limits.MaxStreamBytes)
                    throw new TextSyntaxException("", FieldErrorCodes.TooLong, $"the text is {utf8.Length} bytes, at most {Limits.MaxStreamBytes} are allowed", 0, 0);
                if (utf8.StartsWith("\uFEFF"u8))
                    utf8 = utf8[3..];
                JsonText.RequireUtf8(utf8);
                if (TryJson(utf8, out TextNode? json))
                {
                    Take(json, 0);
                }
                else
                {
                    YamlText yaml = new(Encoding.UTF8.GetString(utf8), Limits);
                    try
                    {
                        foreach (TextNode root in yaml.Documents())
                            Take(root, yaml.Document);
                    }
                    finally
                    {
                        document = yaml.Document;
                    }
                }

                if (Resources.Count == 0 && Errors.Count == 0)
                    throw new TextSyntaxException("", FieldErrorCodes.Required, "no objects in the text", 0, 0);
            }
            catch (TextSyntaxException e)
            {
                SyntaxFailed = true;
                Errors.Add(new ManifestError(document, e.Line, e.Column, e.Error));
            }
        }

        /// <summary>
        /// Text that begins like a JSON object is JSON; when it is not, it may still be YAML in flow style, and the YAML reader has the last word.
        /// Bounds and duplicate keys fail at once.
        /// </summary>
        private bool TryJson(ReadOnlySpan<byte> utf8, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out TextNode? root)
        {
            root = null;
            int first = utf8.IndexOfAnyExcept(" \t\r\n"u8);
            if (first < 0 || utf8[first] != (byte)'{')
                return false;
            if (utf8.Length > Limits.MaxDocumentBytes)
                throw new TextSyntaxException("", FieldErrorCodes.TooLong, $"the document is {utf8.Length} bytes, at most {Limits.MaxDocumentBytes} are allowed", 1, 1);

            try
            {
                root = JsonText.Parse(utf8, Limits);
                return true;
            }
            catch (TextSyntaxException e) when (e.Error.Code == FieldErrorCodes.Invalid && MayBeFlowYaml(utf8[(first + 1)..]))
            {
                return false;
            }
        }

        /// <summary>JSON's first key is in quotation marks; a flow mapping's mostly is not. Broken JSON then gets JSON's own message.</summary>
        private static bool MayBeFlowYaml(ReadOnlySpan<byte> afterBrace)
        {
            int next = afterBrace.IndexOfAnyExcept(" \t\r\n"u8);
            return next >= 0 && afterBrace[next] is not ((byte)'"' or (byte)'}');
        }

        private void Take(TextNode root, int document)
        {
            if (root.Kind == TextNodeKind.Null)
                return;
            if (root.Kind != TextNodeKind.Mapping)
            {
                Errors.Add(new ManifestError(document, root.Line, root.Column, new FieldError("", FieldErrorCodes.TypeInvalid, "an object with apiVersion and kind is due")));
                return;
            }

            if (Due is null && root.Find("kind") is { Text: "List" } && root.Find("items") is { Kind: TextNodeKind.Sequence } items)
            {
                for (int i = 0; i < items.Items.Count; i++)
                    TakeObject(items.Items[i], document, $"items[{i}].");
                return;
            }

            TakeObject(root, document, "");
        }

        private void TakeObject(TextNode node, int document, string prefix)
        {
            NameOfFirst = NameOfFirst.Length > 0 ? NameOfFirst : node.Find("metadata")?.Find("name")?.Text ?? "";
            if (!TryKind(node, document, prefix, out ResourceType? type))
                return;

            DocumentBinder binder = new(IgnoreUnknown);
            Resource resource = ResourceJson.FromComplete(binder.Bind(node, type.ClrType), type);
            if (type.Namespaced && resource.Metadata.Namespace.Length == 0)
                resource = resource with { Metadata = resource.Metadata with { Namespace = DefaultNamespace } };
            resource = ResourceValidation.Default(resource);
            ResourceValidation.Validate(resource, binder.Add);
            Errors.AddRange(binder.Errors.Select(error =>
                new ManifestError(document, error.Line, error.Column, error.Error with { Field = prefix + error.Error.Field })));
            Resources.Add(resource);
        }

        private bool TryKind(TextNode node, int document, string prefix, [System.Diagnostics.CodeAnalysis.NotNullWhen(true)] out ResourceType? type)
        {
            type = null;
            TextNode? version = node.Find("apiVersion");
            TextNode? kind = node.Find("kind");
            string[] kinds = Due is null ? [.. ResourceTypes.All.Select(known => known.Kind)] : [Due.Kind];
            if (kind is not { Kind: TextNodeKind.String })
                Refuse("kind", kind, FieldErrorCodes.Required, $"Required value: one of {string.Join(", ", kinds)}");
            else if (!kinds.Contains(kind.Text) || !ResourceTypes.TryFindKind(kind.Text, out type))
                Refuse("kind", kind, FieldErrorCodes.NotSupported, $"Unsupported value: {BadValue.Quote(kind.Text)}: supported values: {string.Join(", ", kinds)}{Suggestion.For(kind.Text, kinds)}");

            // With a kind in hand the object's own rules judge the version's text; without one nobody else does.
            if (version is null or { Kind: TextNodeKind.Null })
                Refuse("apiVersion", version, FieldErrorCodes.Required, $"Required value: {Resource.GroupVersion}");
            else if (type is null && version.Text != Resource.GroupVersion)
                Refuse("apiVersion", version, FieldErrorCodes.NotSupported, $"Unsupported value: {BadValue.Quote(version.Text)}: supported values: \"{Resource.GroupVersion}\"");
            return type is not null;

            void Refuse(string field, TextNode? at, string code, string message) =>
                Errors.Add(new ManifestError(document, (at ?? node).Line, (at ?? node).Column, new FieldError(prefix + field, code, message)));
        }
    }
}

/// <summary>Bounds, checked before memory is taken.</summary>
public sealed record ManifestLimits
{
    /// <summary>Bytes of one document, default 1 MiB.</summary>
    public int MaxDocumentBytes { get; init; } = 3 * 1024 * 1024;

    /// <summary>Bytes of all documents, default 4 MiB.</summary>
    public int MaxStreamBytes { get; init; } = 4 * 1024 * 1024;

    /// <summary>Nesting, default 64.</summary>
    public int MaxDepth { get; init; } = 64;

    /// <summary>Mappings, sequences and scalars of one document, default 50000.</summary>
    public int MaxNodes { get; init; } = 50_000;

    /// <summary>Documents in a stream, default 1000.</summary>
    public int MaxDocuments { get; init; } = 1000;
}

/// <summary>What was read. Nothing is in <see cref="Resources"/> when there are errors: a stream is applied whole or not at all.</summary>
public sealed record ManifestResult(IReadOnlyList<Resource> Resources, IReadOnlyList<ManifestError> Errors);

/// <summary>One error and where it is.</summary>
/// <param name="Document">Document in the stream, from 0.</param>
/// <param name="Line">From 1; 0 when it belongs to no line.</param>
/// <param name="Column">From 1, in characters; 0 when it belongs to no line.</param>
/// <param name="Error">What is wrong. <see cref="FieldError.Field"/> is empty for errors of the whole document.</param>
public sealed record ManifestError(int Document, int Line, int Column, FieldError Error)
{
    /// <inheritdoc/>
    public override string ToString() =>
        $"document {Document + 1}{(Line > 0 ? $", line {Line}, column {Column}" : "")}: {(Error.Field.Length > 0 ? Error.Field + ": " : "")}{Error.Message}";
}
