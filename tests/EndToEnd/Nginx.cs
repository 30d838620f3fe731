using System.Globalization;
using System.Net;
using System.Net.Sockets;

namespace TransparencyLog.Tests.EndToEnd;

/// <summary>
/// nginx in front of a server, with nothing but the defaults of nginx and what a test adds: bodies of at most 1 MiB, HTTP/1.0 to the server, request bodies buffered. It is one
/// process, so that ending it leaves no worker.
/// </summary>
internal sealed class Nginx : IAsyncDisposable
{
    private readonly Scratch _scratch;
    private readonly RunningProgram _program;

    private Nginx(Scratch scratch, RunningProgram program, Uri url)
    {
        _scratch = scratch;
        _program = program;
        Url = url;
    }

    /// <summary>Where it listens, with the prefix of the server it stands for and a slash at the end.</summary>
    public Uri Url { get; }

    /// <summary>Why a test that needs nginx cannot run here; null when it can.</summary>
    public static string? WhyNot => Program is null ? "nginx is not installed (make deps)" : null;

    /// <summary>Debian installs it where only root's PATH leads.</summary>
    private static string? Program { get; } = $"{Environment.GetEnvironmentVariable("PATH")}:/usr/sbin".Split(':').Select(folder => Path.Combine(folder, "nginx")).FirstOrDefault(File.Exists);

    /// <summary>Starts it on a free port.</summary>
    /// <param name="server">Where requests go; the prefix is removed from their paths.</param>
    /// <param name="prefix">The path under which the server is offered: begins and ends with a slash.</param>
    /// <param name="more">Further directives of that location, say <c>limit_rate 400k;</c>.</param>
    public static Task<Nginx> StartAsync(Uri server, string prefix = "/", string more = "") =>
        StartAsync(port => $"server {{ listen 127.0.0.1:{port}; location {prefix} {{ proxy_pass http://{server.Authority}/; {more} }} }}", prefix);

    /// <summary>Starts it on a free port.</summary>
    /// <param name="block">The server block for a port.</param>
    /// <param name="prefix">A path under which it offers a server: begins and ends with a slash.</param>
    public static async Task<Nginx> StartAsync(Func<string, string> block, string prefix = "/")
    {
        Scratch scratch = new();
        try
        {
            // nginx cannot choose a port and say which. Another process may take the one chosen here first: then nginx ends, and the next is tried.
            for (int attempt = 1; ; attempt++)
            {
                int port = FreePort();
                string folder = Directory.CreateDirectory(scratch[$"{attempt}"]).FullName;
                await File.WriteAllTextAsync(Path.Combine(folder, "nginx.conf"), Configuration(folder, block(port.ToString(CultureInfo.InvariantCulture))));
                RunningProgram program = RunningProgram.Start(Program!, ["-p", folder, "-c", Path.Combine(folder, "nginx.conf"), "-e", Path.Combine(folder, "errors")]);

                // The file with its process id is written once the port is bound.
                bool isUp = await Until.TrueAsync(() => Task.FromResult(program.HasEnded || (File.Exists(Path.Combine(folder, "pid")) && new FileInfo(Path.Combine(folder, "pid")).Length > 0)), Until.Patience);
                if (isUp && !program.HasEnded) return new Nginx(scratch, program, new Uri($"http://127.0.0.1:{port}{prefix}"));
                await program.DisposeAsync();
                string errors = File.Exists(Path.Combine(folder, "errors")) ? await File.ReadAllTextAsync(Path.Combine(folder, "errors")) : program.Errors;
                if (attempt == 10 || !errors.Contains("Address already in use", StringComparison.Ordinal)) throw new InvalidOperationException($"nginx does not start: {errors}");
            }
        }
        catch
        {
            scratch.Dispose();
            throw;
        }
    }

    public async ValueTask DisposeAsync()
    {
        await _program.DisposeAsync();
        _scratch.Dispose();
    }

    private static string Configuration(string folder, string block) => $$"""
        daemon off; master_process off; pid {{folder}}/pid; error_log {{folder}}/errors;
        events { worker_connections 512; }
        http {
          access_log off;
          client_body_temp_path {{folder}}/body; proxy_temp_path {{folder}}/proxy; fastcgi_temp_path {{folder}}/fastcgi; uwsgi_temp_path {{folder}}/uwsgi; scgi_temp_path {{folder}}/scgi;
          {{block}}
        }
        """;

    private static int FreePort()
    {
        using Socket socket = new(AddressFamily.InterNetwork, SocketType.Stream, ProtocolType.Tcp);
        socket.Bind(new IPEndPoint(IPAddress.Loopback, 0));
        return ((IPEndPoint)socket.LocalEndPoint!).Port;
    }
}
