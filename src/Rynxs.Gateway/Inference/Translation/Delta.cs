using Rynxs.Gateway.Inference.Wire;

namespace Rynxs.Gateway.Inference.Translation;

/// <summary>What a stream says next, in no API's words. A closed family.</summary>
internal abstract record Delta
{
    private Delta()
    {
    }

    /// <summary>The answer begins.</summary>
    public sealed record Begin(string Id, string Model) : Delta;

    /// <summary>More text.</summary>
    public sealed record Text(int Choice, string Value) : Delta;

    /// <summary>A call of a tool begins.</summary>
    public sealed record CallBegin(int Choice, int Index, string Id, string Name) : Delta;

    /// <summary>More of the arguments of a call.</summary>
    public sealed record CallArguments(int Choice, int Index, string Value) : Delta;

    /// <summary>A choice is over; the reason in the words of chat completions.</summary>
    public sealed record Finish(int Choice, string Reason) : Delta;

    /// <summary>What was used so far.</summary>
    public sealed record Used(Usage Usage) : Delta;

    /// <summary>The stream is whole.</summary>
    public sealed record End : Delta;

    /// <summary>The upstream reported a failure inside the stream.</summary>
    public sealed record Failed : Delta;
}

/// <summary>A whole answer, in no API's words.</summary>
internal sealed record Answer(string Id, string Model, IReadOnlyList<AnswerChoice> Choices, Usage Usage);

/// <summary>One choice of an answer.</summary>
internal sealed record AnswerChoice(string? Text, IReadOnlyList<AnswerCall> Calls, string Finish);

/// <summary>A call that the model wants.</summary>
internal sealed record AnswerCall(string Id, string Name, string Arguments);

/// <summary>Reads the events of one API's stream.</summary>
internal interface IStreamDecoder
{
    /// <summary>What an event says; nothing for those without meaning.</summary>
    /// <exception cref="System.Text.Json.JsonException">It is not what the API says.</exception>
    IEnumerable<Delta> Read(SseEvent sseEvent);
}

/// <summary>Writes the events of one API's stream.</summary>
internal interface IStreamEncoder
{
    /// <summary>Bytes of the events for what comes next; may be empty.</summary>
    ReadOnlyMemory<byte> Write(Delta delta);

    /// <summary>Bytes that tell the caller of a failure in the middle; the stream ends without its sign of completion.</summary>
    ReadOnlyMemory<byte> WriteError(string code, string message);
}
