// Text that came from elsewhere, on its way to a person: a log, a terminal, a message. An origin, a name, a path or the body of an answer may hold
// sequences that move the cursor, hide text or turn the direction of a line. Shown as ASCII they do nothing.
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
    /// The text in printable ASCII, on one line. Every other character is written as an escape sequence: <c>\n</c>, <c>\r</c>, <c>\t</c>, <c>\u</c> and four hexadecimal digits, or
    /// <c>\u{</c>, up to six of them, and <c>}</c>. A backslash stays as it is, so that escaping a text twice changes nothing: what is printed is for people, and is not parsed.
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
