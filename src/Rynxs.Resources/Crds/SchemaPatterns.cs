namespace Rynxs.Resources.Crds;

/// <summary>Patterns (RE2) that several kinds share.</summary>
internal static class SchemaPatterns
{
    /// <summary>RFC 1123 label.</summary>
    public const string Name = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?$";

    /// <summary>Kubernetes quantity, not negative.</summary>
    public const string Quantity = "^\\+?([0-9]+(\\.[0-9]*)?|\\.[0-9]+)(([KMGTPE]i)|[numkMGTPE]|([eE][-+]?[0-9]+))?$";

    /// <summary><c>HH:MM</c>.</summary>
    public const string TimeOfDay = "^([01][0-9]|2[0-3]):[0-5][0-9]$";
}
