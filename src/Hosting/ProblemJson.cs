// The body of a refusal: application/problem+json (RFC 9457) with a stable type, urn:transparency-log:problem:NAME.

using System.Text.Json;

namespace TransparencyLog.Hosting;

/// <summary>Writes the problem object of both servers.</summary>
internal static class ProblemJson
{
    public const string ContentType = "application/problem+json";

    /// <param name="status">The status of the answer.</param>
    /// <param name="name">The last part of the type. With spaces instead of hyphens it is the title.</param>
    /// <param name="detail">What was wrong and what is allowed, for people.</param>
    public static byte[] ToBytes(int status, string name, string detail)
    {
        using MemoryStream body = new();
        using (Utf8JsonWriter json = new(body))
        {
            json.WriteStartObject();
            json.WriteString("type", $"urn:transparency-log:problem:{name}");
            json.WriteString("title", name.Replace('-', ' '));
            json.WriteNumber("status", status);
            json.WriteString("detail", detail);
            json.WriteEndObject();
        }

        return body.ToArray();
    }
}
