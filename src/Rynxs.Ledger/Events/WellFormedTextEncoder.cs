using System.Text.Encodings.Web;

namespace Rynxs.Ledger.Events;

/// <summary>
/// Refuses texts with lone surrogates. The framework's encoders put U+FFFD in their place, so that the record would hold another text
/// than the caller gave.
/// </summary>
internal sealed class WellFormedTextEncoder : JavaScriptEncoder
{
    private static readonly JavaScriptEncoder Inner = UnsafeRelaxedJsonEscaping;

    public override int MaxOutputCharactersPerInputCharacter => Inner.MaxOutputCharactersPerInputCharacter;

    public override unsafe int FindFirstCharacterToEncode(char* text, int textLength)
    {
        ReadOnlySpan<char> characters = new(text, textLength);
        for (int index = characters.IndexOfAnyInRange('\uD800', '\uDFFF'); index >= 0 && index < characters.Length; index++)
        {
            if (!char.IsSurrogate(characters[index]))
            {
                continue;
            }

            if (index + 1 >= characters.Length || !char.IsSurrogatePair(characters[index], characters[index + 1]))
            {
                throw new ArgumentException("A text holds a lone surrogate, which has no UTF-8 form.");
            }

            index++;
        }

        return Inner.FindFirstCharacterToEncode(text, textLength);
    }

    public override unsafe bool TryEncodeUnicodeScalar(int unicodeScalar, char* buffer, int bufferLength, out int numberOfCharactersWritten) =>
        Inner.TryEncodeUnicodeScalar(unicodeScalar, buffer, bufferLength, out numberOfCharactersWritten);

    public override bool WillEncode(int unicodeScalar) => Inner.WillEncode(unicodeScalar);
}
