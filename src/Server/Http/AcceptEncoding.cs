using Microsoft.Extensions.Primitives;

namespace TransparencyLog.Server.Http;

/// <summary>Reads the content codings that a request accepts: RFC 9110 section 12.5.3. Only gzip is ever applied here.</summary>
internal static class AcceptEncoding
{
    /// <summary>
    /// Whether gzip is acceptable and preferred at least as much as the uncompressed bytes. Weights count (section 12.4.2): <c>gzip;q=0</c> refuses gzip, and
    /// <c>*</c> stands for gzip where gzip is not named. A missing header and elements that cannot be read do not ask for gzip.
    /// </summary>
    public static bool PrefersGzip(StringValues header)
    {
        int? gzip = null, identity = null, any = null;
        foreach (string? line in header)
        {
            foreach (Range part in line.AsSpan().Split(','))
            {
                ReadOnlySpan<char> element = line.AsSpan()[part].Trim(" \t");
                int semicolon = element.IndexOf(';');
                ReadOnlySpan<char> coding = semicolon < 0 ? element : element[..semicolon].TrimEnd(" \t");
                if (coding.IsEmpty || !TryReadWeight(semicolon < 0 ? "q=1" : element[(semicolon + 1)..].TrimStart(" \t"), out int weight)) continue;
                if (coding.Equals("gzip", StringComparison.OrdinalIgnoreCase) || coding.Equals("x-gzip", StringComparison.OrdinalIgnoreCase)) gzip = Math.Max(gzip ?? 0, weight);
                else if (coding.Equals("identity", StringComparison.OrdinalIgnoreCase)) identity = weight;
                else if (coding.SequenceEqual("*")) any = weight;
            }
        }

        return (gzip ?? any ?? 0) is > 0 and int wish && wish >= (identity ?? 0);
    }

    /// <summary>Reads a qvalue, in thousandths: 0 or 1 with at most three decimals, at most 1.</summary>
    private static bool TryReadWeight(ReadOnlySpan<char> parameter, out int weight)
    {
        weight = 0;
        if (parameter.Length is < 3 or > 7 || parameter[0] is not ('q' or 'Q') || parameter[1] != '=' || parameter[2] is not ('0' or '1')) return false;
        if (parameter.Length > 3 && parameter[3] != '.') return false;
        weight = (parameter[2] - '0') * 1000;
        int unit = 100;
        foreach (char digit in parameter.Length > 4 ? parameter[4..] : [])
        {
            if (!char.IsAsciiDigit(digit)) return false;
            weight += (digit - '0') * unit;
            unit /= 10;
        }

        return weight <= 1000;
    }
}
