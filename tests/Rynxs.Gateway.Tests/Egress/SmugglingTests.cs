using System.Text;
using Rynxs.Gateway.Egress;

namespace Rynxs.Gateway.Tests.Egress;

/// <summary>Requests that two parsers read differently (RFC 9112 11.2): none of them may put a second request in front of the upstream.</summary>
public sealed class SmugglingTests
{
    private const string Start = "POST http://allowed.test:PORT/first HTTP/1.1\r\nHost: allowed.test:PORT\r\n";
    private const string Hidden = "GET http://allowed.test:PORT/hidden HTTP/1.1\r\nHost: allowed.test:PORT\r\n\r\n";

    public static TheoryData<string, string> Corpus => new()
    {
        { "CL.TE", "Content-Length: LEN\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + Hidden },
        { "TE.CL", "Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + Hidden },
        { "two lengths", "Content-Length: 0\r\nContent-Length: LEN\r\n\r\n" + Hidden },
        { "a list of lengths", "Content-Length: 0, LEN\r\n\r\n" + Hidden },
        { "signed length", "Content-Length: +0\r\n\r\n" + Hidden },
        { "hexadecimal length", "Content-Length: 0x0\r\n\r\n" + Hidden },
        { "space before the colon", "Content-Length : LEN\r\n\r\n" + Hidden },
        { "obs-fold", "X: a\r\n Content-Length: LEN\r\n\r\n" + Hidden },
        { "folded coding", "Transfer-Encoding:\r\n chunked\r\n\r\n0\r\n\r\n" + Hidden },
        { "coding with a tab", "Transfer-Encoding: chunked\t, identity\r\n\r\n0\r\n\r\n" + Hidden },
        { "coding twice", "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n0\r\n\r\n" + Hidden },
        { "unknown coding", "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n" + Hidden },
        { "bare LF", "Content-Length: 0\n\n" + Hidden },
        { "bare CR", "X: a\rContent-Length: LEN\r\n\r\n" + Hidden },
        { "NUL in a name", "Content\0-Length: LEN\r\n\r\n" + Hidden },
        { "bad chunk size", "Transfer-Encoding: chunked\r\n\r\n-1\r\n\r\n" + Hidden },
        { "huge chunk size", "Transfer-Encoding: chunked\r\n\r\nffffffffffffffff1\r\n\r\n" + Hidden },
        { "two hosts", "Host: denied.test\r\nContent-Length: 0\r\n\r\n" },
    };

    [Theory]
    [MemberData(nameof(Corpus))]
    public async Task C9_one_request_in_is_at_most_one_request_out(string name, string rest)
    {
        List<string> reached = [];
        await using EgressHost host = await EgressHost.StartAsync(async context =>
        {
            lock (reached)
            {
                reached.Add(context.Request.Path);
            }

            await context.Request.Body.CopyToAsync(Stream.Null, context.RequestAborted);
        });
        string port = host.HttpPort.ToString(System.Globalization.CultureInfo.InvariantCulture);
        string request = (Start + rest).Replace("LEN", Encoding.ASCII.GetByteCount(Hidden.Replace("PORT", port)).ToString(System.Globalization.CultureInfo.InvariantCulture)).Replace("PORT", port);

        await host.TalkAsync(Encoding.Latin1.GetBytes(request), answer => answer.Contains("HTTP/1.1 4", StringComparison.Ordinal) || answer.Contains("HTTP/1.1 2", StringComparison.Ordinal));

        // A hidden request that is a request of its own to the gateway, too, is decided on by itself; that is no smuggling. What must not be is one that only the upstream sees.
        int recorded = host.Log.Events.OfType<EgressEvent.Opening>().Count();
        lock (reached)
        {
            reached.Count.ShouldBeLessThanOrEqualTo(recorded, $"{name}: {string.Join(", ", reached)}");
        }
    }
}
