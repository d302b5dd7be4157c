using System.Collections.Frozen;
using System.Diagnostics;
using System.Globalization;

namespace Rynxs.ResourceServer.Protobuf;

/// <summary>What the bytes of a field hold.</summary>
internal enum FieldForm
{
    Text,
    Integer,
    Boolean,
    Number,
    Bytes,
    Message,

    /// <summary>A list of texts that is a message of its own (<c>ExtraValue</c>).</summary>
    TextList,
    Time,
    MicroTime,
    Quantity,
    IntOrString,
    Duration,

    /// <summary>JSON text inside a message: <c>RawExtension</c>.</summary>
    RawJson,
}

/// <summary>One field of a message of Kubernetes.</summary>
/// <param name="Name">In JSON.</param>
/// <param name="Form">Of the value, of each item, or of each value of a map.</param>
/// <param name="Message">For <see cref="FieldForm.Message"/>.</param>
/// <param name="Repeated">A list.</param>
/// <param name="Map">A map from text.</param>
/// <param name="Inline">Its fields stand in the object around it.</param>
/// <param name="KeepsZero">Whether empty, zero and false say something: what is not a pointer and may be left out in JSON is always on the wire.</param>
internal sealed record FieldNumber(string Name, FieldForm Form, string? Message, bool Repeated, bool Map, bool Inline, bool KeepsZero);

/// <summary>
/// Field numbers, names and forms of the messages of Kubernetes 1.36's built-in kinds, from the file <c>fields.txt</c>: one message a line,
/// <c>PACKAGE.NAME|NUMBER NAME FORM|…</c>. FORM is a letter (s text, i integer, b boolean, d number, y bytes, T time, M micro time, Q quantity, I int or string,
/// D duration, R and F raw JSON, X list of texts) or <c>@PACKAGE.NAME</c>, after <c>[</c> for lists, <c>{</c> for maps, <c>*</c> for pointers and <c>^</c> for inlined
/// messages; <c>!</c> after it marks fields that JSON never leaves out.
/// </summary>
internal static class FieldNumbers
{
    private static readonly Dictionary<string, string> Packages = new()
    {
        ["v1"] = "core",
        ["apps/v1"] = "apps",
        ["batch/v1"] = "batch",
        ["rbac.authorization.k8s.io/v1"] = "rbac",
        ["networking.k8s.io/v1"] = "networking",
        ["policy/v1"] = "policy",
        ["autoscaling/v1"] = "autoscaling1",
        ["autoscaling/v2"] = "autoscaling2",
        ["coordination.k8s.io/v1"] = "coordination",
        ["storage.k8s.io/v1"] = "storage",
        ["scheduling.k8s.io/v1"] = "scheduling",
        ["node.k8s.io/v1"] = "node",
        ["authentication.k8s.io/v1"] = "authentication",
        ["authorization.k8s.io/v1"] = "authorization",
        ["events.k8s.io/v1"] = "events",
        ["discovery.k8s.io/v1"] = "discovery",
    };

    // Read when the first client sends such a body: most never do.
    private static readonly Lazy<FrozenDictionary<string, FrozenDictionary<int, FieldNumber>>> Messages = new(Read);

    /// <summary>The message of a kind; null when it is none of ours.</summary>
    public static string? MessageOf(string apiVersion, string kind)
    {
        // Options of a deletion belong to every group.
        string? name = kind == "DeleteOptions" ? "meta.DeleteOptions" : Packages.TryGetValue(apiVersion, out string? package) ? $"{package}.{kind}" : null;
        return name is not null && Messages.Value.ContainsKey(name) ? name : null;
    }

    public static FrozenDictionary<int, FieldNumber> Of(string message) => Messages.Value[message];

    private static FrozenDictionary<string, FrozenDictionary<int, FieldNumber>> Read()
    {
        using Stream stream = typeof(FieldNumbers).Assembly.GetManifestResourceStream("protobuf/fields.txt")
            ?? throw new UnreachableException("The table is part of this assembly.");
        using StreamReader reader = new(stream);
        Dictionary<string, FrozenDictionary<int, FieldNumber>> messages = [];
        while (reader.ReadLine() is { } line)
        {
            string[] parts = line.Split('|');
            messages.Add(parts[0], parts[1..].Select(Parse).ToFrozenDictionary(field => field.Number, field => field.Field));
        }

        return messages.ToFrozenDictionary();
    }

    private static (int Number, FieldNumber Field) Parse(string text)
    {
        string[] parts = text.Split(' ');
        string form = parts[2];
        bool always = form.EndsWith('!'), pointer = form.StartsWith('*'), inline = form.StartsWith('^');
        form = form.TrimEnd('!').TrimStart('*', '^');
        bool repeated = form.StartsWith('['), map = form.StartsWith('{');
        form = form.TrimStart('[', '{');
        string? message = form.StartsWith('@') ? form[1..] : null;
        return (int.Parse(parts[0], CultureInfo.InvariantCulture), new FieldNumber(parts[1], Form(form[0]), message, repeated, map, inline, always || pointer || repeated || map));
    }

    private static FieldForm Form(char letter) => letter switch
    {
        's' => FieldForm.Text,
        'i' => FieldForm.Integer,
        'b' => FieldForm.Boolean,
        'd' => FieldForm.Number,
        'y' => FieldForm.Bytes,
        '@' => FieldForm.Message,
        'X' => FieldForm.TextList,
        'T' => FieldForm.Time,
        'M' => FieldForm.MicroTime,
        'Q' => FieldForm.Quantity,
        'I' => FieldForm.IntOrString,
        'D' => FieldForm.Duration,
        'R' or 'F' => FieldForm.RawJson,
        _ => throw new UnreachableException($"The table has no form '{letter}'."),
    };
}
