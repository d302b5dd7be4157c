using System.Globalization;

namespace Rynxs.Agents.Tasks;

/// <summary>Id of the inbox line that delivers one attempt at a Task: <c>task-UID.ATTEMPT</c>. Delivering it twice changes nothing.</summary>
internal static class TaskMessageId
{
    private const string Prefix = "task-";

    public static string Of(string taskUid, int attempt) => string.Create(CultureInfo.InvariantCulture, $"{Prefix}{taskUid}.{attempt}");

    /// <summary>Uid and attempt, when the id has that form.</summary>
    public static bool TryParse(string messageId, out string taskUid, out int attempt)
    {
        (taskUid, attempt) = ("", 1);
        int dot = messageId.LastIndexOf('.');
        if (!messageId.StartsWith(Prefix, StringComparison.Ordinal) || dot <= Prefix.Length
            || !int.TryParse(messageId.AsSpan(dot + 1), NumberStyles.None, CultureInfo.InvariantCulture, out int number))
        {
            return false;
        }

        (taskUid, attempt) = (messageId[Prefix.Length..dot], number);
        return true;
    }

    /// <summary>The attempt; 1 for task lines that somebody wrote by hand.</summary>
    public static int AttemptOf(string messageId) => TryParse(messageId, out _, out int attempt) ? attempt : 1;
}
