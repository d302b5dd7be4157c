# The way out of a sandbox, inside: 127.0.0.1:3128 (HTTP proxy and SOCKS 5) is the gateway's socket, byte for byte. DNS on 127.0.0.1:53 answers names that the
# gateway says may be reached, each with an address of 127.64.0.0/10 of its own; port 443 of those addresses is a tunnel to the name. It decides nothing.
import asyncio, os, signal, socket, struct, sys
OUT, NAMES, MOST, BYTES = sys.argv[1], {}, 4096, 65536
def answer(query, code, address=None):
    # Header with the question as it was; no compression but a pointer to it.
    record = b'' if address is None else b'\xc0\x0c' + struct.pack('>HHIH', 1, 1, 5, 4) + socket.inet_aton(address)
    end = question(query)[3]
    return query[:2] + struct.pack('>HHHHH', 0x8180 | code, 1, 1 if record else 0, 0, 0) + query[12:end] + record
def question(query):
    labels, at = [], 12
    while query[at]:
        if query[at] > 63: raise ValueError
        labels.append(query[at + 1:at + 1 + query[at]]); at += 1 + query[at]
    kind, group = struct.unpack_from('>HH', query, at + 1)
    return b'.'.join(labels), kind, group, at + 5
async def may(name):
    reader, writer = await asyncio.open_unix_connection(OUT)
    try:
        writer.write(b'\5\1\0'); await reader.readexactly(2)
        writer.write(b'\5\xf0\0\3' + bytes([len(name)]) + name + b'\0\0')
        return (await reader.readexactly(10))[1] == 0
    finally: writer.close()
async def resolve(query):
    try:
        if len(query) < 17 or query[2] & 0xf8 or query[4:6] != b'\0\1': return None
        name, kind, group, _ = question(query)
        name = name.lower()
        if group != 1 or not 0 < len(name) < 254 or not await may(name): return answer(query, 3)
        if kind != 1: return answer(query, 0)
        if name not in NAMES:
            if len(NAMES) >= MOST: return answer(query, 2)
            NAMES[name] = '127.%d.%d.%d' % (64 + (len(NAMES) >> 16), len(NAMES) >> 8 & 255, len(NAMES) & 255)
        return answer(query, 0, NAMES[name])
    except (ValueError, IndexError, struct.error): return None
    except (OSError, asyncio.IncompleteReadError): return answer(query, 2)
class Datagrams(asyncio.DatagramProtocol):
    def connection_made(self, transport): self.transport, self.busy = transport, set()
    def datagram_received(self, query, sender):
        if len(self.busy) >= 64: return
        task = asyncio.ensure_future(self.reply(query, sender)); self.busy.add(task); task.add_done_callback(self.busy.discard)
    async def reply(self, query, sender):
        reply = await resolve(query)
        if reply: self.transport.sendto(reply, sender)
async def questions(reader, writer):
    try:
        while True:
            size, = struct.unpack('>H', await asyncio.wait_for(reader.readexactly(2), 30))
            reply = await resolve(await asyncio.wait_for(reader.readexactly(size), 30))
            if not reply: break
            writer.write(struct.pack('>H', len(reply)) + reply); await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.TimeoutError): pass
    finally: writer.close()
async def copy(reader, writer):
    try:
        while data := await reader.read(BYTES):
            writer.write(data); await writer.drain()
        if writer.can_write_eof(): writer.write_eof()
        return True
    except OSError: return False
async def splice(reader, writer, start=b'', skip=0):
    try: out_reader, out_writer = await asyncio.open_unix_connection(OUT)
    except OSError: writer.transport.abort(); return
    try:
        if start:
            out_writer.write(start[:3]); await out_reader.readexactly(2)
            out_writer.write(start[3:])
            if (await out_reader.readexactly(10))[1] != 0: return
        ways = [asyncio.ensure_future(copy(reader, out_writer)), asyncio.ensure_future(copy(out_reader, writer))]
        for way in asyncio.as_completed(ways):
            if not await way:
                for other in ways: other.cancel()
                break
    except (OSError, asyncio.IncompleteReadError, asyncio.CancelledError): pass
    finally: out_writer.close(); writer.close()
async def transparent(reader, writer):
    address = writer.get_extra_info('sockname')[0]
    name = next((n for n, a in NAMES.items() if a == address), None)
    if name is None: writer.transport.abort(); return
    await splice(reader, writer, b'\5\1\0' + b'\5\1\0\3' + bytes([len(name)]) + name + struct.pack('>H', 443))
async def main():
    loop = asyncio.get_running_loop()
    ended = asyncio.Event()
    loop.add_reader(0, lambda: os.read(0, 4096) or ended.set())
    await asyncio.start_server(splice, '127.0.0.1', 3128, limit=BYTES, backlog=128)
    await asyncio.start_server(transparent, '0.0.0.0', 443, limit=BYTES, backlog=128)
    await asyncio.start_server(questions, '127.0.0.1', 53, limit=BYTES, backlog=32)
    await loop.create_datagram_endpoint(Datagrams, local_addr=('127.0.0.1', 53))
    os.write(1, b'ready\n')
    if os.getpid() == 1:
        # Orphans come to us; nobody else reaps them.
        def reap():
            try:
                while os.waitpid(-1, os.WNOHANG)[0]: pass
            except ChildProcessError: pass
        loop.add_signal_handler(signal.SIGCHLD, reap)
    await ended.wait()
    os._exit(0)
asyncio.run(main())
