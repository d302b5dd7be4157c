using Rynxs.Resources.Meta;

namespace Rynxs.ResourceServer.Storage;

/// <summary>What a request makes of an object.</summary>
internal abstract record ObjectChange
{
    private ObjectChange()
    {
    }

    /// <summary>Nothing: no version, no record, no event.</summary>
    public sealed record Keep(Resource Current) : ObjectChange;

    /// <summary>A new or changed object.</summary>
    public sealed record Put(Resource Next) : ObjectChange;

    /// <summary>Gone, with its last content.</summary>
    public sealed record Remove(Resource Last) : ObjectChange;
}
