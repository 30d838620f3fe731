using System.Globalization;
using System.Text;

namespace TransparencyLog.Bench;

/// <summary>One line of a chart.</summary>
internal sealed record Series(string Name, string Colour, bool Dashed, IReadOnlyList<(double X, double Y)> Points);

/// <summary>Two panels side by side over one kind of x axis: throughput (linear) and latency (logarithmic) against offered load, as SVG.</summary>
internal static class Chart
{
    private const double Width = 1080, Height = 430, Top = 56, Bottom = 360, PanelWidth = 400;

    private static readonly int[] Factors = [1, 2, 5, 10];

    public static string Write(string title, IReadOnlyList<Series> throughput, IReadOnlyList<Series> latency)
    {
        StringBuilder svg = new();
        svg.Append(CultureInfo.InvariantCulture, $"<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {Width} {Height}\" font-family=\"sans-serif\" font-size=\"12\">\n");
        svg.Append("<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{Width / 2}\" y=\"22\" font-size=\"15\" text-anchor=\"middle\">{System.Net.WebUtility.HtmlEncode(title)}</text>\n");
        double most = throughput.Concat(latency).SelectMany(series => series.Points).Max(point => point.X);
        double step = NiceStep(most / 5);
        double right = Math.Ceiling(most / step) * step;
        Panel(svg, 75, "answered a second", throughput, right, step, logarithmic: false);
        Panel(svg, 625, "latency from the due time, ms (logarithmic)", latency, right, step, logarithmic: true);
        return svg.Append("</svg>\n").ToString();
    }

    private static void Panel(StringBuilder svg, double left, string caption, IReadOnlyList<Series> lines, double right, double stepX, bool logarithmic)
    {
        double highest = lines.SelectMany(series => series.Points).Max(point => point.Y), lowest = lines.SelectMany(series => series.Points).Min(point => point.Y);
        List<double> ticks = logarithmic ? Decades(lowest, highest) : Steps(Math.Max(highest, right));
        double low = ticks[0], high = ticks[^1];
        double X(double value) => left + (PanelWidth * value / right);
        double Y(double value) => logarithmic
            ? Bottom - ((Bottom - Top) * Math.Log10(Math.Max(value, low) / low) / Math.Log10(high / low))
            : Bottom - ((Bottom - Top) * value / high);

        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left + (PanelWidth / 2)}\" y=\"{Top - 12}\" text-anchor=\"middle\" font-weight=\"bold\">{caption}</text>\n");
        foreach (double tick in ticks)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{left}\" x2=\"{left + PanelWidth}\" y1=\"{Y(tick):F1}\" y2=\"{Y(tick):F1}\" stroke=\"#ddd\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left - 6}\" y=\"{Y(tick) + 4:F1}\" text-anchor=\"end\">{Label(tick)}</text>\n");
        }

        for (double tick = 0; tick <= right; tick += stepX)
        {
            svg.Append(CultureInfo.InvariantCulture, $"<line x1=\"{X(tick):F1}\" x2=\"{X(tick):F1}\" y1=\"{Top}\" y2=\"{Bottom}\" stroke=\"#eee\"/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{X(tick):F1}\" y=\"{Bottom + 18}\" text-anchor=\"middle\">{Label(tick)}</text>\n");
        }

        svg.Append(CultureInfo.InvariantCulture, $"<rect x=\"{left}\" y=\"{Top}\" width=\"{PanelWidth}\" height=\"{Bottom - Top}\" fill=\"none\" stroke=\"#888\"/>\n");
        svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left + (PanelWidth / 2)}\" y=\"{Bottom + 38}\" text-anchor=\"middle\">POST /add offered a second</text>\n");
        for (int i = 0; i < lines.Count; i++)
        {
            Series line = lines[i];
            string dash = line.Dashed ? " stroke-dasharray=\"6 4\"" : "";
            svg.Append(CultureInfo.InvariantCulture, $"<polyline fill=\"none\" stroke=\"{line.Colour}\" stroke-width=\"2\"{dash} points=\"");
            foreach ((double x, double y) in line.Points) svg.Append(CultureInfo.InvariantCulture, $"{X(x):F1},{Y(y):F1} ");
            svg.Append("\"/>\n");
            foreach ((double x, double y) in line.Points) svg.Append(CultureInfo.InvariantCulture, $"<circle cx=\"{X(x):F1}\" cy=\"{Y(y):F1}\" r=\"3\" fill=\"{line.Colour}\"/>");
            double legend = Top + 16 + (16 * i);
            svg.Append(CultureInfo.InvariantCulture, $"\n<line x1=\"{left + 10}\" x2=\"{left + 34}\" y1=\"{legend - 4}\" y2=\"{legend - 4}\" stroke=\"{line.Colour}\" stroke-width=\"2\"{dash}/>");
            svg.Append(CultureInfo.InvariantCulture, $"<text x=\"{left + 40}\" y=\"{legend}\">{System.Net.WebUtility.HtmlEncode(line.Name)}</text>\n");
        }
    }

    private static List<double> Decades(double lowest, double highest)
    {
        double low = Math.Pow(10, Math.Floor(Math.Log10(Math.Max(lowest, 1e-3)))), high = Math.Pow(10, Math.Ceiling(Math.Log10(Math.Max(highest, 1e-2))));
        List<double> ticks = [];
        for (double tick = low; tick <= high * 1.001; tick *= 10) ticks.Add(tick);
        if (ticks.Count == 1) ticks.Add(low * 10);
        return ticks;
    }

    private static List<double> Steps(double highest)
    {
        double step = NiceStep(highest / 5);
        List<double> ticks = [];
        for (double tick = 0; tick < highest + step; tick += step) ticks.Add(tick);
        return ticks;
    }

    private static double NiceStep(double atLeast)
    {
        double power = Math.Pow(10, Math.Floor(Math.Log10(atLeast)));
        return Factors.First(factor => factor * power >= atLeast * 0.999) * power;
    }

    private static string Label(double value) => value switch
    {
        >= 1000 => (value / 1000).ToString("0.##", CultureInfo.InvariantCulture) + "k",
        _ => value.ToString("0.###", CultureInfo.InvariantCulture),
    };
}
