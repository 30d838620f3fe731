// Makes text from outside safe to show to people, in a log, on a terminal or in a message. An origin, a name, a path or the body of a response
// may contain sequences that move the cursor, hide text or reverse the direction of a line. Escaped to ASCII they have no effect.
//
//     CSI 2 J in an origin        \u009b2J
//     right-to-left override      \u202e
//     two lines                   one\ntwo
//     another alphabet            \u00fcber

using System.Globalization;
using System.Text;

namespace TransparencyLog;

/// <summary>Makes text printable.</summary>
public static class PrintableText
{
    /// <summary>
    /// Escapes the text to printable ASCII on one line. Every other character becomes an escape sequence: <c>\n</c>, <c>\r</c>, <c>\t</c>, <c>\u</c> and
    /// four hexadecimal digits, or <c>\u{</c>, up to six digits, and <c>}</c>. A backslash is not escaped, so escaping a text twice changes nothing:
    /// the result is for people and is never parsed.
    /// </summary>
    public static string Escape(string text)
    {
        ArgumentNullException.ThrowIfNull(text);
        if (!text.AsSpan().ContainsAnyExceptInRange(' ', '~')) return text;
        StringBuilder escaped = new(text.Length + 16);
        for (int i = 0; i < text.Length; i++)
        {
            char letter = text[i];
            if (letter is >= ' ' and <= '~') escaped.Append(letter);
            else if (letter == '\n') escaped.Append("\\n");
            else if (letter == '\r') escaped.Append("\\r");
            else if (letter == '\t') escaped.Append("\\t");
            else if (char.IsHighSurrogate(letter) && i + 1 < text.Length && char.IsLowSurrogate(text[i + 1])) escaped.Append(CultureInfo.InvariantCulture, $"\\u{{{char.ConvertToUtf32(letter, text[++i]):x}}}");
            else escaped.Append(CultureInfo.InvariantCulture, $"\\u{(int)letter:x4}");
        }

        return escaped.ToString();
    }
}
