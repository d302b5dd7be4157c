namespace Rynxs.Agents.Providers;

/// <summary>
/// Follows the instructions of the message one by one, without a model. Stops at the first call that fails. The answer is the last
/// <c>say</c> or the last call's output, whichever came later.
/// </summary>
internal sealed class ScriptedProvider : IModelProvider
{
    /// <inheritdoc/>
    public string Name => "scripted";

    /// <inheritdoc/>
    public Task<ModelReply> CompleteAsync(ModelRequest request, CancellationToken cancellationToken)
    {
        string text = request.Turns is [ConversationTurn.User user, ..]
            ? user.Text
            : throw new ArgumentException("A conversation starts with a user turn.", nameof(request));
        IReadOnlyList<Instruction> instructions = InstructionParser.Parse(text);
        ConversationTurn.Tool[] results = [.. request.Turns.OfType<ConversationTurn.Tool>()];
        if (results is [.., { Ok: false } failed])
        {
            throw new ModelProviderException("tool_failed", $"{failed.Name}: {failed.Content}");
        }

        string answer = "";
        int calls = 0;
        foreach (Instruction instruction in instructions)
        {
            switch (instruction)
            {
                case Instruction.Say say:
                    answer = say.Text;
                    break;
                case Instruction.Call when calls < results.Length:
                    answer = results[calls++].Content;
                    break;
                case Instruction.Call call:
                    return Task.FromResult(new ModelReply { Calls = [(call.Tool, call.Arguments)] });
            }
        }

        return Task.FromResult(new ModelReply { Text = answer });
    }
}
