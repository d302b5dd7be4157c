namespace Rynxs.ResourceServer.Schemas.Expressions;

/// <summary>Equality and order of values.</summary>
internal static class Equality
{
    private const int MaxDepth = 100;

    /// <summary>Values of different types are different, but for numbers. Sets and maps of documents are compared without their order.</summary>
    public static bool Same(object? a, object? b, CelBudget budget, int depth = 0)
    {
        budget.Take(1);
        if (depth > MaxDepth)
            throw new CelBudgetException();
        switch (a, b)
        {
            case (null, null):
                return true;
            case (null, _) or (_, null):
                return false;
            case (string x, string y):
                budget.Take(Math.Min(x.Length, y.Length) / 10);
                return string.Equals(x, y, StringComparison.Ordinal);
            case (byte[] x, byte[] y):
                budget.Take(Math.Min(x.Length, y.Length) / 10);
                return x.AsSpan().SequenceEqual(y);
            case (CelList x, CelList y):
                return SameLists(x, y, budget, depth);
            case (CelMap x, CelMap y):
                return SameMaps(x, y, budget, depth);
            case (CelOptional x, CelOptional y):
                return x.Present == y.Present && (!x.Present || Same(x.Value, y.Value, budget, depth + 1));
            default:
                return IsNumber(a) && IsNumber(b) ? Compare(a, b, budget) == 0 : a.Equals(b);
        }
    }

    /// <summary>Order; null when the two have none.</summary>
    public static int? Compare(object? a, object? b, CelBudget budget)
    {
        switch (a, b)
        {
            case (bool x, bool y):
                return x.CompareTo(y);
            case (string x, string y):
                budget.Take(Math.Min(x.Length, y.Length) / 10);
                return string.CompareOrdinal(x, y);
            case (byte[] x, byte[] y):
                budget.Take(Math.Min(x.Length, y.Length) / 10);
                return x.AsSpan().SequenceCompareTo(y);
            case (TimeSpan x, TimeSpan y):
                return x.CompareTo(y);
            case (DateTimeOffset x, DateTimeOffset y):
                return x.CompareTo(y);
            case (long x, long y):
                return x.CompareTo(y);
            case (ulong x, ulong y):
                return x.CompareTo(y);
            case (double x, double y):
                return double.IsNaN(x) || double.IsNaN(y) ? null : x.CompareTo(y);
            case (long x, ulong y):
                return x < 0 ? -1 : ((ulong)x).CompareTo(y);
            case (ulong x, long y):
                return y < 0 ? 1 : x.CompareTo((ulong)y);
            case (long x, double y):
                return double.IsNaN(y) ? null : Cross(x, y);
            case (double x, long y):
                return double.IsNaN(x) ? null : -Cross(y, x);
            case (ulong x, double y):
                return double.IsNaN(y) ? null : ((double)x).CompareTo(y);
            case (double x, ulong y):
                return double.IsNaN(x) ? null : x.CompareTo(y);
            default:
                return null;
        }
    }

    /// <summary>A double beyond the longs is beyond all of them.</summary>
    private static int Cross(long x, double y) => y >= 9223372036854775808d ? -1 : y < -9223372036854775808d ? 1 : x.CompareTo((long)y) is var order and not 0
        ? order
        : 0d.CompareTo(y - Math.Truncate(y));

    private static bool IsNumber(object value) => value is long or ulong or double;

    private static bool SameLists(CelList x, CelList y, CelBudget budget, int depth)
    {
        if (x.Items.Count != y.Items.Count)
            return false;
        StructuralSchema? schema = x.Schema ?? y.Schema;
        if (schema is { ListType: ListType.Atomic } or null)
        {
            for (int i = 0; i < x.Items.Count; i++)
            {
                if (!Same(x.Items[i], y.Items[i], budget, depth + 1))
                    return false;
            }

            return true;
        }

        // Of sets and maps every item of one has its equal in the other. Quadratic, and paid for.
        return x.Items.All(item => y.Items.Any(other => Same(item, other, budget, depth + 1)));
    }

    private static bool SameMaps(CelMap x, CelMap y, CelBudget budget, int depth)
    {
        if (x.Count != y.Count)
            return false;
        foreach (object key in x.Keys)
        {
            if (!x.TryGet(key, out object? left) || !y.TryGet(key, out object? right) || !Same(left, right, budget, depth + 1))
                return false;
        }

        return true;
    }
}
