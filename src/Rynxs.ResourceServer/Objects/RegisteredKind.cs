using System.Text.Json.Nodes;
using Rynxs.ResourceServer.Kinds;
using Rynxs.ResourceServer.Schemas;
using Rynxs.ResourceServer.Storage;

namespace Rynxs.ResourceServer.Objects;

/// <summary>A kind that is served, with what is worked out once.</summary>
internal sealed class RegisteredKind
{
    public RegisteredKind(ServedKind kind, bool custom)
    {
        Kind = kind;
        Custom = custom;
        Key = new KindKey(kind.Group, kind.Plural);
        Head = DocumentText.Head(kind.ApiVersion, kind.Kind);
    }

    public ServedKind Kind { get; }

    /// <summary>Answers as a custom resource does: kinds of CustomResourceDefinitions, and our own, which are such on a cluster.</summary>
    public bool Custom { get; }

    public KindKey Key { get; }

    /// <summary>First bytes of its documents, see <see cref="DocumentText.HeadLength"/>.</summary>
    public byte[] Head { get; }

    /// <summary>The kind that the server itself gives a meaning: what holds the objects of others.</summary>
    public bool IsNamespace => Key == new KindKey("", "namespaces");

    /// <summary>An update may leave its version out. Those of Kubernetes that may not are few.</summary>
    public bool UnconditionalUpdate => !Custom && (Kind.Group, Kind.Plural) is not
        (("coordination.k8s.io", "leases") or ("apiextensions.k8s.io", "customresourcedefinitions") or ("policy", "poddisruptionbudgets") or ("node.k8s.io", "runtimeclasses"));

    /// <summary>A deletion answers with the object and not with a Status.</summary>
    public bool ReturnsDeleted => (Kind.Group, Kind.Plural) is
        ("", "pods" or "services" or "serviceaccounts" or "persistentvolumes" or "persistentvolumeclaims" or "podtemplates" or "resourcequotas" or "namespaces");

    /// <summary>The document as this version of the kind: stored bytes as they are, or with another head and without what this version does not know.</summary>
    public byte[] Present(byte[] body)
    {
        if (body.AsSpan().StartsWith(Head))
            return body;
        if (Custom)
        {
            JsonObject document = DocumentText.Parse(body);
            Convert(document);
            DocumentTemplate converted = DocumentText.Serialize(document);
            return long.TryParse(ObjectPipeline.Text(ObjectPipeline.Metadata(document), "resourceVersion"), System.Globalization.CultureInfo.InvariantCulture, out long version)
                ? converted.WithVersion(version)
                : converted.WithoutVersion();
        }

        int head = DocumentText.HeadLength(body);
        byte[] result = new byte[Head.Length + body.Length - head];
        Head.CopyTo(result, 0);
        body.AsSpan(head).CopyTo(result.AsSpan(Head.Length));
        return result;
    }

    /// <summary>Makes a document of another version one of this version: conversion by the strategy None. Mutates.</summary>
    public void Convert(JsonObject document)
    {
        bool same = ObjectPipeline.Text(document, "apiVersion") == Kind.ApiVersion;
        document["apiVersion"] = Kind.ApiVersion;
        if (!same && Custom)
            SchemaPruner.Prune(document, Kind.Schema);
    }

    public override string ToString() => Kind.ToString();
}
