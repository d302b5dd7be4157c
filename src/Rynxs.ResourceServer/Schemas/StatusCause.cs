namespace Rynxs.ResourceServer.Schemas;

/// <summary>One cause of a Kubernetes Status of reason Invalid.</summary>
/// <param name="Reason">Such as <c>FieldValueRequired</c>, see <see cref="CauseReasons"/>.</param>
/// <param name="Message">As the real server words it, without the field.</param>
/// <param name="Field">Such as <c>spec.list[0].bar</c>; <c>&lt;nil&gt;</c> for the whole object.</param>
public sealed record StatusCause(string Reason, string Message, string Field);

/// <summary>Reasons of causes.</summary>
public static class CauseReasons
{
    public const string Invalid = "FieldValueInvalid";
    public const string Required = "FieldValueRequired";
    public const string NotFound = "FieldValueNotFound";
    public const string NotSupported = "FieldValueNotSupported";
    public const string Duplicate = "FieldValueDuplicate";
    public const string TypeInvalid = "FieldValueTypeInvalid";
    public const string Forbidden = "FieldValueForbidden";
    public const string TooLong = "FieldValueTooLong";
    public const string TooMany = "FieldValueTooMany";
}
