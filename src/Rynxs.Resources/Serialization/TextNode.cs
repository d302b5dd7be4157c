namespace Rynxs.Resources.Serialization;

/// <summary>A parsed value of YAML or JSON that still knows where it stood.</summary>
/// <param name="Kind">What it is.</param>
/// <param name="Text">String content, the literal of a number, <c>true</c> or <c>false</c>.</param>
/// <param name="Line">From 1.</param>
/// <param name="Column">From 1.</param>
internal sealed record TextNode(TextNodeKind Kind, string Text, int Line, int Column)
{
    /// <summary>Of a mapping, in order, keys unique.</summary>
    public List<KeyValuePair<string, TextNode>> Members { get; } = [];

    /// <summary>Of a sequence.</summary>
    public List<TextNode> Items { get; } = [];

    /// <summary>Why a plain YAML scalar is not a string, for the error where a string is due; null otherwise.</summary>
    public string? Hint { get; init; }

    /// <summary>The member, or null.</summary>
    public TextNode? Find(string key)
    {
        foreach (KeyValuePair<string, TextNode> member in Members)
        {
            if (member.Key == key)
                return member.Value;
        }

        return null;
    }
}

internal enum TextNodeKind
{
    Null,
    Boolean,
    Number,
    String,
    Sequence,
    Mapping,
}
