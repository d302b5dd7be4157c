namespace Rynxs.Resources.Identity;

/// <summary>What a request wants to do to objects of a kind: the verbs of Kubernetes' authorization.</summary>
public enum ResourceVerb
{
    /// <summary>Read one.</summary>
    Get,

    /// <summary>Read many.</summary>
    List,

    /// <summary>Follow changes.</summary>
    Watch,

    /// <summary>Make one; with a subresource such as <c>token</c>, ask it for something.</summary>
    Create,

    /// <summary>Replace spec and metadata, or with a subresource that part.</summary>
    Update,

    /// <summary>Patch or apply spec and metadata, or with a subresource that part.</summary>
    Patch,

    /// <summary>Write the status: the same as <see cref="Update"/> with the subresource <c>status</c>.</summary>
    UpdateStatus,

    /// <summary>Remove one.</summary>
    Delete,

    /// <summary>Remove all that a selector finds.</summary>
    DeleteCollection,
}

/// <summary>The answer.</summary>
public enum Access
{
    /// <summary>Go on.</summary>
    Allowed,

    /// <summary>403: the principal may know that the object is there, and not do this to it.</summary>
    Forbidden,

    /// <summary>404: for this principal it does not exist.</summary>
    Invisible,
}
