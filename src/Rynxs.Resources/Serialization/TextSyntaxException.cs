using Rynxs.Resources.Client;

namespace Rynxs.Resources.Serialization;

/// <summary>Text that is no document at all, or that breaks a bound. Carries the position and a cause as the API gives it.</summary>
internal sealed class TextSyntaxException(string field, string code, string message, int line, int column) : Exception(message)
{
    public int Line { get; } = line;

    public int Column { get; } = column;

    public FieldError Error { get; } = new(field, code, message);
}
