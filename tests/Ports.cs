using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace TransparencyLog.Tests;

/// <summary>
/// Ports for servers whose address a file must name before they run. Everything else listens on port 0. A port is below the range from which the system serves port 0 and
/// outgoing connections, and a locked file keeps it from other tests, so nothing of ours takes it between the choice and the use.
/// </summary>
internal static class Ports
{
    /// <summary>The default of Linux; used where the range cannot be read.</summary>
    private const int UsualEphemeral = 32768;

    private const int Lowest = 10240, Attempts = 500;

    private static readonly Dictionary<int, FileStream> Held = []; // guarded by itself; what is left is released by the end of the process

    /// <summary>A port that is free on loopback and stays ours for the life of this process.</summary>
    public static int Take() => TakeRow(1);

    /// <summary>The first of two such ports in a row.</summary>
    public static int TakePair() => TakeRow(2);

    /// <summary>A listener on a port of its choice, and its URL without a slash at the end.</summary>
    public static (HttpListener Listener, string Url) Listen()
    {
        for (int attempt = 0; ; attempt++)
        {
            HttpListener listener = new();
            int port = Take();
            string url = $"http://127.0.0.1:{port.ToString(CultureInfo.InvariantCulture)}";
            listener.Prefixes.Add(url + "/");
            try
            {
                listener.Start();
                return (listener, url);
            }
            catch (HttpListenerException) when (attempt < Attempts)
            {
                // A program outside the tests was faster.
                listener.Close();
            }
            finally
            {
                // The listener holds the port from here on.
                lock (Held)
                {
                    if (Held.Remove(port, out FileStream? held)) held.Dispose();
                }
            }
        }
    }

    private static int TakeRow(int count)
    {
        int end = Math.Max(Lowest + 1000, FirstEphemeral());
        for (int attempt = 0; attempt < Attempts; attempt++)
        {
            int port = Random.Shared.Next(Lowest, end - count);
            FileStream?[] locks = [.. Enumerable.Range(port, count).Select(TryHold)];
            if (locks.All(held => held is not null) && Enumerable.Range(port, count).All(IsFree))
            {
                lock (Held)
                {
                    for (int i = 0; i < count; i++) Held[port + i] = locks[i]!;
                }

                return port;
            }

            foreach (FileStream? held in locks) held?.Dispose();
        }

        throw new InvalidOperationException($"no free port from {Lowest} to {end}");
    }

    /// <summary>The locked file of a port; null when another test has it. The lock is an flock, which ends with the process.</summary>
    private static FileStream? TryHold(int port)
    {
        DirectoryInfo folder = Directory.CreateDirectory(Path.Combine(Path.GetTempPath(), "transparencylog-test-ports"));
        try
        {
            return new FileStream(Path.Combine(folder.FullName, port.ToString(CultureInfo.InvariantCulture)), FileMode.OpenOrCreate, FileAccess.ReadWrite, FileShare.None);
        }
        catch (IOException)
        {
            return null;
        }
    }

    private static bool IsFree(int port)
    {
        try
        {
            using TcpListener listener = new(IPAddress.Loopback, port);
            listener.Start();
            return true;
        }
        catch (SocketException)
        {
            return false;
        }
    }

    private static int FirstEphemeral()
    {
        const string Range = "/proc/sys/net/ipv4/ip_local_port_range";
        return File.Exists(Range) && int.TryParse(File.ReadAllText(Range).Split((char[]?)null, StringSplitOptions.RemoveEmptyEntries)[0], NumberStyles.None, CultureInfo.InvariantCulture, out int first)
            ? first
            : UsualEphemeral;
    }
}
