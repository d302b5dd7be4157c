using System.Globalization;
using System.Net;
using System.Net.Sockets;
using System.Security.Authentication;
using System.Text;
using Microsoft.AspNetCore.Server.Kestrel.Core;
using Microsoft.AspNetCore.Server.Kestrel.Https;
using Rynxs.Server.State;

namespace Rynxs.Server.Tls;

/// <summary>The listener that kubectl and everybody beyond this machine uses.</summary>
internal static class TlsListener
{
    /// <summary>Who opens connections and does not speak is let go: a handshake is the only thing that a stranger can hold (G6).</summary>
    internal static readonly TimeSpan HandshakeTimeout = TimeSpan.FromSeconds(5);

    public static void ListenTls(this KestrelServerOptions kestrel, IPEndPoint endpoint, ServerCertificate certificate) =>
        kestrel.Listen(endpoint, listen =>
        {
            listen.Protocols = HttpProtocols.Http1AndHttp2;
            listen.UseHttps(new HttpsConnectionAdapterOptions
            {
                ServerCertificateSelector = (_, _) => certificate.Current(),
                SslProtocols = SslProtocols.Tls12 | SslProtocols.Tls13,
                HandshakeTimeout = HandshakeTimeout,
                ClientCertificateMode = ClientCertificateMode.AllowCertificate,
                // Judged with the request instead (ClientCertificates): there a refusal is answered and recorded, here it would be a broken connection.
                ClientCertificateValidation = (_, _, _) => true,
            });
        });

    /// <summary>
    /// With port 0 the port of the last start when it is still free, so that a kubeconfig that was copied keeps working; else as asked. A port that somebody
    /// takes between this look and the bind makes the start fail, as any taken port does.
    /// </summary>
    public static IPEndPoint Settle(IPEndPoint asked, string stateDirectory)
    {
        string path = PortPath(stateDirectory);
        if (asked.Port != 0 || !File.Exists(path) || new FileInfo(path).Length > 8
            || !ushort.TryParse(File.ReadAllText(path).Trim(), NumberStyles.None, CultureInfo.InvariantCulture, out ushort last) || last == 0)
        {
            return asked;
        }

        var wanted = new IPEndPoint(asked.Address, last);
        try
        {
            using var probe = new Socket(wanted.AddressFamily, SocketType.Stream, ProtocolType.Tcp);
            probe.Bind(wanted);
            return wanted;
        }
        catch (SocketException)
        {
            return asked;
        }
    }

    /// <summary>Remembers the port for the next start.</summary>
    public static void Remember(string stateDirectory, int port) =>
        StateDirectory.WriteAtomically(PortPath(stateDirectory), Encoding.ASCII.GetBytes(port.ToString(CultureInfo.InvariantCulture) + "\n"));

    private static string PortPath(string stateDirectory) => Path.Combine(stateDirectory, "tls", "port");
}
