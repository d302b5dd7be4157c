using Rynxs.ResourceServer.Schemas;

namespace Rynxs.ResourceServer.Patching;

/// <summary>
/// A patch that cannot be applied. <see cref="Exception.Message"/> is the message of the Status, in the words of the real server; it quotes
/// the patch and never the stored object.
/// </summary>
public sealed class PatchException : Exception
{
    /// <param name="statusCode">400, 413, 422 or 500: the real server answers 500 where an applied configuration does not fit its schema.</param>
    /// <param name="reason">Reason of the Status, such as <c>BadRequest</c>; empty where the real server gives none.</param>
    /// <param name="message">Message of the Status.</param>
    public PatchException(int statusCode, string reason, string message)
        : base(message)
    {
        StatusCode = statusCode;
        Reason = reason;
    }

    public int StatusCode { get; }

    public string Reason { get; }

    /// <summary>Causes for the Status's details; usually none.</summary>
    public IReadOnlyList<StatusCause> Causes { get; init; } = [];

    /// <summary>The real server answers some patches with an empty <c>details</c> object.</summary>
    public bool HasDetails { get; init; }

    internal static PatchException BadRequest(string message) => new(400, "BadRequest", message);

    /// <summary>All that goes wrong while a well-formed JSON patch runs has this one answer.</summary>
    internal static PatchException Unprocessable() =>
        new(422, "Invalid", "the server rejected our request due to an error in our request") { HasDetails = true };

    internal static PatchException TooLarge(string message) => new(413, "RequestEntityTooLarge", message);
}
