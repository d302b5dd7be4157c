using Rynxs.Resources.Meta;

namespace Rynxs.Resources.Identity;

/// <summary>
/// Who may do what to which kind, by one table (docs/operations/identity.md shows it). Two rules come before it: a principal that is bound to namespaces
/// sees nothing outside of them, cluster-scoped objects included; and what it may not see answers 404, so that a refusal tells nothing about what exists.
/// </summary>
public static class AccessRules
{
    private const string UniverseGroup = "universe.ai";

    private static readonly ResourceVerb[] ListedVerbs =
    [
        ResourceVerb.Get, ResourceVerb.List, ResourceVerb.Watch, ResourceVerb.Create,
        ResourceVerb.Update, ResourceVerb.Patch, ResourceVerb.Delete, ResourceVerb.DeleteCollection,
    ];

    /// <summary>Decides about one kind in one namespace.</summary>
    /// <param name="principal">Who asks.</param>
    /// <param name="verb">What for.</param>
    /// <param name="group">API group; empty for the core group.</param>
    /// <param name="plural">Such as <c>agents</c>.</param>
    /// <param name="subresource">Such as <c>status</c>, <c>scale</c> or <c>token</c>; null for the object itself. One that is not known here is an administrator's.</param>
    /// <param name="namespaced">Whether the kind's objects live in namespaces.</param>
    /// <param name="resourceNamespace">
    /// The namespace; empty for cluster-scoped kinds. For the kind Namespace itself it is the object's own name, as in Kubernetes, and empty for its collection.
    /// Lists and watches over all namespaces are <see cref="DecideEverywhere(Principal, string, string, bool)"/>'s.
    /// </param>
    public static Access Decide(
        Principal principal, ResourceVerb verb, string group, string plural, string? subresource, bool namespaced, string resourceNamespace)
    {
        if (IsOwnQuestion(group, plural))
            return verb == ResourceVerb.Create && subresource is null && Has(AccessTable.Of(group, plural).Write, principal) ? Access.Allowed : Access.Forbidden;

        bool isNamespace = group.Length == 0 && plural == "namespaces";
        if (isNamespace && resourceNamespace.Length == 0 && verb is ResourceVerb.List or ResourceVerb.Watch)
            return DecideEverywhere(principal, group, plural, namespaced);

        bool visible = namespaced || isNamespace ? principal.CanSee(resourceNamespace) : principal.Namespaces is null;
        if (!visible)
            return Access.Invisible;

        Grant grant = AccessTable.Of(group, plural);
        if (verb == ResourceVerb.UpdateStatus)
            (verb, subresource) = (ResourceVerb.Update, "status");

        bool reads = Has(grant.Read, principal);
        Roles writers = subresource switch
        {
            null or "scale" => grant.Write,
            "status" => grant.Status,
            _ => grant.Write & Roles.Admin,
        };

        // An administrator of one namespace neither makes nor removes namespaces, its own included.
        if (isNamespace && principal.Namespaces is not null)
            writers = Roles.None;

        return verb switch
        {
            ResourceVerb.Get => !reads ? Access.Invisible : subresource is null or "status" or "scale" || Has(writers, principal) ? Access.Allowed : Access.Forbidden,
            ResourceVerb.List or ResourceVerb.Watch => reads && subresource is null ? Access.Allowed : Access.Forbidden,
            ResourceVerb.Create when subresource is null => Has(writers, principal) ? Access.Allowed : Access.Forbidden,
            ResourceVerb.DeleteCollection => reads && Has(writers, principal) ? Access.Allowed : Access.Forbidden,
            ResourceVerb.Create or ResourceVerb.Update or ResourceVerb.Patch or ResourceVerb.Delete =>
                !reads ? Access.Invisible : Has(writers, principal) ? Access.Allowed : Access.Forbidden,
            _ => Access.Forbidden,
        };
    }

    /// <summary>
    /// Decides about a list or watch over all namespaces, whose result is then cut to the namespaces that <see cref="Principal.CanSee"/> tells. For the kind
    /// Namespace it is the list itself, cut by the objects' names.
    /// </summary>
    public static Access DecideEverywhere(Principal principal, string group, string plural, bool namespaced)
    {
        bool cut = namespaced || (group.Length == 0 && plural == "namespaces");
        return (cut || principal.Namespaces is null) && Has(AccessTable.Of(group, plural).Read, principal) ? Access.Allowed : Access.Forbidden;
    }

    /// <summary>What a principal may do in a namespace, kind by kind, for people to read (<c>kubectl auth can-i --list</c>); <see cref="Decide(Principal, ResourceVerb, string, string, string?, bool, string)"/> decides.</summary>
    public static IEnumerable<AccessRule> Rules(Principal principal, string resourceNamespace)
    {
        foreach ((string group, string plural) in AccessTable.NamedKinds.Concat(AccessTable.NamedGroups.Select(group => (group, AccessRule.All))))
        {
            Grant grant = AccessTable.Of(group, plural);
            string where = grant.InNamespaces ? resourceNamespace : group.Length == 0 && plural == "namespaces" ? resourceNamespace : "";
            ResourceVerb[] verbs = [.. ListedVerbs.Where(verb => Decide(principal, verb, group, plural, null, grant.InNamespaces, where) == Access.Allowed)];
            if (verbs.Length > 0)
                yield return new AccessRule(group, plural, verbs);
            if (Decide(principal, ResourceVerb.Update, group, plural, "status", grant.InNamespaces, where) == Access.Allowed)
                yield return new AccessRule(group, plural + "/status", [ResourceVerb.Update, ResourceVerb.Patch]);
        }
    }

    /// <summary>Whether a kind lives in namespaces, as far as the table tells; kinds that it does not name are taken for namespaced.</summary>
    public static bool LivesInNamespaces(string group, string plural) => AccessTable.Of(group, plural).InNamespaces;

    /// <summary>Decides for one namespace; empty for cluster-scoped kinds.</summary>
    public static Access Decide(Principal principal, ResourceVerb verb, ResourceType type, string resourceNamespace) =>
        Decide(principal, verb, UniverseGroup, type.Plural, subresource: null, type.Namespaced, resourceNamespace);

    /// <summary>Decides for a list or watch over all namespaces, whose result is then cut to what the principal may see.</summary>
    public static Access DecideEverywhere(Principal principal, ResourceType type) =>
        DecideEverywhere(principal, UniverseGroup, type.Plural, type.Namespaced);

    /// <summary>Reviews are questions and not objects: nothing of them is stored, so namespaces do not bind who may ask about itself.</summary>
    private static bool IsOwnQuestion(string group, string plural) => group switch
    {
        "authentication.k8s.io" => plural == "selfsubjectreviews",
        "authorization.k8s.io" => plural is "selfsubjectaccessreviews" or "selfsubjectrulesreviews",
        _ => false,
    };

    private static bool Has(Roles roles, Principal principal) => (roles & AccessTable.Bits(principal.Roles)) != Roles.None;
}

/// <summary>Some verbs on a kind.</summary>
/// <param name="Group">API group; empty for core.</param>
/// <param name="Plural">The kind, with <c>/status</c> for its status, or <see cref="All"/> for every kind of the group.</param>
/// <param name="Verbs">What is allowed.</param>
public sealed record AccessRule(string Group, string Plural, IReadOnlyList<ResourceVerb> Verbs)
{
    /// <summary>Every kind of a group.</summary>
    public const string All = "*";
}
