namespace Rynxs.Resources.Client;

/// <summary>Kubernetes causes as they stand in <see cref="FieldError.Code"/>.</summary>
public static class FieldErrorCodes
{
    public const string Invalid = "FieldValueInvalid";
    public const string Required = "FieldValueRequired";
    public const string NotSupported = "FieldValueNotSupported";
    public const string Duplicate = "FieldValueDuplicate";
    public const string TypeInvalid = "FieldValueTypeInvalid";
    public const string Forbidden = "FieldValueForbidden";
    public const string TooLong = "FieldValueTooLong";
}
