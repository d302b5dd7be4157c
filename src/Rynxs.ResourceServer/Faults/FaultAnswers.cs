using Rynxs.ResourceServer.Objects;

namespace Rynxs.ResourceServer.Faults;

/// <summary>Refusals as the real server words them.</summary>
internal static class FaultAnswers
{
    public static ApiStatus Refusal(Fault.Refuse refuse)
    {
        (string? reason, string message) = refuse.Code switch
        {
            401 => ("Unauthorized", "Unauthorized"),
            403 => ("Forbidden", "forbidden by a test"),
            404 => ("NotFound", "the server could not find the requested resource"),
            409 => ("Conflict", "Operation cannot be fulfilled: the object has been modified; please apply your changes to the latest version and try again"),
            410 => ("Expired", "The resourceVersion for the provided list is too old."),
            429 => ("TooManyRequests", "Too many requests, please try again later."),
            503 => ("ServiceUnavailable", "the server is currently unable to handle the request"),
            504 => ("Timeout", "Timeout: request did not complete within the allotted timeout"),
            _ => ("InternalError", "an error on the server has prevented the request from succeeding"),
        };
        return new ApiStatus { Code = refuse.Code, Reason = reason, Message = message, Details = new ApiStatusDetails { RetryAfterSeconds = refuse.RetryAfterSeconds } };
    }
}
