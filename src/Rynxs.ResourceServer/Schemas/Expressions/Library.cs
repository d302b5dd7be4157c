namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Names of what there is; a rule that names anything else does not compile.</summary>
internal static class Library
{
    private static readonly HashSet<string> Types =
        ["bool", "int", "uint", "double", "string", "bytes", "list", "map", "null_type", "type"];

    private static readonly HashSet<string> Namespaces = ["optional", "sets", "math"];

    private static readonly Dictionary<string, (int Min, int Max)> Functions = new()
    {
        ["size"] = (1, 1), ["int"] = (1, 1), ["uint"] = (1, 1), ["double"] = (1, 1), ["string"] = (1, 1), ["bool"] = (1, 1), ["bytes"] = (1, 1),
        ["duration"] = (1, 1), ["timestamp"] = (1, 1), ["type"] = (1, 1), ["dyn"] = (1, 1), ["matches"] = (2, 2), ["quantity"] = (1, 1),
        ["isQuantity"] = (1, 1), ["isURL"] = (1, 1), ["isIP"] = (1, 1), ["isCIDR"] = (1, 1), ["optional.of"] = (1, 1), ["optional.none"] = (0, 0),
        ["optional.ofNonZeroValue"] = (1, 1), ["sets.contains"] = (2, 2), ["sets.equivalent"] = (2, 2), ["sets.intersects"] = (2, 2),
        ["math.greatest"] = (1, 16), ["math.least"] = (1, 16),
    };

    private static readonly Dictionary<string, (int Min, int Max)> Methods = new()
    {
        ["size"] = (0, 0), ["startsWith"] = (1, 1), ["endsWith"] = (1, 1), ["contains"] = (1, 1), ["matches"] = (1, 1), ["lowerAscii"] = (0, 0),
        ["upperAscii"] = (0, 0), ["replace"] = (2, 3), ["split"] = (1, 2), ["join"] = (0, 1), ["trim"] = (0, 0), ["substring"] = (1, 2),
        ["indexOf"] = (1, 2), ["lastIndexOf"] = (1, 2), ["charAt"] = (1, 1), ["find"] = (1, 1), ["findAll"] = (1, 2), ["format"] = (1, 1),
        ["isSorted"] = (0, 0), ["sum"] = (0, 0), ["min"] = (0, 0), ["max"] = (0, 0), ["reverse"] = (0, 0),
        ["hasValue"] = (0, 0), ["value"] = (0, 0), ["orValue"] = (1, 1), ["or"] = (1, 1),
        ["getFullYear"] = (0, 0), ["getMonth"] = (0, 0), ["getDate"] = (0, 0), ["getDayOfMonth"] = (0, 0), ["getDayOfWeek"] = (0, 0),
        ["getDayOfYear"] = (0, 0), ["getHours"] = (0, 0), ["getMinutes"] = (0, 0), ["getSeconds"] = (0, 0), ["getMilliseconds"] = (0, 0),
        ["isGreaterThan"] = (1, 1), ["isLessThan"] = (1, 1), ["compareTo"] = (1, 1), ["asInteger"] = (0, 0), ["isInteger"] = (0, 0),
        ["asApproximateFloat"] = (0, 0), ["sign"] = (0, 0), ["add"] = (1, 1), ["sub"] = (1, 1),
    };

    public static bool IsType(string name) => Types.Contains(name);

    public static bool IsNamespace(string name) => Namespaces.Contains(name);

    public static bool HasFunction(string name, int arguments) => Functions.TryGetValue(name, out (int Min, int Max) arity) && arguments >= arity.Min && arguments <= arity.Max;

    public static bool HasMethod(string name, int arguments) => Methods.TryGetValue(name, out (int Min, int Max) arity) && arguments >= arity.Min && arguments <= arity.Max;
}
